"""What cannot be done: Podman's words and exit codes, and nothing left behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.helpers import podman
from tests.system.engine.conftest import IMAGE, open_runtime

from wherry import errors
from wherry.engine.runtime import Runtime
from wherry.oci.runtime import OciRuntime

pytestmark = pytest.mark.system


def is_untouched(rt: Runtime) -> None:
    """Nothing was made (the fixture looks for the rest)."""
    assert rt.containers.list(all=True) == []
    assert rt.state.volumes() == []
    assert rt.check(quick=True) == []


# -- names -------------------------------------------------------------------------------------------------------------

def test_unknown_image(rt: Runtime) -> None:
    for verb in (rt.containers.create, rt.containers.run, rt.containers.start_detached):
        with pytest.raises(errors.NoSuchImage, match="^localhost/nope:1: image not known$") as caught:
            verb("localhost/nope:1", ["true"], pull="never")
        assert caught.value.exit_code == 125
    with pytest.raises(errors.NoSuchImage, match="image not known"):
        rt.images.get("nope")
    is_untouched(rt)


def test_a_registry_that_does_not_answer(rt: Runtime) -> None:
    with pytest.raises(errors.WherryError, match="127.0.0.1:9/nope") as caught:
        rt.containers.run("127.0.0.1:9/nope:1", ["true"], retry=0)
    assert caught.value.exit_code == 125
    is_untouched(rt)


def test_unknown_container(rt: Runtime) -> None:
    with pytest.raises(errors.NoSuchContainer, match='^no container with name or ID "nope" found: no such container$'):
        rt.containers.get("nope")


def test_handle_of_a_container_that_is_gone(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, ["true"], network="none")
    container.remove()
    for verb in (container.start, container.stop, container.remove, container.pause, container.inspect, container.kill,
                 container.init, container.restart, lambda: container.exec(["true"]), lambda: container.status):
        with pytest.raises(errors.NoSuchContainer, match=f'no container with name or ID "{container.id}" found'):
            verb()


def test_ambiguous_prefix(rt: Runtime) -> None:
    made = [rt.containers.create(IMAGE, ["true"], network="none") for _ in range(17)]       # two begin alike
    firsts = [container.id[0] for container in made]
    twice = next(letter for letter in firsts if firsts.count(letter) > 1)
    with pytest.raises(errors.ContainerExists) as caught:
        rt.containers.get(twice)
    assert str(caught.value) == f'more than one result for container "{twice}": container already exists'
    assert caught.value.exit_code == 125
    for container in made:
        rt.containers.get(container.id[:-1]).remove()


def test_name_in_use(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["true"], name="taken", network="none") as first:
        with pytest.raises(errors.NameInUse) as caught:
            rt.containers.create(IMAGE, ["true"], name="taken", volumes=["/data"])
        assert str(caught.value) == (
            f'creating container storage: the container name "taken" is already in use by {first.id}. You have to '
            'remove '
            "that container to be able to reuse that name: that name is already in use, or use --replace to instruct "
            "Podman to do so."
        )
        assert caught.value.exit_code == 125
    is_untouched(rt)


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_name_another_engine_uses(layout: Path, tmp_path: Path, engine: str) -> None:
    missing = podman.missing_tools()
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    tools = podman.Tools(f"/var/tmp/w{os.getpid()}{engine[0]}")     # Podman refuses run roots of over 50 characters
    try:
        with Runtime(root=tools.graph_root, runroot=tools.run_root, storage_driver="overlay") as rt:
            rt.images.load(str(layout))
            layers = len(rt.store.layers())
            if engine == "podman":
                identity = tools.podman("create", "--name", "taken", IMAGE, "true").splitlines()[-1]
            else:
                tools.buildah("from", "--name", "taken", IMAGE)
                identity = rt.store.container("taken").id
            for _again in range(2):
                with pytest.raises(errors.NameInUse) as caught:
                    rt.containers.create(IMAGE, ["true"], name="taken", volumes=["/data"])
                assert str(caught.value) == (
                    f'creating container storage: the container name "taken" is already in use by {identity}. You have '
                    "to remove that container to be able to reuse that name: that name is already in use by an "
                    "external "
                    "entity, or use --replace to instruct Podman to do so."
                )
            is_untouched(rt)
            assert [container.id for container in rt.store.containers()] == [identity]
            assert len(rt.store.layers()) == layers + 1
            with pytest.raises(errors.NoSuchContainer):
                rt.containers.get("taken")
            rt.images.load(str(layout))
            with pytest.raises(errors.ImageInUse):
                rt.images.remove(IMAGE)
    finally:
        tools.clean_up()


# -- values ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "bad name!"}, r"names must match \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\]\*: invalid argument"),
        ({"memory": "12q"}, "invalid value for memory: invalid s"),
        ({"cpus": "many"}, "many"),
        ({"pids_limit": "x"}, "x"),
        ({"ports": ["80:"]}, "port"),
        ({"ports": ["99999:80"]}, "99999"),
        ({"ports": ["80:80/icmp"]}, "icmp"),
        ({"volumes": ["/a:relative"]}, "relative"),
        ({"volumes": ["/tmp:/x:nonsense"]}, "nonsense"),
        ({"volumes": ["/tmp:/x", "/var:/x"]}, "/x: duplicate mount destination"),
        ({"mounts": ["type=nonsense,dst=/x"]}, "nonsense"),
        ({"tmpfs": ["/x:nonsense"]}, "nonsense"),
        ({"network": "nope"}, "unable to find network with name or ID nope: network not found"),
        ({"network": "container:nope"}, 'no container with name or ID "nope" found: no such container'),
        ({"environment": ["=x"]}, "="),
        ({"cap_add": ["NONSENSE"]}, "(?i)nonsense"),
        ({"security_opt": ["nonsense"]}, "nonsense"),
        (
            {"security_opt": ["seccomp=/nonexistent.json"]},
            "^opening seccomp profile failed: open /nonexistent.json: no such file or directory$",
        ),
        ({"ulimits": ["nonsense=1"]}, "nonsense"),
        ({"stop_signal": "NONSENSE"}, "(?i)invalid signal: nonsense"),
        ({"restart": "sometimes"}, "sometimes"),
        ({"restart": "always", "remove": True}, "--rm.*--restart|--restart.*--rm"),
        ({"pull": "sometimes"}, "sometimes"),
        ({"devices": ["/dev/nonsense"]}, "/dev/nonsense: no such file or directory"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"umask": "999"}, "999"),
        ({"log_driver": "nonsense"}, "invalid log driver: invalid argument"),
        ({"ip": "not-an-address"}, "not-an-address"),
        ({"extra_hosts": ["nonsense"]}, "nonsense"),
        ({"shm_size": "-1"}, "-1"),
        ({"sysctls": {"nonsense": "1"}}, "nonsense"),
    ],
)
def test_bad_values(rt: Runtime, options: dict[str, object], words: str) -> None:
    with pytest.raises(errors.WherryError, match=words) as caught:
        rt.containers.create(IMAGE, ["true"], **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 125
    assert caught.value.kind in (errors.INVALID, errors.NOT_FOUND)
    is_untouched(rt)


def test_cid_file_that_cannot_be_written(rt: Runtime) -> None:
    with pytest.raises(errors.WherryError, match="^opening cidfile /proc/nonsense"):
        rt.containers.create(IMAGE, ["true"], network="none", cid_file="/proc/nonsense", volumes=["/data"])
    is_untouched(rt)


# -- commands ----------------------------------------------------------------------------------------------------------

def fails(rt: Runtime, kind: type[errors.WherryError], code: int, words: str, **options: object) -> None:
    """Running fails, removing what was made; starting fails and leaves the container as it was."""
    command = options.pop("command", ["true"])
    with pytest.raises(kind, match=words) as caught:
        rt.containers.run(IMAGE, command, remove=True, network="none", **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == code
    with pytest.raises(kind, match=words):
        rt.containers.start_detached(IMAGE, command, network="none", **options)  # type: ignore[arg-type]
    is_untouched(rt)
    container = rt.containers.create(IMAGE, command, network="none", **options)  # type: ignore[arg-type]
    for _again in range(2):
        with pytest.raises(kind, match=words):
            container.start()
        assert container.status == "created"
    assert re.search(words, container.inspect()["State"]["Error"])
    assert rt.check(quick=True) == []
    container.remove()


def test_missing_command(with_runtime: Runtime) -> None:
    fails(with_runtime, errors.RuntimeCommandNotFound, 127, "nope", command=["nope"])


def test_missing_command_with_path(with_runtime: Runtime) -> None:
    fails(with_runtime, errors.RuntimeCommandNotFound, 127, "(?i)no such file or directory", command=["/bin/nope"])


def test_command_that_is_no_program(with_runtime: Runtime) -> None:
    fails(with_runtime, errors.RuntimePermissionDenied, 126, "(?i)permission denied", command=["/etc/passwd"])


def test_command_that_is_a_directory(with_runtime: Runtime) -> None:
    fails(with_runtime, errors.RuntimeFailed, 126, "permi", command=["/etc"])


def test_missing_working_directory(with_runtime: Runtime) -> None:
    fails(with_runtime, errors.RuntimeFailed, 126, 'workdir "/nope" does not exist on container', workdir="/nope")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("nope", "unable to find user nope: no matching entries in passwd file"),
        ("root:nope", "unable to find group nope: no matching entries in group file"),
    ],
)
def test_unknown_user(rt: Runtime, user: str, words: str) -> None:
    fails(rt, errors.WherryError, 126, words, user=user)


def test_missing_bind_source(rt: Runtime) -> None:
    with pytest.raises(errors.WherryError, match="statfs /nonexistent: no such file or directory") as caught:
        rt.containers.run(IMAGE, ["true"], network="none", remove=True, volumes=["/nonexistent:/x"])
    assert caught.value.exit_code == 125
    is_untouched(rt)


def test_exec_of_what_is_not_there(with_runtime: Runtime) -> None:
    with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as container:
        for command, kind, code in (
            (["nope"], errors.RuntimeCommandNotFound, 127), (["/etc/passwd"], errors.RuntimePermissionDenied, 126),
        ):
            with pytest.raises(kind) as caught:
                container.exec(command)
            assert caught.value.exit_code == code
        with pytest.raises(errors.RuntimeFailed) as failed:
            container.exec(["true"], workdir="/nope")
        assert failed.value.exit_code in (126, 127)
        with pytest.raises(errors.WherryError, match="unable to find user nope: no matching entries in passwd file"):
            container.exec(["true"], user="nope")
        assert container.inspect()["ExecIDs"] == []
        assert container.exec(["true"]).exit_code == 0


# -- programs ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["nope", "/nonexistent/crun"])
def test_missing_oci_runtime(base: Path, rt: Runtime, name: str) -> None:
    with open_runtime(base, runtime=name) as broken:
        with pytest.raises(errors.InvalidArgument, match=name) as caught:
            broken.containers.run(IMAGE, ["true"], network="none")
        assert caught.value.exit_code == 125
    is_untouched(rt)


def test_oci_runtime_that_disappeared(base: Path, rt: Runtime, tmp_path: Path) -> None:
    """Its containers cannot be started, but looked at, stopped and removed."""
    program = tmp_path / "crun"
    program.symlink_to("/usr/bin/runc")
    like_runc = OciRuntime("runc", "/usr/bin/runc", root="/run/crun")      # where one called crun keeps its state
    with open_runtime(base, runtime=str(program)) as there:
        idle = there.containers.create(IMAGE, ["sleep", "1000"], network="none")
        busy = there.containers.start_detached(IMAGE, ["sleep", "1000"], network="none")
    program.unlink()
    with pytest.raises(errors.WherryError, match=str(program)):
        rt.containers.get(idle.id).start()
    assert rt.containers.get(idle.id).status == "created"
    rt.containers.get(idle.id).remove()
    assert rt.containers.get(busy.id).status == "running"
    rt.containers.get(busy.id).remove(force=True, timeout=0)
    like_runc.delete(busy.id, force=True)


def test_missing_conmon(base: Path, rt: Runtime) -> None:
    with open_runtime(base, conmon="/nonexistent/conmon") as broken:
        container = broken.containers.create(IMAGE, ["true"], network="none")
        with pytest.raises(errors.Unavailable, match="could not find a working conmon binary") as caught:
            container.start()
        assert caught.value.exit_code == 125
        assert container.status == "created"
        with pytest.raises(errors.Unavailable, match="conmon"):
            broken.containers.run(IMAGE, ["true"], network="none", remove=True)
        container.remove()
    is_untouched(rt)


def test_conmon_that_is_no_conmon(base: Path, rt: Runtime) -> None:
    with open_runtime(base, conmon="/bin/false") as broken:
        with pytest.raises(errors.WherryError, match="conmon") as caught:
            broken.containers.run(IMAGE, ["true"], network="none", remove=True)
        assert caught.value.exit_code in (125, 126)
    is_untouched(rt)
