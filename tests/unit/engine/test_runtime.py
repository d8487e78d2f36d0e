"""What a runtime is made from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.engine.exit_command import environment, exit_command
from wherry.engine.runtime import Runtime


def make(tmp_path: Path, **options: str) -> Runtime:
    return Runtime(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"), storage_driver="vfs", **options)


def test_config_replaces_the_hosts_configuration_for_the_exit_command_too(tmp_path: Path) -> None:
    conf = tmp_path / "mine.conf"
    conf.write_text('[containers]\nlog_driver = "none"\n[engine]\nstop_timeout = 3\n')
    with make(tmp_path, config=str(conf)) as runtime:
        assert runtime.settings.containers.log_driver == "none"
        assert runtime.settings.engine.stop_timeout == 3
        assert f"CONTAINERS_CONF={conf}" in environment(runtime)


def test_the_exit_command_starts_the_same_engine(tmp_path: Path) -> None:
    with make(tmp_path, cgroup_manager="cgroupfs") as runtime:
        words = exit_command(runtime, "a" * 64)
    assert words[-3:] == ["container", "cleanup", "a" * 64]
    assert f"--root={tmp_path}/root" in words
    assert f"--runroot={tmp_path}/run" in words
    assert "--storage-driver=vfs" in words
    assert "--cgroup-manager=cgroupfs" in words


def test_nothing_is_made_before_it_is_used(tmp_path: Path) -> None:
    with make(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="bogus"):
        make(tmp_path, bogus="x")
