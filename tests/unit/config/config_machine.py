"""A machine of its own for every test: base directories below tmp_path and an environment that is a plain dict."""

from __future__ import annotations

from pathlib import Path

from wherry.config.places import Places


class Machine:
    """Files at made-up places. ``write("etc/containers.conf", text)`` and so on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {}
        self.uid = 0
        for name in ("etc", "share", "run", "var", "home", "user-run"):
            (root / name).mkdir()

    def write(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def path(self, name: str) -> str:
        return str(self.root / name)

    @property
    def places(self) -> Places:
        rootless = self.uid != 0
        home = self.path("home")
        runtime_dir = self.path("user-run") if rootless else self.path("run")
        return Places(
            environ=dict(self.environ),
            uid=self.uid,
            rootless=rootless,
            home=home,
            config_home=self.environ.get("XDG_CONFIG_HOME") or f"{home}/.config",
            data_home=f"{home}/.local/share",
            cache_home=f"{home}/.cache",
            runtime_dir=runtime_dir,
            cache_dir=f"{runtime_dir}/wherry",
            etc=self.path("etc"),
            share=self.path("share"),
            run=self.path("run"),
            var=self.path("var"),
        )
