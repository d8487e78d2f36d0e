"""What parses and is stored but is not carried out yet: one table, asked by the engine before it creates anything."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.spec.container_spec import ContainerSpec

#: field of ContainerSpec, flag, reason
_FIELDS = (
    ("decryption_keys", "--decryption-key", "encrypted images are not supported yet"),
)


def unsupported(spec: ContainerSpec) -> list[tuple[str, str]]:
    """(flag, reason) of everything asked for that the engine cannot do yet; empty when it can do it all."""
    return [(flag, reason) for field, flag, reason in _FIELDS if getattr(spec, field)]
