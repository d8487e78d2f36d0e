"""From references to bytes: the distribution protocol and the transports that read images from files.

This package owns talking to registries (connections, TLS, authentication, retries, mirrors), choosing the image of a
platform, downloading blobs in parallel, and reading docker-archive, oci-archive, oci and dir images.  What it hands
out is always an :class:`~wherry.registry.source.ImageSource`: manifest and config checked against their digests, and
layers as streams that raise rather than end when the bytes are not the ones the manifest promised.  It stores nothing
but a private spool directory, which is gone when the source is closed; one left by a killed process is removed by the
next pull.
"""
