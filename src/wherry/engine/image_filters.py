"""The filters of ``images``: every key also as ``key!=value`` (podman-images(1))."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.engine.container_filters import label_matches
from wherry.errors import InvalidArgument, WherryError
from wherry.model import reference as references
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord

    Predicate = Callable[[ImageRecord], bool]


def select(runtime: Runtime, filters: Mapping[str, Sequence[str]], *, all: bool) -> list[ImageRecord]:
    """Images all filters accept, newest first; without *all* intermediate images are left out."""
    tests = [_predicate(runtime, key, list(values)) for key, values in filters.items()]
    images = [image for image in runtime.store.images() if all_of(tests, image)]
    if not all and "intermediate" not in filters:
        hidden = intermediate(runtime)
        images = [image for image in images if image.id not in hidden]
    return sorted(images, key=lambda image: parse_ns(image.created), reverse=True)


def all_of(tests: list[Predicate], image: ImageRecord) -> bool:
    return all(test(image) for test in tests)


def _predicate(runtime: Runtime, key: str, values: list[str]) -> Predicate:
    negated = key.endswith("!")
    name = key.rstrip("!")
    maker = _MAKERS.get(name)
    if maker is None:
        raise InvalidArgument(f'unsupported image filter "{name}"')
    test = maker(runtime, values)
    return (lambda image: not test(image)) if negated else test


def intermediate(runtime: Runtime) -> set[str]:
    """Ids of nameless images that others are built on."""
    images = runtime.store.images()
    nameless = {image.layer: image.id for image in images if not image.names and image.layer}
    if not nameless:
        return set()
    found = set()
    for image in images:
        if not image.layer:
            continue
        for layer in runtime.store.layer_chain(image.layer)[1:]:
            if layer.id in nameless:
                found.add(nameless[layer.id])
    return found


def _moment(runtime: Runtime, key: str, value: str) -> int:
    try:
        return parse_ns(image_lookup.find(runtime.store, value)[0].created)
    except WherryError as error:
        error.message = f'could not find local image for filter filter "{key}"="{value}": {error.message}'
        raise


def _before(runtime: Runtime, values: list[str]) -> Predicate:
    moments = [_moment(runtime, "before", value) for value in values]
    return lambda image: any(parse_ns(image.created) < moment for moment in moments)


def _after(runtime: Runtime, values: list[str]) -> Predicate:
    moments = [_moment(runtime, "since", value) for value in values]
    return lambda image: any(parse_ns(image.created) > moment for moment in moments)


def _bool(key: str, values: list[str]) -> bool:
    wanted = set()
    for value in values:
        if value.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise InvalidArgument(
                f'non-boolean value "{value}" for {key} filter: strconv.ParseBool: parsing "{value}": invalid syntax'
            )
        wanted.add(value.lower() in ("true", "1", "t"))
    if len(wanted) > 1:
        raise InvalidArgument(f'specified "{key}" filter more than once with contradicting values: invalid argument')
    return wanted.pop()


def _containers(runtime: Runtime, values: list[str]) -> Predicate:
    used = {container.image for container in runtime.store.containers()}
    if values == ["external"]:
        ours = {row.id for row in runtime.state.container_rows(all=True)}
        used = {container.image for container in runtime.store.containers() if container.id not in ours}
        return lambda image: image.id in used
    for value in values:
        if value not in ("true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False"):
            raise InvalidArgument(f'unsupported value "{value}" for containers filter')
    wanted = _bool("containers", values)
    return lambda image: (image.id in used) == wanted


def _dangling(_runtime: Runtime, values: list[str]) -> Predicate:
    wanted = _bool("dangling", values)
    return lambda image: (not image.names) == wanted


def _digest(_runtime: Runtime, values: list[str]) -> Predicate:
    return lambda image: any(digest.startswith(value) for digest in image.digests() for value in values)


def _id(_runtime: Runtime, values: list[str]) -> Predicate:
    return lambda image: any(image.id.startswith(value.removeprefix("sha256:")) for value in values)


def _intermediate(runtime: Runtime, values: list[str]) -> Predicate:
    wanted = _bool("intermediate", values)
    hidden = intermediate(runtime)
    return lambda image: (image.id in hidden) == wanted


def _label(runtime: Runtime, values: list[str]) -> Predicate:
    def test(image: ImageRecord) -> bool:
        labels = (runtime.store.image_config(image.id).get("config") or {}).get("Labels") or {}
        return all(label_matches(labels, value) for value in values)

    return test


def _manifest(runtime: Runtime, values: list[str]) -> Predicate:
    wanted = _bool("manifest", values)
    return lambda image: (not image.layer and "manifest" in image.big_data_names) == wanted


def _readonly(_runtime: Runtime, values: list[str]) -> Predicate:
    wanted = _bool("readonly", values)
    return lambda image: image.read_only == wanted


def _reference(_runtime: Runtime, values: list[str]) -> Predicate:
    from fnmatch import fnmatchcase

    def one(name: str, pattern: str) -> bool:
        parsed = references.parse(name)
        forms = [name, parsed.repository, references.familiar(name), references.familiar(parsed.repository)]
        forms += [parsed.path, parsed.path.rsplit("/", 1)[-1], f"{parsed.path.rsplit('/', 1)[-1]}:{parsed.tag}"]
        return any(fnmatchcase(form, pattern) for form in forms)

    return lambda image: any(one(name, value) for name in image.names for value in values)


def _until(_runtime: Runtime, values: list[str]) -> Predicate:
    from wherry.model.timespec import parse_until

    try:
        moments = [parse_until(value) for value in values]
    except InvalidArgument:
        raise InvalidArgument(f'failed to parse value as time or duration: "{values[0]}"') from None
    return lambda image: any(parse_ns(image.created) < moment for moment in moments)


_MAKERS: dict[str, Callable[[Runtime, list[str]], Predicate]] = {
    "after": _after,
    "since": _after,
    "before": _before,
    "containers": _containers,
    "dangling": _dangling,
    "digest": _digest,
    "id": _id,
    "intermediate": _intermediate,
    "label": _label,
    "manifest": _manifest,
    "readonly": _readonly,
    "reference": _reference,
    "until": _until,
}
