"""Listing, creating, mounting and deleting containers load nothing expensive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.images import files_tar, make_image
from tests.helpers.stores import add, store_at

EXPENSIVE = {
    "asyncio", "collections", "contextlib", "ctypes", "dataclasses", "datetime", "enum", "functools", "hashlib",
    "inspect", "json", "logging", "pathlib", "re", "shutil", "socket", "sqlite3", "ssl", "struct", "subprocess",
    "tempfile", "threading", "tomllib", "typing", "queue",
}

SCRIPT = """
import sys
sys.path.insert(0, {source!r})
from wherry.config.settings import StorageSettings
from wherry.storage.store import Store
store = Store(StorageSettings(driver="overlay", graph_root={base!r} + "/g", run_root={base!r} + "/r"))
store.images(), store.containers()
image = store.find_image("localhost/x:1")
store.image_config(image.id)
store.create_container("c" * 64, name="c", image_id=image.id, image_name="x", volatile=True)
if {mount}:
    store.mount_container("c" * 64)
    store.unmount_container("c" * 64)
store.rename_container("c" * 64, "d")
store.delete_container("c" * 64)
print(*sys.modules)
"""


def modules(tmp_path: Path, *, mount: bool) -> set[str]:
    import wherry

    add(store_at(tmp_path), make_image([files_tar({"a": b""})]), "localhost/x:1")
    script = SCRIPT.format(source=str(Path(wherry.__file__).parent.parent), base=str(tmp_path), mount=mount)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_without_a_mount_not_even_libc_is_called(tmp_path: Path) -> None:
    loaded = modules(tmp_path, mount=False)
    assert not loaded & (EXPENSIVE | {"_ctypes"})
    assert not {name for name in loaded if name.startswith("wherry.archive.")}


def test_a_mount_loads_only_the_c_part_of_ctypes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return
    loaded = modules(tmp_path, mount=True)
    assert "_ctypes" in loaded
    assert not loaded & EXPENSIVE
    subprocess.run(["umount", "-l", f"{tmp_path}/g/overlay"], check=True)
