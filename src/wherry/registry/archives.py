"""Images from files: which format it is, and opening it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from wherry.errors import InvalidArgument, NotFound, WherryError
from wherry.registry import docker_archive, layouts
from wherry.registry.failures import Context
from wherry.registry.platform import Platform, host_platform
from wherry.registry.progress import Reporter
from wherry.registry.source import ImageSource
from wherry.registry.spool import spool_directory
from wherry.registry.streams import Readable
from wherry.registry.transports import DIRECTORY, DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, Location
from wherry.registry.trees import ArchiveTree, DirectoryTree

if TYPE_CHECKING:
    from wherry.config.settings import Settings


def open_archive(
    source: str | Readable,
    settings: Settings,
    *,
    platform: Platform | None = None,
    reporter: Reporter | None = None,
) -> list[ImageSource]:
    """Every image in *source*: the path of a docker-archive, oci-archive, OCI layout or ``dir:`` directory, or a
    stream of one of the archives; compressed or not. What it is, is found out as ``podman load`` does.

    Close every source.  Raises :class:`NotFound` for a missing path, and :class:`InvalidArgument` listing why it is
    none of the formats.
    """
    wanted = platform or host_platform()
    listener = reporter or Reporter()
    path = source if isinstance(source, str) else "stdin"
    if isinstance(source, str) and not os.path.exists(source):
        raise NotFound(f"stat {source}: no such file or directory")
    if isinstance(source, str) and os.path.isdir(source):
        return _first_that_opens([
            (OCI, lambda: [_open_oci_directory(Location(transport=OCI, path=path), wanted, listener)]),
            (DIRECTORY, lambda: [_open_directory(path, wanted, listener)]),
        ])
    tree = ArchiveTree(source, spool_directory(settings))
    try:
        return _first_that_opens([
            (OCI_ARCHIVE, lambda: [_open_oci_archive(
                tree, Location(transport=OCI_ARCHIVE, path=path), wanted, listener)]),
            (DOCKER_ARCHIVE, lambda: docker_archive.open_images(tree, path, reporter=listener)),
        ])
    finally:
        tree.close()


def open_location(
    location: Location,
    settings: Settings,
    *,
    platform: Platform | None = None,
    reporter: Reporter | None = None,
) -> ImageSource:
    """The one image at an ``oci:``, ``oci-archive:``, ``docker-archive:`` or ``dir:`` location.

    Raises :class:`InvalidArgument` when it is several and none was chosen.
    """
    wanted = platform or host_platform()
    listener = reporter or Reporter()
    if location.transport == OCI:
        return _open_oci_directory(location, wanted, listener)
    if location.transport == DIRECTORY:
        return _open_directory(location.path, wanted, listener)
    archive = ArchiveTree(location.path, spool_directory(settings))
    try:
        if location.transport == OCI_ARCHIVE:
            return _open_oci_archive(archive, location, wanted, listener)
        return _open_docker_archive(archive, location, listener)
    finally:
        archive.close()


def _open_oci_directory(location: Location, wanted: Platform, reporter: Reporter) -> ImageSource:
    with Context(f"initializing source {location}"):
        return layouts.open_oci(
            DirectoryTree(location.path), str(location),
            image=location.image, index=location.index, wanted=wanted, reporter=reporter,
        )


def _open_directory(path: str, wanted: Platform, reporter: Reporter) -> ImageSource:
    return layouts.open_directory(DirectoryTree(path), f"dir:{path}", wanted=wanted, reporter=reporter)


def _open_oci_archive(archive: ArchiveTree, location: Location, wanted: Platform, reporter: Reporter) -> ImageSource:
    tree = archive.share()
    try:
        with Context("loading index"):
            return layouts.open_oci(
                tree, str(location), image=location.image, index=location.index, wanted=wanted, reporter=reporter
            )
    except BaseException:
        tree.close()
        raise


def _open_docker_archive(archive: ArchiveTree, location: Location, reporter: Reporter) -> ImageSource:
    found = docker_archive.open_images(
        archive, location.path, wanted=location.reference, index=location.index, reporter=reporter
    )
    if len(found) == 1:
        return found[0]
    for source in found:
        source.close()
    raise InvalidArgument(f"Unexpected tar manifest.json: expected 1 item, got {len(found)}")


def _first_that_opens(attempts: list[tuple[str, Callable[[], list[ImageSource]]]]) -> list[ImageSource]:
    errors: list[str] = []
    for transport, attempt in attempts:
        try:
            return attempt()
        except WherryError as error:
            errors.append(f"\n * {transport}: {error}")
    raise InvalidArgument("payload does not match any of the supported image formats:" + "".join(errors))
