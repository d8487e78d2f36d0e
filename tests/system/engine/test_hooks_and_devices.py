"""OCI hooks and CDI devices in real containers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.engine.conftest import IMAGE, open_runtime
from tests.system.engine.test_options import run

from wherry import errors
from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system


@pytest.fixture
def edited(base: Path, with_runtime: Runtime, tmp_path: Path) -> Iterator[Runtime]:
    """The engine with directories of its own for hooks and CDI specifications: tmp_path/hooks, cdi and run-cdi."""
    for name in ("hooks", "cdi", "run-cdi"):
        (tmp_path / name).mkdir()
    with open_runtime(
        base, runtime=with_runtime.settings.options.runtime, hooks_dir=(str(tmp_path / "hooks"),),  # type: ignore[arg-type]
        cdi_spec_dir=(str(tmp_path / "cdi"), str(tmp_path / "run-cdi")),  # type: ignore[arg-type]
    ) as runtime:
        yield runtime


@pytest.fixture
def hook(tmp_path: Path) -> Callable[..., None]:
    """Writes a hook: its shell commands, its stages and its conditions."""

    def write(name: str, script: str, *stages: str, **when: object) -> None:
        program = tmp_path / f"{name}.sh"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        (tmp_path / f"hooks/{name}.json").write_text(json.dumps({
            "version": "1.0.0", "hook": {"path": str(program), "args": [name, str(tmp_path)]},
            "when": when or {"always": True}, "stages": stages,
        }))

    return write


def test_hooks_run_for_whom_they_are_meant(edited: Runtime, hook: Callable[..., None], tmp_path: Path) -> None:
    hook("told", "cat > $1/state", "createRuntime")
    hook("after", "touch $1/after", "poststop")
    hook("other", "touch $1/other", "createRuntime", commands=["^/bin/sleep"])
    result = edited.containers.run(IMAGE, ["true"], network="none", remove=True)
    state = json.loads((tmp_path / "state").read_text())
    assert state["id"] == result.container_id
    assert state["pid"] > 0
    assert (tmp_path / "after").exists()
    assert not (tmp_path / "other").exists()


def test_a_hook_may_change_the_specification(edited: Runtime, hook: Callable[..., None]) -> None:
    hook("change", "sed 's/OLD=value/NEW=value/'", "precreate", hasBindMounts=True)
    assert "OLD=value" in run(edited, "env", environment={"OLD": "value"})
    assert "NEW=value" in run(edited, "env", environment={"OLD": "value"}, volumes=["/tmp:/x"])


def test_a_failing_hook_fails_the_start(edited: Runtime, hook: Callable[..., None]) -> None:
    hook("no", "echo not today >&2; exit 3", "precreate")
    with pytest.raises(errors.RuntimeFailed, match=r"precreate hook .*/no.sh: exit status 3: not today"):
        run(edited, "true")
    hook("no", "exit 3", "createRuntime")
    with pytest.raises(errors.RuntimeFailed, match="hook"):
        run(edited, "true")


def test_a_broken_hook_file_is_told(edited: Runtime, tmp_path: Path) -> None:
    (tmp_path / "hooks/bad.json").write_text("{")
    with pytest.raises(errors.InvalidArgument, match=r"parsing hook .*bad.json"):
        run(edited, "true")


def test_devices(edited: Runtime, tmp_path: Path) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("the host has no /dev/fuse")
    (tmp_path / "file").write_text("mounted\n")
    (tmp_path / "cdi/thing.yaml").write_text(f"""
cdiVersion: 0.6.0
kind: example.com/thing
devices:
- name: one
  containerEdits:
    env: [GIVEN=yes]
    deviceNodes:
    - path: /dev/mine
      hostPath: /dev/fuse
    mounts:
    - hostPath: {tmp_path}/file
      containerPath: /etc/thing
      options: [ro]
""")
    command = "echo $GIVEN; cat /etc/thing; true < /dev/mine && echo read"
    found = run(edited, "sh", "-c", command, devices=["example.com/thing=one"])
    assert found.split() == ["yes", "mounted", "read"]
    with edited.containers.create(IMAGE, ["true"], network="none", devices=["example.com/thing=two"]) as container, \
            pytest.raises(errors.InvalidArgument, match="unresolvable CDI devices example.com/thing=two"):
        container.start()


def test_graphics_processors(edited: Runtime, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match="unresolvable CDI devices nvidia.com/gpu=all"):
        run(edited, "true", gpus=["all"])
    (tmp_path / "run-cdi/amd.json").write_text(json.dumps({
        "cdiVersion": "0.6.0", "kind": "amd.com/gpu",
        "devices": [{"name": name, "containerEdits": {"env": [f"GPU_{name}=1"]}} for name in ("0", "all")],
    }))
    assert "GPU_all=1" in run(edited, "env", gpus=["all"])
    assert "GPU_0=1" in run(edited, "env", gpus=["0"])
