"""For whom configuration is read, and the directories it is read from."""

from __future__ import annotations

import os

from wherry.config.environment import environ
from wherry.model.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Places(Record):
    """The user and the base directories; tests make their own."""

    environ: Mapping[str, str] = EMPTY
    uid: int = 0                   # of the user, also inside the user namespace of a rootless engine
    rootless: bool = False
    home: str = "/"
    config_home: str = ""          # $XDG_CONFIG_HOME
    data_home: str = ""            # $XDG_DATA_HOME
    cache_home: str = ""           # $XDG_CACHE_HOME
    runtime_dir: str = "/run"      # rootless: the user's runtime directory
    cache_dir: str = ""            # where parsed configuration is kept; empty: nowhere
    etc: str = "/etc/containers"
    share: str = "/usr/share/containers"
    run: str = "/run"
    var: str = "/var"

    def with_environment(self, changes: Mapping[str, str]) -> Places:
        """The same places with other values for some environment variables."""
        return self.replace(environ={**self.environ, **changes}) if changes else self

    def identity(self) -> list[object]:
        """Everything but the environment, for comparison with what a cache was made for."""
        return [
            self.uid, self.rootless, self.home, self.config_home, self.data_home, self.cache_home, self.runtime_dir,
            self.etc, self.share, self.run, self.var,
        ]


def current() -> Places:
    """The places of this process.

    Rootless means: not root, or root only inside the user namespace a rootless tool of the containers family set up
    (``_CONTAINERS_USERNS_CONFIGURED``), in which case the user id outside comes from ``_CONTAINERS_ROOTLESS_UID``.
    """
    variables = dict(environ())
    uid = os.geteuid()
    rootless = uid != 0
    if uid == 0 and variables.get("_CONTAINERS_USERNS_CONFIGURED"):
        outside = variables.get("_CONTAINERS_ROOTLESS_UID", "")
        if outside.isdigit() and outside != "0":
            uid = int(outside)
            rootless = True
    home = variables.get("HOME") or _home_of(uid)
    runtime_dir, private = _runtime_dir(variables, uid) if rootless else ("/run", True)
    return Places(
        environ=variables,
        uid=uid,
        rootless=rootless,
        home=home,
        config_home=variables.get("XDG_CONFIG_HOME") or f"{home}/.config",
        data_home=variables.get("XDG_DATA_HOME") or f"{home}/.local/share",
        cache_home=variables.get("XDG_CACHE_HOME") or f"{home}/.cache",
        runtime_dir=runtime_dir,
        cache_dir=f"{runtime_dir}/wherry" if private else "",
    )


def _home_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def _runtime_dir(variables: Mapping[str, str], uid: int) -> tuple[str, bool]:
    """The runtime directory of an ordinary user, and whether it is certain to be nobody else's."""
    named = variables.get("XDG_RUNTIME_DIR")
    if named:
        return named, True
    usual = f"/run/user/{uid}"
    try:
        if os.stat(usual).st_uid == os.geteuid():
            return usual, True
    except OSError:
        pass
    return f"{variables.get('TMPDIR') or '/tmp'}/storage-run-{uid}", False
