"""Layers of images whose content is known to be damaged: pulling or loading such an image again makes them anew.

What is missing shows by itself; content that changed is only found by reading all of it.  So a full check notes those
layers in a file of ours, which no other engine looks at.
"""

from __future__ import annotations

import os

from wherry.errors import from_os_error
from wherry.model.ids import is_id
from wherry.sys.files import atomic_write, make_dirs, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.storage.home import Located
    from wherry.storage.parts import Parts


def is_damaged(parts: Parts, layer: Located) -> bool:
    """Is content or tar-split of the image layer missing, or was it found to be wrong? (Layers' lock held.)"""
    if layer.home.read_only or not layer.record.diff_digest:
        return False
    return (
        not os.path.isdir(parts.driver.upper(layer)) or not os.path.exists(layer.home.tar_split(layer.id))
        or layer.id in noted(parts.homes[0].root)
    )


def noted(root: str) -> set[str]:
    """Ids of the layers of the store *root* that the last full check found to be other than they should."""
    return {line for line in (try_read_text(_path(root)) or "").split("\n") if is_id(line)}


def note(root: str, layers: Iterable[str]) -> None:
    """Replace what is noted. Raises wherry errors."""
    wanted = sorted(set(layers))
    try:
        if wanted:
            make_dirs(os.path.dirname(_path(root)))
            atomic_write(_path(root), "".join([f"{layer}\n" for layer in wanted]).encode(), sync=False)
        elif os.path.exists(_path(root)):
            os.unlink(_path(root))
    except OSError as error:
        raise from_os_error(error, "noting damaged layers") from None


def _path(root: str) -> str:
    return f"{root}/wherry/damaged-layers"
