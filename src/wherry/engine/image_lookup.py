"""From what a user typed to an image of the store (the order of containers/common ``libimage``).

An id or unique id prefix; the exact name; the name with the registries that short names stand for; at last any image
whose repository ends with the given path.  Nothing is asked of a registry.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument, NoSuchImage
from wherry.model import reference as references
from wherry.model.ids import is_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.reference import Reference
    from wherry.storage.records import ImageRecord
    from wherry.storage.store import Store

#: What a location that is no image name begins with (containers-transports(5)).
LOCATIONS = ("docker://", "oci:", "oci-archive:", "docker-archive:", "dir:", "containers-storage:",
             "docker-daemon:", "tarball:", "sif:", "ostree:", "atomic:")


def find(store: Store, text: str) -> tuple[ImageRecord, str]:
    """The image and the name it was found by (its id when it was found by id).

    Raises ``NoSuchImage`` (``TEXT: image not known``) or ``InvalidArgument`` for text that cannot name an image.
    """
    bare = text.removeprefix("sha256:")
    images = store.images()
    if len(bare) == 64 and is_hex(bare):
        for image in images:
            if image.id == bare:
                return image, image.id
    by_name = _by_name(images, store, text)
    if by_name is not None:
        return by_name
    if is_hex(bare):
        return store.find_image(bare), bare
    raise NoSuchImage(text)


def exists(store: Store, text: str) -> bool:
    try:
        find(store, text)
    except (NoSuchImage, InvalidArgument):
        return False
    return True


def _by_name(images: list[ImageRecord], store: Store, text: str) -> tuple[ImageRecord, str] | None:
    try:
        wanted = references.parse(text).with_default_tag()
    except InvalidArgument:
        if is_hex(text.removeprefix("sha256:")) or text.startswith(LOCATIONS):
            return None
        raise
    if wanted.digest:
        return _by_digest(images, store, wanted)
    names = {name: image for image in reversed(images) for name in image.names}
    if wanted.domain:
        candidates = [str(references.normalize(str(wanted)))]
    else:
        candidates = [f"localhost/{wanted}", str(references.normalize(str(wanted)))]
    for name in candidates:
        if name in names:
            return names[name], name
    suffix = "/" + str(wanted)
    for image in images:
        for name in image.names:
            if name.endswith(suffix):
                return image, name
    return None


def _by_digest(images: list[ImageRecord], store: Store, wanted: Reference) -> tuple[ImageRecord, str] | None:
    for image in images:
        if wanted.digest not in image.digests():
            continue
        for name in image.names:
            held = references.parse(name)
            same = held.repository == wanted.repository or (
                not wanted.domain and held.repository.endswith("/" + wanted.path)
            )
            if same:
                return image, f"{held.repository}@{wanted.digest}"
    return None
