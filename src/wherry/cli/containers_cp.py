"""``wherry cp``."""

from __future__ import annotations

import os

from wherry.cli.flags import Flag, UsageError
from wherry.cli.goquote import quote
from wherry.errors import InvalidArgument, NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.copying import Place

CP = (
    Flag("archive", "a", "bool", "What is copied into a container belongs to the user it runs as", default="true"),
    Flag("extract", kind="bool", hidden=True),
    Flag("overwrite", kind="bool", help="Let files take the place of directories and the other way round"),
    Flag("pause", kind="bool", default="true", hidden=True),
)
_READ = 1 << 20


def cp(call: Call) -> int:
    """Copy files between a container and the host, or two containers; ``-`` is a tar archive on a standard stream."""
    source, target = call.args
    source_container, source_path = split(call, source)
    target_container, target_path = split(call, target)
    if not source_path or not target_path:
        raise UsageError(f"invalid arguments {quote(source)}, {quote(target)}: you must specify paths", see=False)
    if not source_container and not target_container:
        raise InvalidArgument("name or ID cannot be empty")
    if source_path == "-" and not source_container:
        _from_stdin(call, target_container, target_path)
    elif target_path == "-" and not target_container:
        _to_stdout(call, source_container, source_path)
    else:
        from wherry.engine.copying import copy

        with Side(call, source_container, source_path) as one, Side(call, target_container, target_path) as other:
            copy(
                one.place, source_path, other.place, target_path, own=call.flags.on("archive"),
                overwrite=call.flags.on("overwrite"),
            )
    return 0


def split(call: Call, text: str) -> tuple[str, str]:
    """Container (empty: the host) and path. What begins with ``.`` or ``/``, or has no colon, is the host's."""
    container, colon, path = text.partition(":")
    if not colon or text[0] in "./":
        return "", text
    if not container:
        raise InvalidArgument("name or ID cannot be empty")
    return container, path


class Side:
    """One side of the copy, open."""

    def __init__(self, call: Call, container: str, path: str) -> None:
        from wherry.engine.container_view import ContainerView
        from wherry.engine.copying import ContainerPlace, HostPlace

        self._view: ContainerView | None = None
        self.place: Place = HostPlace()
        if container:
            try:
                identity = call.runtime.containers.get(container).id
            except NoSuchContainer:
                raise NoSuchContainerHere(f'container "{container}" does not exist') from None
            self._view = ContainerView(call.runtime, identity, path)
            self.place = ContainerPlace(self._view, container)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._view is not None:
            self._view.close()


class NoSuchContainerHere(NoSuchContainer):
    """The same, in the words of ``cp``."""

    cause = ""


class _Input:
    """Standard input as a stream."""

    @staticmethod
    def read(size: int) -> bytes:
        return os.read(0, size)


def _from_stdin(call: Call, container: str, path: str) -> None:
    from wherry.engine.copying import place_archive

    with Side(call, container, path) as side:
        place_archive(
            side.place, path, _Input(), own=call.flags.on("archive"), overwrite=call.flags.on("overwrite")
        )


def _to_stdout(call: Call, container: str, path: str) -> None:
    from wherry.engine.copying import archive_of
    from wherry.sys.files import write_all

    with Side(call, container, path) as side:
        for piece in archive_of(side.place, path):
            write_all(1, piece)
