"""The OCI runtime and its monitor: create, start, signal, exec, attach, and learning how a container ended.

This package owns everything that is said to conmon, crun and runc, and the files they write: the bundle's
``config.json``, pid files, exit files, the attach socket and the control fifo.  It promises that a failed creation
leaves no process, no runtime state and no file behind, that waiting for an end never polls, and that a lost monitor
is told apart from an exit.  What conmon does and in which order is written down in :mod:`wherry.oci.conmon` and
:mod:`wherry.oci.exits`.
"""
