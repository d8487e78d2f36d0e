"""runlabel: the command an image carries in a label, made ready to be run on this host.

The rules are those of podman-container-runlabel(1).
"""

from __future__ import annotations

import os

from wherry.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.engine.image import Image

#: First words of a label that mean this engine.
_OURSELVES = ("podman", "docker", "wherry")


def words_of(image: Image, shown: str, label: str, more: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The words of the command in *label* (upper or lower case) of the image asked for as *shown*, *more* behind them.

    ``IMAGE`` and ``NAME`` as words, and ``$IMAGE``, ``$NAME`` and the other *variables* anywhere, are replaced; the
    first word is empty when it stands for this engine.  Raises ``NotFound`` for an image without the label.
    """
    import shlex

    config = image.inspect().get("Config") or {}
    found = [text for name, text in (config.get("Labels") or {}).items() if name.lower() == label.lower()]
    if not found or not found[0]:
        raise NotFound(f"cannot find the value of label: {label} in image: {shown}")
    known = dict(variables)
    plain = {"IMAGE": known["IMAGE"], "NAME": known["NAME"]}
    plain |= {f"{key}={key}": f"{key}={value}" for key, value in plain.items()}
    first, *rest = shlex.split(" ".join([found[0], *more]))
    text = " ".join([first, *(plain.get(word, word) for word in rest)])
    words = shlex.split(expand(text, known))
    if words[0] in _OURSELVES or os.path.basename(words[0]) == "docker":
        words[0] = ""
    return words


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$NAME`` and ``${NAME}`` replaced; unknown ones by nothing."""
    import re

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables.get(found[1] or found[2], ""), text)


def default_name(image_name: str) -> str:
    """What the container is called when nobody says: the last part of the image's name."""
    return image_name.rpartition("/")[2].partition("@")[0].partition(":")[0]
