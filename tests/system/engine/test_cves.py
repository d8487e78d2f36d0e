"""What went wrong in engines before, on real containers; those about copies are in tests/system/containers."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.helpers import images
from tests.system.engine.conftest import IMAGE, open_runtime
from tests.system.engine.test_options import capabilities, run, status

from wherry import errors
from wherry.engine import user_ranges
from wherry.engine.runtime import Runtime
from wherry.model.mount import IDMap

pytestmark = pytest.mark.system

Maker = Callable[..., str]


@pytest.fixture
def image_with(base: Path, tmp_path: Path) -> Iterator[Maker]:
    """Makes images of busybox and further members; to be named before ``rt``, which counts layers."""
    made: list[str] = []
    with open_runtime(base) as runtime:

        def make(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], **config: object) -> str:
            tar = images.tar_of([
                *(images.directory(name) for name in ("bin", "dev", "proc", "sys", "tmp")),
                (images.regular("bin/busybox", 0o755), Path(images.BUSYBOX).read_bytes()),
                *(images.symlink(f"bin/{name}", "busybox") for name in ("sh", "cat", "id", "pwd", "true", "ls")),
                *members,
            ])
            name = f"localhost/test/hostile{len(made)}:latest"
            image = images.make_image([tar], config=config)
            runtime.images.load(images.write_docker_archive(f"{tmp_path}/image.tar", [(image, [name])]))
            made.append(name)
            return name

        yield make
        for name in made:
            if runtime.images.exists(name):
                runtime.images.remove(name, force=True)


def fifo(name: str) -> tarfile.TarInfo:
    member = images.regular(name)
    member.type = tarfile.FIFOTYPE
    return member


def test_cve_2022_27649_inheritable_capabilities_are_empty(with_runtime: Runtime) -> None:
    for options in ({}, {"user": "user"}, {"cap_add": ["sys_admin"]}, {"privileged": True}):
        text = run(with_runtime, "cat", "/proc/self/status", **options)
        assert capabilities(text, "CapInh") == set()
        assert capabilities(text, "CapAmb") == set()
    with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], network="none", user="user") as box:
        for words in ({}, {"user": "0"}, {"privileged": True}, {"privileged": True, "user": "1000"}):
            text = box.exec(["cat", "/proc/self/status"], **words).stdout  # type: ignore[arg-type]
            assert capabilities(text, "CapInh") == set()


def test_cve_2024_21626_no_descriptor_of_the_host_leaks(with_runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    held = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    kept = os.dup2(held, 40, inheritable=True)
    listing = ["sh", "-c", "for fd in /proc/$$/fd/*; do readlink $fd; done; true"]
    try:
        with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as box:
            for text in (run(with_runtime, *listing), box.exec(listing).stdout):
                places = {line.partition(":")[0] for line in text.splitlines()}
                assert {place for place in places if not place.startswith("/proc/")} <= {"pipe", "/dev/null"}
            for number in (*range(3, 16), kept):
                for attempt in (
                    lambda place: run(with_runtime, "ls", workdir=place),
                    lambda place: box.exec(["ls"], workdir=place).stdout,
                ):
                    try:
                        assert "secret" not in attempt(f"/proc/self/fd/{number}")
                    except (errors.WherryError, AssertionError) as error:
                        assert "secret" not in str(error)
    finally:
        os.close(held)
        os.close(kept)


def test_cve_2020_14370_variables_do_not_reach_the_next_container(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["env"], network="none", environment={"FIRST": "secret"}) as first, \
            rt.containers.create(IMAGE, ["env"], network="none", environment={"SECOND": "x"}) as second:
        for container, name, other in ((first, "FIRST", "SECOND"), (second, "SECOND", "FIRST")):
            container.start()
            assert container.wait(timeout=20) == 0
            text = "\n".join(line.text for line in container.logs())
            assert name in text
            assert other not in text
            assert container.exec_sessions() == []
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as box:
        assert "ONCE=1" in box.exec(["env"], environment={"ONCE": "1"}).stdout
        assert "ONCE" not in box.exec(["env"]).stdout


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_cve_2024_9676_accounts_are_read_inside_the_image_only(
    image_with: Maker, rt: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Links to the host, to endless devices, FIFOs: none is followed, read for ever or waited on."""
    (tmp_path / name).write_text("intruder:x:4242:4242::/:/bin/sh\n")
    owned = [IDMap(container_id=0, host_id=500000, size=65536)]
    monkeypatch.setattr(user_ranges, "_owned", lambda kind, user: owned)
    hostile = [
        images.symlink(f"etc/{name}", f"{'../' * 12}{tmp_path}/{name}".replace("//", "/")),
        images.symlink(f"etc/{name}", "/dev/zero"), fifo(f"etc/{name}"),
    ]
    for member in hostile:
        image = image_with(images.directory("etc"), member)
        with pytest.raises(errors.WherryError, match="no matching entries"):
            rt.containers.run(image, ["true"], network="none", remove=True, timeout=20, user="intruder:intruder")
        result = rt.containers.run(
            image, ["cat", "/proc/self/uid_map"], network="none", remove=True, timeout=20, userns="auto"
        )
        assert result.stdout.split()[:2] == ["0", "500000"]
        rt.images.remove(image, force=True)


def test_cve_2026_55686_a_working_directory_behind_a_link_is_not_made_on_the_host(
    image_with: Maker, rt: Runtime, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    image = image_with(images.symlink("link", f"{'../' * 12}{outside}".replace("//", "/")), WorkingDir="/link/made")
    try:
        result = rt.containers.run(image, ["pwd"], network="none", remove=True)
        assert result.exit_code == 0
    except errors.WherryError:
        pass        # refusing is as good
    assert list(outside.iterdir()) == []
    rt.images.remove(image, force=True)


def test_cve_2022_2989_the_primary_group_is_a_supplementary_one(with_runtime: Runtime) -> None:
    """Without it a file that denies the group everything would be open to others of the same process."""
    assert status(run(with_runtime, "cat", "/proc/self/status", user="1000:3000"), "Groups").split() == ["3000"]
    command = "echo x > /tmp/f; chown 0:3000 /tmp/f; chmod 604 /tmp/f"
    with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], network="none", user="1000:3000") as box:
        box.exec(["sh", "-c", command], user="0")
        assert "denied" in box.exec(["cat", "/tmp/f"]).stderr
