"""Operating system, architecture and variant: this host's, a user's, and the best match in an image index.

Names and spellings: GOOS/GOARCH, OCI image specification "image-index.md", containerd's platform normalisation;
order of preference: containers/image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wherry.errors import NotFound
from wherry.model.record import Record
from wherry.spec.parse_values import quote

if TYPE_CHECKING:
    from wherry.registry.manifests import Descriptor, ManifestList

#: uname machine -> (architecture, variant)
_MACHINES = {
    "x86_64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", "v8"),
    "aarch64_be": ("arm64be", "v8"),
    "armv8l": ("arm", "v8"),
    "armv8b": ("armbe", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "armv5tejl": ("arm", "v5"),
    "loongarch64": ("loong64", ""),
}
#: Other spellings people use -> (architecture, variant unless one is given)
_SPELLINGS = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "arm": ("arm", "v7"),
}
#: Variants of an architecture, most capable first: a host of one runs images for all that follow.
_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v8",)}

#: Marks the entry of an index whose layers are zstd; preferred among equals, because every store here reads it.
ZSTD_ANNOTATION = "io.github.containers.compression.zstd"


class Platform(Record):
    """What images are wanted for, in Go's names (``linux``, ``amd64``, ``v8``)."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def override(self, os: str = "", architecture: str = "", variant: str = "") -> Platform:
        """This platform with what the user asked for (``--os --arch --variant``), normalised.

        Another architecture does not inherit this one's variant.
        """
        if architecture:
            architecture, variant = _normalize(architecture, variant)
            return Platform(os=_os(os) or self.os, architecture=architecture, variant=variant)
        return self.replace(os=_os(os) or self.os, variant=_variant(variant) or self.variant)

    def candidates(self) -> list[Platform]:
        """Platforms whose images run on this one, best first."""
        order = _VARIANTS.get(self.architecture, ())
        if not self.variant:
            variants = ["", *order]
        elif self.variant in order:
            variants = [*order[order.index(self.variant):], ""]
        else:
            variants = [self.variant, ""]
        return [self.replace(variant=variant) for variant in variants]


def host_platform() -> Platform:
    """The platform of the running kernel."""
    uname = os.uname()
    architecture, variant = _MACHINES.get(uname.machine, (uname.machine, ""))
    return Platform(os=uname.sysname.lower(), architecture=architecture, variant=variant)


def parse(text: str) -> Platform:
    """``os[/arch[/variant]]`` as ``--platform`` takes it, missing parts from the host."""
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return host_platform().override(system, architecture, variant)


def choose(images: ManifestList, platform: Platform) -> Descriptor:
    """The entry of an index or list that suits *platform* best.

    Entries without a platform are the last resort, in an index only.  Raises :class:`NotFound` in Podman's words.
    """
    wanted = [(one.os, one.architecture, one.variant) for one in platform.candidates()]
    best: Descriptor | None = None
    best_rank: tuple[int, bool] | None = None
    for entry in images.entries:
        rank = _rank(entry, wanted, is_index=images.is_index)
        if rank is not None and (best_rank is None or rank < best_rank):
            best, best_rank = entry, rank
    if best is None:
        kind = "image index" if images.is_index else "manifest list"
        first = platform.candidates()[0]
        raise NotFound(
            f"no image found in {kind} for architecture {quote(first.architecture)}, "
            f"variant {quote(first.variant)}, OS {quote(first.os)}"
        )
    return best


def _rank(entry: Descriptor, wanted: Sequence[tuple[str, str, str]], *, is_index: bool) -> tuple[int, bool] | None:
    """Sort key of an entry, smaller is better; None when it does not run here."""
    is_zstd = is_index and entry.annotations.get(ZSTD_ANNOTATION) == "true"
    if entry.platform is None:
        return (len(wanted), not is_zstd) if is_index else None
    found = (entry.platform.os, entry.platform.architecture, entry.platform.variant)
    return (wanted.index(found), not is_zstd) if found in wanted else None


def _os(name: str) -> str:
    name = name.lower()
    return "darwin" if name == "macos" else name


def _variant(name: str) -> str:
    name = name.lower()
    return "v" + name if name.isdigit() else name


def _normalize(architecture: str, variant: str) -> tuple[str, str]:
    name, default = _SPELLINGS.get(architecture.lower(), (architecture.lower(), ""))
    if architecture.lower() in ("armhf", "armel"):
        return name, default
    variant = _variant(variant) or default
    if (name, variant) in (("amd64", "v1"), ("arm64", "v8")) or name == "386":
        variant = ""
    return name, variant
