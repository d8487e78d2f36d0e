"""The runtimes of this host: what they can do, and which one is chosen."""

from __future__ import annotations

import os

import pytest

from wherry.config.settings import EngineSettings
from wherry.oci.choose import choose, find_conmon
from wherry.oci.runtime import OciRuntime
from wherry.sys import processes

pytestmark = pytest.mark.system


def test_features_of_the_installed_runtimes(runtime: OciRuntime) -> None:
    found = runtime.features()
    assert found.seccomp
    assert found.cgroup_v2
    assert set(found.namespaces) >= {"ipc", "mount", "network", "pid", "user", "uts"}
    assert runtime.version().startswith(runtime.name)


def test_a_runtime_and_conmon_are_found() -> None:
    engine = EngineSettings()
    chosen = choose(engine)
    assert os.access(chosen.runtime.path, os.X_OK)
    assert chosen.explanation.startswith(chosen.runtime.name + ": ")
    assert find_conmon(engine) == processes.find_program("conmon")
