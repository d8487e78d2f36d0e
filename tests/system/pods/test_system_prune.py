"""system prune and reset: what goes and what stays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import mounts_below
from tests.system.fixtures.engine import IMAGE, open_runtime

from wherry.engine.reset import reset
from wherry.engine.runtime import Runtime
from wherry.engine.system_prune import prune

pytestmark = pytest.mark.system


@pytest.fixture
def own(layout: Path, tmp_path: Path) -> Iterator[Runtime]:
    """An engine of this test's own."""
    with open_runtime(tmp_path) as runtime:
        runtime.images.load(str(layout))
        yield runtime
    for point in sorted(mounts_below(str(tmp_path)), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], check=False)


def test_prune_takes_what_nobody_uses(own: Runtime) -> None:
    own.volumes.create("unused")
    done = own.containers.create(IMAGE, ["sh", "-c", "echo 12345 > /file"], network="none")
    done.start()
    done.wait(timeout=30)
    busy = own.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["used:/d"])
    ended = own.pods.create("ended", network="none")
    ended.start()
    ended.stop(0)
    gone = prune(own)
    assert gone.pods == [ended.id]
    assert gone.containers == [done.id]
    assert not gone.volumes
    assert gone.reclaimed >= 6
    assert prune(own, volumes=True).volumes == ["unused"]
    assert own.images.exists(IMAGE)
    busy.remove(force=True, timeout=0)
    assert prune(own, all=True).images
    assert not own.images.exists(IMAGE)


def test_reset_leaves_the_shared_store(own: Runtime) -> None:
    own.secrets.create("s", b"x")
    with own.volumes.create("v"):
        pod = own.pods.create("p", network="none", volumes=["v:/v"])
        pod.create(IMAGE, ["sleep", "100"])
        pod.start()
        paths = own.paths
        assert reset(own) == []
    assert not os.path.exists(paths.secrets)
    assert own.images.exists(IMAGE)
    assert own.containers.list(all=True) == []
    assert own.pods.list() == []
    assert own.store.containers() == []
