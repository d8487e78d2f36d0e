"""What the parts of resolving share: the request, the facts, and the namespaces once they are decided."""

from __future__ import annotations

from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.config.settings import Settings
    from wherry.model.container import ContainerConfig
    from wherry.spec.container_spec import ContainerSpec
    from wherry.spec.host import HostFacts, ImageFacts, Lookup


class Mode(Record):
    """A namespace mode taken apart: ``container:web`` is kind container, value web."""

    kind: str = ""          # private, host, container, path, pod, shareable, none, auto, keep-id, nomap, bridge, ...
    value: str = ""
    container: ContainerConfig | None = None

    @property
    def joins(self) -> bool:
        """Is the namespace one that exists already and is not ours to set up?"""
        return self.kind in ("host", "container", "pod")


class Namespaces(Record):
    """The namespaces of the container, defaults filled in."""

    pid: Mode = Mode()
    ipc: Mode = Mode()
    uts: Mode = Mode()
    user: Mode = Mode()
    cgroup: Mode = Mode()
    net: Mode = Mode()

    @property
    def new_user(self) -> bool:
        """Does the container get a user namespace other than ours? (keep-id and nomap do not count for libpod)"""
        return self.user.kind in ("container", "path", "private", "pod", "auto")


class Inputs:
    """Everything :func:`wherry.spec.resolve.resolve` was given."""

    __slots__ = ("defaults", "host", "image", "lookup", "namespaces", "settings", "spec", "warnings")

    def __init__(
        self,
        spec: ContainerSpec,
        image: ImageFacts | None,
        settings: Settings,
        host: HostFacts,
        lookup: Lookup,
        warnings: list[str],
    ) -> None:
        self.spec = spec
        self.image = image
        self.defaults: Mapping[str, Any] = image.config if image is not None else {}
        self.settings = settings
        self.host = host
        self.lookup = lookup
        self.warnings = warnings
        self.namespaces = Namespaces()

    @property
    def privileged(self) -> bool:
        asked = self.spec.privileged
        return bool(self.settings.containers.privileged if asked is None else asked)

    @property
    def read_only(self) -> bool:
        asked = self.spec.read_only
        return bool(self.settings.containers.read_only if asked is None else asked)

    @property
    def writable_tmpfs(self) -> bool:
        """Do /run, /tmp and /var/tmp stay writable although the root file system is not?"""
        return self.read_only and self.spec.read_only_tmpfs is not False

    @property
    def init(self) -> bool:
        asked = self.spec.init
        return bool(self.settings.containers.init if asked is None else asked)

    @property
    def user(self) -> str:
        """Who the process runs as: as asked, or as the image says; empty is root."""
        return self.spec.user or self.defaults.get("User") or ""

    @property
    def in_user_namespace(self) -> bool:
        return self.host.rootless or self.namespaces.new_user
