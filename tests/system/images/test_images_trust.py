"""policy.json is obeyed before anything is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wherry import Runtime
from wherry.registry.signatures import Rejected

pytestmark = pytest.mark.system


def test_a_rejected_image_leaves_nothing(runtime: Runtime, loaded: str, registry: Any, tmp_path: Path) -> None:
    name = f"{registry.host}/team/app:1"
    runtime.images.push(loaded, name, tls_verify=False)
    runtime.images.remove(loaded)
    path = tmp_path / "policy.json"
    path.write_text('{"default": [{"type": "reject"}]}')
    with pytest.raises(Rejected, match=f"Running image docker://{name} is rejected by policy"):
        runtime.images.pull(name, tls_verify=False, signature_policy=str(path))
    assert runtime.store.images() == [] and runtime.store.layers() == []
    path.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    assert runtime.images.pull(name, tls_verify=False, signature_policy=str(path)).names == [name]
