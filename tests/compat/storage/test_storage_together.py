"""Everybody works on one store at the same time."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator

import pytest
from tests.compat.storage.conftest import NAME, mounts_below
from tests.helpers.images import MadeImage, make_image, random_tar, write_docker_archive
from tests.helpers.podman import Tools
from tests.helpers.stores import add, store_at

from wherry.errors import Corrupt, ImageInUse, InUse, NoSuchContainer, NoSuchImage, NoSuchLayer
from wherry.model.ids import generate_id

pytestmark = [pytest.mark.compat, pytest.mark.slow]

SECONDS = 20


def turns(deadline: float, done: list[int]) -> Iterator[int]:
    """At least one turn, then as many as there is time for."""
    while not done or time.monotonic() < deadline:
        yield len(done)
        done.append(1)


def our_containers(base: str, number: int, each: Iterator[int]) -> None:
    store = store_at(base)
    image = store.find_image(NAME)
    for _ in each:
        name = f"ours{number}-{random.randrange(10**9)}"
        if random.random() < 0.5:
            identity = store.create_container(
                generate_id(), name=name, image_id=image.id, image_name=NAME, volatile=random.random() < 0.5
            ).id
            path = store.mount_container(identity)
        else:
            record, path = store.create_and_mount(generate_id(), name=name, image_id=image.id, image_name=NAME)
            identity = record.id
        with open(f"{path}/mine", "w") as file:
            file.write(name)
        assert store.mount_container(identity) == path
        assert not store.unmount_container(identity)
        assert open(f"{path}/mine").read() == name
        assert os.path.exists(f"{path}/bin/busybox")
        if random.random() < 0.7:
            assert store.unmount_container(identity)
            assert not os.path.exists(f"{path}/mine")
        store.delete_container(identity)


def our_images(base: str, number: int, each: Iterator[int]) -> None:
    store = store_at(base)
    bottom = store.find_image(NAME)
    for _ in each:
        made = make_image([random_tar(20_000)])
        below = store.layer_chain(bottom.layer)
        parent = below[-1].id
        name = f"localhost/ours{number}:{random.randrange(10**9)}"
        layer = store.add_layer(parent, io.BytesIO(made.layers[0]))
        image = store.add_image(config=made.config, manifest=made.manifest, layer=layer.id, names=[name])
        assert store.find_image(name).id == image.id
        assert b"".join(store.layer_tar(layer.id)) == made.layers[0]
        store.add_names(image.id, [name + "b"])
        assert layer.id in store.delete_image(image.id)


def podmans(base: str, number: int, each: Iterator[int]) -> None:
    tools = Tools(base)
    for _ in each:
        made = make_image([random_tar(20_000)])
        name = f"localhost/theirs{number}:{random.randrange(10**9)}"
        archive = write_docker_archive(f"{base}/archive{number}.tar", [(made, [name])])
        tools.podman("load", "-q", "-i", archive)
        container = tools.podman("create", "--name", f"theirs{number}-{random.randrange(10**9)}", NAME, "true")
        path = tools.podman("mount", container)
        with open(f"{path}/theirs", "w") as file:
            file.write(name)
        tools.podman("ps", "-a")
        assert open(f"{path}/theirs").read() == name
        tools.podman("umount", container)
        tools.podman("rm", container)
        tools.podman("rmi", name)


def strangers(base: str, number: int, each: Iterator[int]) -> None:
    """Looks at everything and deletes what it can of the others' images."""
    store = store_at(base)
    for _ in each:
        for container in store.containers():
            try:
                store.container_size(container.id)
            except (NoSuchContainer, NoSuchLayer):
                pass
        for image in store.images():
            try:
                assert store.image_size(image.id) > 0
                store.image_config(image.id)
            except NoSuchImage:
                pass
            except Corrupt:
                # Old Podman records an image before its documents.
                assert not image.names
        try:
            store.delete_image(store.find_image(NAME).id)
            raise AssertionError("an image in use was deleted")
        except (ImageInUse, InUse):
            pass
        store.check()


def run(work, base: str, number: int, deadline: float, results) -> None:  # type: ignore[no-untyped-def]
    done: list[int] = []
    try:
        work(base, number, turns(deadline, done))
        results.put((work.__name__, len(done), ""))
    except BaseException:
        results.put((work.__name__, len(done), traceback.format_exc()))


def test_podman_and_we_in_parallel(base: str, made: MadeImage) -> None:
    store = store_at(base)
    image = add(store, made, NAME)
    keeper, path = store.create_and_mount(generate_id(), name="keeper", image_id=image.id, image_name=NAME)
    with open(f"{path}/kept", "w"):
        pass
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    deadline = time.monotonic() + SECONDS
    workers = [
        context.Process(target=run, args=(work, base, number, deadline, results))
        for number, work in enumerate([our_containers, our_containers, our_images, podmans, podmans, strangers])
    ]
    for worker in workers:
        worker.start()
    finished = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    for name, count, failure in finished:
        assert not failure, f"{name} after {count} turns: {failure}"
        assert count > 0
    assert os.path.exists(f"{path}/kept")
    assert [container.id for container in store.containers()] == [keeper.id]
    assert [found.id for found in store.images()] == [image.id]
    assert store.mounted()[keeper.layer].count == 1
    assert store.check(full=True) == []
    store.delete_container(keeper.id)
    store.delete_image(image.id)
    assert store.layers() == []
    assert mounts_below(f"{base}/g/overlay") == []


def test_threads_of_one_process(base: str, made: MadeImage) -> None:
    """One store object, several threads."""
    store = store_at(base)
    image = add(store, made, NAME)
    failures: list[str] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                record, path = store.create_and_mount(
                    generate_id(), name=f"c{number}-{turn}", image_id=image.id, image_name=NAME
                )
                assert os.path.exists(f"{path}/bin/busybox")
                assert record.id in {container.id for container in store.containers()}
                store.delete_container(record.id)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.containers() == []
    assert store.check() == []


def test_a_reader_of_a_layer_keeps_it_from_being_deleted(base: str, made: MadeImage) -> None:
    """While a layer is read (a push), Podman waits with deleting it."""
    store, tools = store_at(base), Tools(base)
    image = add(store, made, NAME)
    pieces = store.layer_tar(image.layer)
    read = [next(pieces)]
    removal = tools.start("rmi", NAME)
    with pytest.raises(subprocess.TimeoutExpired):
        removal.wait(timeout=1)
    read += list(pieces)
    assert b"".join(read) == made.layers[-1]
    assert removal.wait(timeout=20) == 0
    removal.communicate()
    assert store.images() == []
