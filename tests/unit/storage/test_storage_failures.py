"""A refusing file system leads to a clear error and leaves nothing half-made; a dying process leaves what heals."""

from __future__ import annotations

import errno
import io
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.images import digest_of, files_tar, make_image
from tests.helpers.stores import add, store_at

from wherry.errors import NoSpace, PermissionRefused, ReadOnly, WherryError
from wherry.model.ids import generate_id
from wherry.storage import bigdata, jsonstore
from wherry.storage.store import Store
from wherry.sys.files import remove_tree

LAYERS = [files_tar({"a": b"12345"}), files_tar({"b": b"123"})]
MADE = make_image(LAYERS)
OTHER = make_image([files_tar({"other": b"1"})])
CONTAINER = "c" * 63 + "1"
NEW_CONTAINER = "c" * 63 + "2"

#: Calls that change something on disk, by module.
MUTATING = [
    (os, name) for name in "mkdir symlink rename unlink rmdir pwrite chmod chown write mknod link utime".split()
] + [(jsonstore, "atomic_write"), (bigdata, "atomic_write")]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)


def prepared(base: Path) -> Store:
    store = store_at(base)
    image = add(store, MADE, "localhost/x:1")
    store.create_container(CONTAINER, name="c", image_id=image.id, image_name="x")
    return store


def snapshot(store: Store) -> tuple[object, ...]:
    """What a user sees of the store."""
    return (
        sorted(image.id for image in store.images()),
        sorted(layer.id for layer in store.layers() if layer.diff_digest),
        sorted(container.id for container in store.containers()),
        sorted(str(image.names) for image in store.images()),
    )


def create(store: Store) -> object:
    return store.create_container(NEW_CONTAINER, name="new", image_id=MADE.id, image_name="x")


def delete(store: Store) -> object:
    return store.delete_container(CONTAINER)


def rename(store: Store) -> object:
    return store.rename_container(CONTAINER, "renamed")


def add_layer(store: Store) -> object:
    return store.add_layer("", io.BytesIO(OTHER.layers[0]), diff_id=OTHER.diff_ids[0])


def add_layer_of_unknown_content(store: Store) -> object:
    return store.add_layer(MADE_TOP, io.BytesIO(OTHER.layers[0]))


MADE_TOP = digest_of(f"{digest_of(LAYERS[0])[7:]}+{digest_of(LAYERS[1])[7:]}".encode())[7:]


def add_image(store: Store) -> object:
    return store.add_image(
        config=OTHER.config, manifest=OTHER.manifest, layer=digest_of(LAYERS[0])[7:], names=["localhost/x:1"]
    )


def add_manifest(store: Store) -> object:
    packed = make_image(LAYERS, compressed=True)
    return store.add_image(config=packed.config, manifest=packed.manifest, layer=MADE_TOP, names=["localhost/y:1"])


def delete_image(store: Store) -> object:
    store.delete_container(CONTAINER)
    return store.delete_image(MADE.id)


def tag(store: Store) -> object:
    return store.add_names(MADE.id, ["localhost/z:1"])


OPERATIONS = [
    create, delete, rename, add_layer, add_layer_of_unknown_content, add_image, add_manifest, delete_image, tag,
]


class Injected:
    """Lets the *nth* changing call do something else."""

    def __init__(self, patch: pytest.MonkeyPatch, nth: int, action: Callable[[str], None]) -> None:
        self.left = nth
        for module, name in MUTATING:
            patch.setattr(module, name, self.wrap(getattr(module, name), action))

    def wrap(self, real: Callable[..., object], action: Callable[[str], None]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            self.left -= 1
            if self.left == 0:
                action(str(args[0]))
            return real(*args, **more)

        return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("operation", [create, add_layer, add_layer_of_unknown_content, add_image, add_manifest, tag])
def test_what_cannot_be_finished_was_never_begun(
    operation: Callable[[Store], object], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {errno.ENOSPC: NoSpace, errno.EROFS: ReadOnly, errno.EACCES: PermissionRefused}
    store = prepared(tmp_path)
    before = snapshot(store)

    def refuse(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    for nth in range(1, 400):
        with monkeypatch.context() as patch:
            injected = Injected(patch, nth, refuse)
            try:
                operation(store)
            except WherryError as error:
                assert isinstance(error, kinds[number]), error
                assert os.strerror(number).lower() in str(error)
            else:
                break
        assert snapshot(store) == before, nth
        assert store.check() == [], nth
    assert injected.left > 0 or nth > 3
    assert store.check(full=True) == []
    assert snapshot(store) != before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_process_may_die_anywhere(operation: Callable[[Store], object], tmp_path: Path) -> None:
    """Every step of every operation is the last of some process; the next one finds or makes the store whole."""
    for nth in range(1, 400):
        base = tmp_path / str(nth)
        prepared(base)
        if not dies(base, operation, nth):
            break
        store = store_at(base)
        seen = [container.id for container in store.containers()]
        add_layer(store)                                    # opens the layers for writing
        assert not [layer for layer in store.layers() if layer.is_incomplete], nth
        damages = store.check()
        assert all(damage.repairable for damage in damages), (nth, damages)
        assert store.repair(damages) == [], nth
        assert store.check(full=True) == [], nth
        assert {container.id for container in store.containers()} <= set(seen)
        # What was asked for can be asked for again.
        for container in store.containers():
            store.delete_container(container.id)
        image = add(store, MADE, "localhost/x:1")
        store.create_container(generate_id(), name="again", image_id=image.id, image_name="x")
        assert store.check(full=True) == []
    assert nth > 3


def refill(store: Store) -> object:
    return store.refill_layer(MADE_TOP, io.BytesIO(LAYERS[1]))


@pytest.mark.parametrize("missing", ["diff", "."])
def test_a_process_may_die_anywhere_while_it_mends_a_layer(missing: str, tmp_path: Path) -> None:
    """The layer is as damaged as before, or whole; and it can be mended again."""
    for nth in range(1, 400):
        base = tmp_path / str(nth)
        store = prepared(base)
        remove_tree(os.path.normpath(f"{base}/g/overlay/{MADE_TOP}/{missing}"))
        assert store.is_layer_damaged(MADE_TOP)
        if not dies(base, refill, nth):
            break
        store = store_at(base)
        add_layer(store)                                    # opens the layers for writing
        assert not [layer for layer in store.layers() if layer.is_incomplete], nth
        if store.is_layer_damaged(MADE_TOP):
            refill(store)
        store.repair(store.check())
        assert store.check(full=True) == [], nth
        assert b"".join(store.layer_tar(MADE_TOP)) == LAYERS[1]
    assert nth > 3
    assert store_at(base).check(full=True) == []


def dies(base: Path, operation: Callable[[Store], object], nth: int) -> bool:
    """Run *operation* in a child that ends at its *nth* change; False when it got through."""
    pid = os.fork()
    if pid == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                Injected(patch, nth, lambda _: os._exit(7))
                operation(store_at(base))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(9)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 7)
    return status == 7


def test_reading_a_store_one_may_not_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tmp_path / "g").mkdir(mode=0)
    with pytest.raises(PermissionRefused, match="locking the store"):
        store_at(tmp_path).images()
