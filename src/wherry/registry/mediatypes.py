"""Media types of manifests, configs and layers (OCI image specification; Docker image manifest v2 schema 1 and 2)."""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

#: The configuration of an artifact that has none: ``{}``.
OCI_EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

#: Suffixes of OCI layer types by the names of :mod:`wherry.archive.compression`.
OCI_SUFFIXES = {"none": "", "gzip": "+gzip", "zstd": "+zstd"}

SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
LISTS = (OCI_INDEX, DOCKER_LIST)

#: What a registry is asked for. Schema 1 is in it so that an old image is met with an explanation, not with a 404.
ACCEPTED = (OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST, SCHEMA1_SIGNED, SCHEMA1)
