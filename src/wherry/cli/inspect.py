"""``wherry inspect``, ``container inspect`` and ``image inspect``."""

from __future__ import annotations

import sys

from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import finish
from wherry.errors import InvalidArgument, NoSuchContainer, NoSuchImage, NotFound, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.cli.call import Call

_FORMAT = Flag("format", "f", default="json", metavar="format", help="Show as json or through a Go template")
_SIZE = Flag("size", "s", "bool", "Show the sizes of a container as well")
#: What ``--type`` may name.
TYPES = ("artifact", "all", "container", "image", "network", "pod", "volume")

INSPECT = (
    _FORMAT,
    LATEST,
    _SIZE,
    Flag("type", "t", default="all", metavar="type", help="Look only at objects of this type: container or image"),
)
CONTAINER_INSPECT = (_FORMAT, LATEST, _SIZE)
IMAGE_INSPECT = (_FORMAT,)
INDENT = 5


def inspect(call: Call) -> int:
    """Show objects of any type."""
    kind = call.flags.text("type")
    if kind not in TYPES:
        known = ", ".join(f'"{name}"' for name in TYPES if name != "all")
        raise UsageError(f'invalid type "{kind}": must be {known} or "all"', see=False)
    if call.flags.on("size") and kind in ("image", "pod"):
        raise UsageError(f"size is not supported for type {kind}", see=False)
    if call.flags.on("latest") and kind not in ("all", "container"):
        raise UsageError(f"latest is not supported for type {kind}", see=False)
    return _run(call, "container" if call.flags.on("latest") else kind)


def container_inspect(call: Call) -> int:
    """Show containers."""
    return _run(call, "container")


def image_inspect(call: Call) -> int:
    """Show images."""
    return _run(call, "image")


def _run(call: Call, kind: str) -> int:
    latest = kind == "container" and call.flags.on("latest")
    if latest and call.args:
        raise UsageError("--latest and arguments cannot be used together", see=False)
    if not latest and not call.args:
        raise UsageError("no names or ids specified", see=False)
    if latest:
        from wherry.cli.targets import latest as newest

        names: Sequence[str] = [newest(call.runtime)]
    else:
        names = call.args
    found: list[tuple[str, dict[str, Any]]] = []
    errors: list[WherryError] = []
    for name in names:
        try:
            found.append(FINDERS[kind](call, name))
        except WherryError as error:
            errors.append(error)
    try:
        _show(call, found)
    except WherryError as error:
        errors.append(error)
    return finish(errors)


def _container(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    try:
        container = call.runtime.containers.get(name)
    except NoSuchContainer:
        raise NotFound(f"no such container {name}") from None
    return "container", container.inspect(size=call.flags.on("size"))


def _image(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    return "image", call.runtime.images.get(name).inspect()


def _any(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    try:
        return "container", call.runtime.containers.get(name).inspect(size=call.flags.on("size"))
    except NoSuchContainer:
        pass
    try:
        return _image(call, name)
    except (NoSuchImage, InvalidArgument):
        pass
    for find in (_volume, _network, _pod, _artifact):
        try:
            return find(call, name)
        except NotFound:
            continue
    raise NotFound(f'no such object: "{name}"')


def _volume(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    from wherry.cli.volumes_list import tree

    return "volume", tree(call, name)


def _network(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    from wherry.cli.networks_list import tree

    return "network", tree(call, name)


def _pod(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    from wherry.cli.pods_list import tree

    return "pod", tree(call, name)


def _artifact(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    return "artifact", call.runtime.artifacts.get(name).inspect()


FINDERS: dict[str, Callable[[Call, str], tuple[str, dict[str, Any]]]] = {
    "artifact": _artifact,
    "container": _container,
    "image": _image,
    "network": _network,
    "pod": _pod,
    "volume": _volume,
    "all": _any,
}


def _show(call: Call, found: list[tuple[str, dict[str, Any]]]) -> None:
    text = call.flags.text("format")
    if text.strip() in ("", "json"):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([tree for _kind, tree in found], INDENT) + "\n")
        return
    from wherry.cli.formatting import is_json

    if is_json(text):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([tree for _kind, tree in found], INDENT) + "\n")
        return
    _template(call, text, found)


def _template(call: Call, text: str, found: list[tuple[str, dict[str, Any]]]) -> None:
    from wherry.cli import inspect_shapes
    from wherry.cli.formatting import render_rows
    from wherry.cli.gotemplate.errors import TemplateError
    from wherry.cli.shapes import parse, wrap

    sources = {"container": inspect_shapes.CONTAINER, "image": inspect_shapes.IMAGE}
    if any(kind in ("network", "pod", "volume") for kind, _tree in found):
        from wherry.cli import networks_list, pods_list, volumes_list

        sources |= {"network": networks_list.SHAPE, "pod": pods_list.SHAPE, "volume": volumes_list.SHAPE}
    shapes = {kind: parse(sources[kind]) for kind in {kind for kind, _tree in found}}
    for shape in shapes.values():
        shape.name = "interface {}"
    values = [wrap(shapes[kind], tree) for kind, tree in found]
    try:
        call.out(render_rows("inspect", rewrite(text), values))
    except TemplateError as error:
        call.out(error.output)
        sys.stdout.flush()
        raise TemplateError(f"printing inspect output: {error.message}") from None


def rewrite(text: str) -> str:
    """Spellings of Docker's fields as Podman's, and an older one of Podman's own."""
    for old, new in _SPELLINGS:
        text = _replace_word(text, old, new)
    return text


_SPELLINGS = (
    (".Id", ".ID"), (".Src", ".Source"), (".Dst", ".Destination"), (".ImageID", ".Image"),
    (".State.Healthcheck", ".State.Health"),
)


def _replace_word(text: str, old: str, new: str) -> str:
    """Replace *old* where no further letter or digit follows it."""
    out = ""
    while True:
        index = text.find(old)
        if index < 0:
            return out + text
        end = index + len(old)
        whole = not (text[end:end + 1].isalnum() or text[end:end + 1] == "_")
        out += text[:index] + (new if whole else old)
        text = text[end:]
