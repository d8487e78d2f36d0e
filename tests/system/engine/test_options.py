"""Options of create and run as the container feels them: process, user, environment, security, limits."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from tests.helpers import crash
from tests.system.engine.conftest import IMAGE
from tests.system.engine.recovering import OPEN, until

from wherry import errors
from wherry.engine.runtime import Runtime
from wherry.sys import cgroups
from wherry.sys.capabilities import ALL

pytestmark = pytest.mark.system


def run(rt: Runtime, *command: str, **options: object) -> str:
    """What *command* prints in a new container; it must succeed."""
    result = rt.containers.run(IMAGE, command, **{"network": "none", "remove": True, **options})  # type: ignore[arg-type]
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def status(text: str, key: str) -> str:
    """One field of /proc/PID/status."""
    return next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(key + ":"))


def capabilities(text: str, key: str = "CapBnd") -> set[str]:
    mask = int(status(text, key), 16)
    return {name for number, name in enumerate(ALL) if mask >> number & 1}


# -- limits ------------------------------------------------------------------------------------------------------------

def limit(rt: Runtime, controller: str, v1: str, v2: str, **options: object) -> str:
    """The content of a file of the container's cgroup, read on the host while it runs."""
    layout = cgroups.layout()
    unified = controller in layout.unified_controllers or layout.mode == "v2"
    if not unified and controller not in layout.controllers:
        pytest.skip(f"the host has no cgroup controller {controller}")
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none", **options) as container:  # type: ignore[arg-type]
        pid = container.state().pid
        if unified:
            directory = layout.directory(layout.unified, cgroups.path_of(pid))
            return Path(directory, v2).read_text().strip()
        directory = layout.directory(layout.controllers[controller], cgroups.path_of(pid, controller))
        return Path(directory, v1).read_text().strip()


def test_memory(with_runtime: Runtime) -> None:
    assert limit(with_runtime, "memory", "memory.limit_in_bytes", "memory.max", memory="48m") == str(48 << 20)


def test_memory_reservation(rt: Runtime) -> None:
    found = limit(rt, "memory", "memory.soft_limit_in_bytes", "memory.low", memory_reservation="32m")
    assert found == str(32 << 20)


def test_cpus(with_runtime: Runtime) -> None:
    found = limit(with_runtime, "cpu", "cpu.cfs_quota_us", "cpu.max", cpus="0.5")
    assert found.split()[0] == "50000"


def test_cpu_shares(rt: Runtime) -> None:
    found = limit(rt, "cpu", "cpu.shares", "cpu.weight", cpu_shares=512)
    assert found in ("512", "20", "59")     # v2 runtimes convert, crun 1.2x another way


def test_cpuset(rt: Runtime) -> None:
    assert limit(rt, "cpuset", "cpuset.cpus", "cpuset.cpus", cpuset_cpus="0") == "0"


def test_pids_limit(with_runtime: Runtime) -> None:
    assert limit(with_runtime, "pids", "pids.max", "pids.max", pids_limit=77) == "77"


def test_pids_limit_holds(rt: Runtime) -> None:
    result = rt.containers.run(
        IMAGE, ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait"], network="none", remove=True,
        pids_limit=5,
    )
    assert "can't fork" in result.stderr


def test_default_pids_limit(rt: Runtime) -> None:
    assert limit(rt, "pids", "pids.max", "pids.max") == "2048"
    assert limit(rt, "pids", "pids.max", "pids.max", pids_limit=-1) == "max"


def test_out_of_memory_is_told(rt: Runtime) -> None:
    if "memory" not in (*cgroups.layout().controllers, *cgroups.layout().unified_controllers):
        pytest.skip("the host has no memory controller")
    with rt.containers.start_detached(
        IMAGE, ["sh", "-c", "sleep 0.3; exec tail /dev/zero"], network="none", memory="16m"
    ) as container:
        assert container.wait(timeout=60) == 137
        until(lambda: container.status == "exited")
        assert container.inspect()["State"]["OOMKilled"] is True


def test_no_cgroup(with_runtime: Runtime) -> None:
    """``--cgroups=disabled``: the container stays in the cgroup of who started it."""
    if with_runtime.settings.options.runtime != "crun":
        with pytest.raises(errors.WherryError, match="cgroup"):
            run(with_runtime, "true", cgroups="disabled")
        return
    with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], network="none", cgroups="disabled") as box:
        assert "wherry" not in Path(f"/proc/{box.state().pid}/cgroup").read_text()
        assert box.exec(["true"]).exit_code == 0


def test_ulimits(with_runtime: Runtime) -> None:
    found = run(with_runtime, "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -u", ulimits=["nofile=100:200", "nproc=300"])
    assert found.split() == ["100", "200", "300"]


def test_ulimit_beyond_the_hosts(rt: Runtime) -> None:
    """What nobody asked for is clamped without a word; what somebody asked for fails."""
    from wherry.sys.limits import can_raise

    run(rt, "true")
    if can_raise():
        pytest.skip("this host lets limits be raised")
    with pytest.raises(errors.WherryError, match="(?i)nofile|rlimit") as caught:
        run(rt, "true", ulimits=["nofile=100000000:100000000"])
    assert caught.value.exit_code in (125, 126)


def test_out_of_memory_score(rt: Runtime) -> None:
    assert run(rt, "cat", "/proc/self/oom_score_adj", oom_score_adjust=123) == "123\n"


def test_sysctl(rt: Runtime) -> None:
    assert run(rt, "cat", "/proc/sys/kernel/msgmax", sysctls={"kernel.msgmax": "4242"}) == "4242\n"


# -- security ----------------------------------------------------------------------------------------------------------

def test_default_capabilities(with_runtime: Runtime) -> None:
    text = run(with_runtime, "cat", "/proc/self/status")
    assert capabilities(text) == {
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
        "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
    }
    assert capabilities(text, "CapInh") == set()


def test_capabilities_added_and_dropped(with_runtime: Runtime) -> None:
    text = run(with_runtime, "cat", "/proc/self/status", cap_add=["net_raw", "CAP_SYS_PTRACE"], cap_drop=["chown"])
    found = capabilities(text)
    assert {"CAP_NET_RAW", "CAP_SYS_PTRACE"} <= found
    assert "CAP_CHOWN" not in found
    text = run(with_runtime, "cat", "/proc/self/status", cap_drop=["all"], cap_add=["kill"])
    assert capabilities(text) == {"CAP_KILL"}


def test_capabilities_of_an_ordinary_user(rt: Runtime) -> None:
    text = run(rt, "cat", "/proc/self/status", user="user")
    assert capabilities(text, "CapEff") == set()
    assert "CAP_CHOWN" in capabilities(text)


def test_privileged(with_runtime: Runtime) -> None:
    text = run(with_runtime, "sh", "-c", "cat /proc/self/status; ls /dev", privileged=True)
    assert "CAP_SYS_ADMIN" in capabilities(text)
    assert status(text, "Seccomp") == "0"
    assert {"kmsg", "fuse"} & set(text.split())
    command = "mount -t tmpfs none /www && ls -A /www && grep -c ' /www ' /proc/mounts"
    assert run(with_runtime, "sh", "-c", command, privileged=True) == "1\n"
    assert 'engine="wherry-' in run(with_runtime, "cat", "/run/.containerenv", privileged=True)


def test_read_only(with_runtime: Runtime) -> None:
    command = "touch /x 2>/dev/null || echo refused; touch /tmp/y /run/z && echo taken; grep ' / ' /proc/mounts"
    text = run(with_runtime, "sh", "-c", command, read_only=True)
    assert text.splitlines()[:2] == ["refused", "taken"]
    result = with_runtime.containers.run(
        IMAGE, ["touch", "/tmp/y"], network="none", remove=True, read_only=True, read_only_tmpfs=False
    )
    assert result.exit_code == 1


def test_no_new_privileges(with_runtime: Runtime) -> None:
    assert status(run(with_runtime, "cat", "/proc/self/status"), "NoNewPrivs") == "0"
    text = run(with_runtime, "cat", "/proc/self/status", security_opt=["no-new-privileges"])
    assert status(text, "NoNewPrivs") == "1"


def test_seccomp(with_runtime: Runtime, tmp_path: Path) -> None:
    assert status(run(with_runtime, "cat", "/proc/self/status"), "Seccomp") == "2"
    text = run(with_runtime, "cat", "/proc/self/status", security_opt=["seccomp=unconfined"])
    assert status(text, "Seccomp") == "0"
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }))
    for _round in range(2):     # the second time from the compiled filter
        result = with_runtime.containers.run(
            IMAGE, ["mkdir", "/x"], network="none", remove=True, security_opt=[f"seccomp={profile}"]
        )
        assert result.exit_code == 1
        assert "not supported" in result.stderr


def test_default_seccomp_profile_refuses(with_runtime: Runtime) -> None:
    for _round in range(2):
        result = with_runtime.containers.run(
            IMAGE, ["unshare", "-m", "true"], network="none", remove=True, cap_add=["chown"]
        )
        assert result.exit_code != 0
        assert "not permitted" in result.stderr


def test_masks(with_runtime: Runtime) -> None:
    assert run(with_runtime, "cat", "/proc/keys") == ""
    assert run(with_runtime, "ls", "/proc/acpi") == "" if os.path.exists("/proc/acpi") else True
    assert run(with_runtime, "sh", "-c", "wc -l < /proc/timer_list", security_opt=["unmask=/proc/timer_list"]) != "0\n"
    assert run(with_runtime, "cat", "/www/index.html", security_opt=["mask=/www/index.html"]) == ""
    assert "proc on /proc/sys " in run(with_runtime, "mount")
    assert "proc on /proc/sys " not in run(with_runtime, "mount", security_opt=["unmask=ALL"])


def test_device(with_runtime: Runtime) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("the host has no /dev/fuse")
    command = "stat -c '%t:%T' /dev/mine; true < /dev/mine && echo read; true > /dev/mine && echo written"
    for given, can in (("r", ["read"]), ("w", ["written"]), ("rwm", ["read", "written"])):
        result = with_runtime.containers.run(
            IMAGE, ["sh", "-c", command], network="none", remove=True, devices=[f"/dev/fuse:/dev/mine:{given}"]
        )
        assert result.stdout.split() == ["a:e5", *can]
    result = with_runtime.containers.run(
        IMAGE, ["sh", "-c", "mknod /x c 10 229; true < /x"], network="none", remove=True, cap_add=["mknod"]
    )
    assert "not permitted" in result.stderr


# -- process -----------------------------------------------------------------------------------------------------------

def test_init(with_runtime: Runtime) -> None:
    text = run(with_runtime, "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; echo; echo $$", init=True)
    first, own = text.splitlines()
    assert first.split()[0] == "/run/podman-init"
    assert own != "1"


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("user", "1000 1000 1000 2000"), ("1000", "1000 1000 1000 2000"), ("user:extra", "1000 2000 2000"),
        ("1000:0", "1000 0 0"), ("4711", "4711 0 0"), ("4711:4712", "4711 4712 4712"), ("", "0 0 0"),
    ],
)
def test_user(with_runtime: Runtime, user: str, identity: str) -> None:
    options = {"user": user} if user else {}
    assert run(with_runtime, "sh", "-c", "echo $(id -u) $(id -g) $(id -G)", **options).strip() == identity


def test_unknown_user_id_gets_a_line_in_passwd(rt: Runtime) -> None:
    found = run(rt, "grep", "4711", "/etc/passwd", user="4711", workdir="/tmp")
    assert found == "4711:*:4711:0:container user:/tmp:/bin/sh\n"
    assert run(rt, "sh", "-c", "grep -c 4711 /etc/passwd || true", user="4711", passwd=False) == "0\n"
    found = run(rt, "grep", "4711", "/etc/passwd", user="4711", passwd_entry="me:x:$UID:$GID::/:/bin/sh")
    assert found == "me:x:4711:0::/:/bin/sh\n"


def test_users_of_the_host(rt: Runtime) -> None:
    line = next(line for line in Path("/etc/passwd").read_text().splitlines() if line.startswith("daemon:"))
    _name, _password, uid, gid, gecos, _home, _shell = line.split(":")
    found = run(rt, "tail", "-n", "2", "/etc/passwd", host_users=["daemon", "root"], user="4711", workdir="/tmp")
    assert found == f"daemon:*:{uid}:{gid}:{gecos}:/tmp:/bin/sh\n4711:*:4711:0:container user:/tmp:/bin/sh\n"
    with pytest.raises(errors.RuntimeFailed, match="user: unknown user nosuchuser"):
        run(rt, "true", host_users=["nosuchuser"])


def test_streams_that_are_not_attached_are_thrown_away(rt: Runtime) -> None:
    from wherry.engine.foreground import Streams, run_attached

    command = ["sh", "-c", "echo out; echo err >&2"]
    for name, text in (("stdout", b"out\n"), ("stderr", b"err\n")):
        reader, writer = os.pipe()
        try:
            with rt.containers.create(IMAGE, command, network="none") as container:
                assert run_attached(rt, container.config, Streams(**{name: writer})) == 0
            os.close(writer)
            assert os.read(reader, 100) == text
        finally:
            os.close(reader)


def test_added_groups(rt: Runtime) -> None:
    assert run(rt, "id", "-G", groups=["extra", "3000"]) == "0 2000 3000\n"


def test_working_directory(with_runtime: Runtime) -> None:
    assert run(with_runtime, "pwd", workdir="/tmp") == "/tmp\n"


def test_entrypoint(rt: Runtime) -> None:
    assert run(rt, "a", "b", entrypoint="/bin/echo") == "a b\n"
    assert run(rt, "c", entrypoint='["/bin/echo", "a b"]') == "a b c\n"


def test_environment(rt: Runtime, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("# a comment\nFROM_FILE=one\nBOTH=file\nHOSTED\n")
    found = dict(
        line.partition("=")[::2]
        for line in run(
            rt, "env", environment={"A": "x=y z", "BOTH": "option"}, environment_files=[str(file)], hostname="box"
        ).splitlines()
    )
    assert found["A"] == "x=y z"
    assert found["FROM_FILE"] == "one"
    assert found["BOTH"] == "option"
    assert found["HOSTNAME"] == "box"
    assert found["HOME"] == "/root"
    assert found["container"] == "podman"
    assert found["PATH"].startswith("/usr/local/sbin:")
    assert "HOSTED" not in found


def test_hostname(with_runtime: Runtime) -> None:
    assert run(with_runtime, "hostname", hostname="box") == "box\n"
    with with_runtime.containers.create(IMAGE, ["hostname"], network="none") as container:
        container.start()
        container.wait(timeout=20)
        assert [line.text for line in container.logs()] == [container.id[:12]]


def test_time_zone(rt: Runtime) -> None:
    if not os.path.exists("/usr/share/zoneinfo/Asia/Tokyo"):
        pytest.skip("no time zones are installed")
    assert run(rt, "date", "+%Z", timezone="Asia/Tokyo") == "JST\n"


def test_umask(with_runtime: Runtime) -> None:
    assert run(with_runtime, "sh", "-c", "umask") == "0022\n"
    assert run(with_runtime, "sh", "-c", "umask", umask="0077") == "0077\n"


def test_time_limit(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["sleep", "1000"], network="none", timeout=1) as container:
        container.start()
        assert container.wait(timeout=60) == 255


def test_files_for_scripts(rt: Runtime, tmp_path: Path) -> None:
    cid, pid, monitor = (tmp_path / name for name in ("cid", "pid", "conmon"))
    cid.write_text("of an earlier container")
    with rt.containers.start_detached(
        IMAGE, ["sleep", "1000"], network="none", cid_file=str(cid), pid_file=str(pid), conmon_pid_file=str(monitor)
    ) as container:
        assert cid.read_text() == container.id
        assert int(pid.read_text()) == container.state().pid
        assert int(monitor.read_text()) == container.state().conmon_pid


def test_labels_and_annotations(rt: Runtime) -> None:
    with rt.containers.create(
        IMAGE, ["true"], network="none", labels={"a": "b"}, annotations={"c": "d"}
    ) as container:
        data = container.inspect()
        assert data["Config"]["Labels"] == {"a": "b"}
        assert data["Config"]["Annotations"]["c"] == "d"
        container.start()
        spec = json.loads((Path(container.config.static_dir) / "config.json").read_text())
        assert spec["annotations"]["c"] == "d"


def test_terminal(with_runtime: Runtime) -> None:
    result = with_runtime.containers.run(IMAGE, ["sh", "-c", "test -t 1 && tty"], network="none", remove=True, tty=True)
    assert result.stdout == "/dev/pts/0\r\n"


def test_systemd_mode(with_runtime: Runtime) -> None:
    command = "mount; env | grep container_uuid; cat /proc/1/comm"
    text = run(with_runtime, "sh", "-c", command, systemd="always")
    for place in ("/run", "/run/lock", "/tmp", "/var/log/journal"):
        assert f"tmpfs on {place} type tmpfs" in text
    assert "container_uuid=" in text
    with with_runtime.containers.create(IMAGE, ["true"], network="none", systemd="always") as container:
        assert container.config.stop_signal == 37       # SIGRTMIN+3


@pytest.mark.parametrize("mode", ["ignore", "conmon", "container"])
def test_sd_notify_breaks_nothing(base: Path, rt: Runtime, mode: str, tmp_path: Path) -> None:
    """With a service manager's socket in the environment, and somebody behind it who listens."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        command = ["sh", "-c", "test -S \"$NOTIFY_SOCKET\" && echo there; echo ready; exec sleep 1000"]
        code = (
            f"import os; os.environ['NOTIFY_SOCKET'] = {path!r}\n{OPEN}"
            f"rt.containers.start_detached({IMAGE!r}, {command!r}, name='told', network='none', sdnotify={mode!r})"
        )
        outcome = crash.run_killed(code, 0, str(base))
        assert outcome.finished, outcome.errors
        with rt.containers.get("told") as container:
            until(lambda: "ready" in [line.text for line in container.logs()])
            assert ("there" in [line.text for line in container.logs()]) is (mode == "container")
            if mode != "ignore":
                said = manager.recv(4096).decode().splitlines()
                ready = ["READY=1"] if mode == "conmon" else []
                assert said == [f"MAINPID={container.state().conmon_pid}", *ready]


# -- logs --------------------------------------------------------------------------------------------------------------

def test_log_drivers(rt: Runtime, tmp_path: Path) -> None:
    with rt.containers.create(IMAGE, ["echo", "said"], network="none", log_driver="none") as container:
        container.start()
        container.wait(timeout=20)
        with pytest.raises(errors.WherryError, match="this container is using the 'none' log driver, cannot read logs"):
            list(container.logs())
    path = tmp_path / "log"
    with rt.containers.create(
        IMAGE, ["echo", "said"], network="none", log_driver="k8s-file", log_options={"path": str(path)}
    ) as container:
        container.start()
        container.wait(timeout=20)
        assert path.read_text().endswith(" stdout F said\n")


def test_log_size(rt: Runtime) -> None:
    command = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i of many; i=$((i+1)); done"]
    with rt.containers.create(IMAGE, command, network="none", log_options={"max-size": "10k"}) as container:
        container.start()
        assert container.wait(timeout=60) == 0
        assert os.path.getsize(container.config.log_path) <= 11 * 1024
        assert [line.text for line in container.logs(tail=1)] == ["line 1999 of many"]


def test_full_logs_are_kept_without_losing_a_line(rt: Runtime) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i of many; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.05; done"
    with rt.containers.create(
        IMAGE, ["sh", "-c", script], network="none", log_options={"max-size": "10k", "max-file": "50"}
    ) as container:
        container.start()
        followed = [line.text for line in container.logs(follow=True)]
        assert container.wait(timeout=60) == 0
        wanted = [f"line {number} of many" for number in range(2000)]
        assert followed == wanted
        assert [line.text for line in container.logs()] == wanted
        assert [line.text for line in container.logs(tail=1500)] == wanted[500:]
        assert os.path.exists(container.config.log_path + ".2")
        assert container.inspect()["HostConfig"]["LogConfig"]["Config"] == {"max-file": "50"}


def test_only_so_many_full_logs_are_kept(rt: Runtime) -> None:
    script = "i=0; while [ $i -lt 60 ]; do echo line $i of many; i=$((i+1)); sleep 0.03; done"
    with rt.containers.create(
        IMAGE, ["sh", "-c", script], network="none", log_options={"max-size": "100", "max-file": "2"}
    ) as container:
        container.start()
        assert container.wait(timeout=60) == 0
        log = Path(container.config.log_path)
        assert {file.name for file in log.parent.glob("ctr.log*")} == {"ctr.log", "ctr.log.1", "ctr.log.2"}
        lines = [line.text for line in container.logs()]
        assert lines == [f"line {number} of many" for number in range(60 - len(lines), 60)]


def test_journald_without_a_journal_is_refused(rt: Runtime) -> None:
    """Every line would be lost without a word."""
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("a journald runs here")
    with pytest.raises(errors.Unavailable, match="failed to initialize journal"):
        rt.containers.create(IMAGE, ["true"], network="none", log_driver="journald")


def test_intel_rdt_without_the_processor_is_refused(rt: Runtime) -> None:
    if os.path.exists("/sys/fs/resctrl/schemata"):
        pytest.skip("this host has Intel RDT")
    with pytest.raises(errors.Unsupported, match="Intel RDT is not supported by this host"):
        rt.containers.create(IMAGE, ["true"], network="none", rdt_class="some")


def test_passthrough_in_the_foreground(rt: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    result = rt.containers.run(
        IMAGE, ["sh", "-c", "echo passed on; exit 4"], network="none", remove=True, log_driver="passthrough"
    )
    assert (result.exit_code, result.stdout) == (4, "")
    assert capfd.readouterr().out == "passed on\n"
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none", log_driver="passthrough") as box, \
            pytest.raises(errors.Unsupported, match="'passthrough' log driver, cannot attach"):
        box.attach()


def test_passthrough(rt: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    with rt.containers.create(IMAGE, ["echo", "passed on"], network="none", log_driver="passthrough") as container:
        container.start()
        assert container.wait(timeout=20) == 0
        until(lambda: container.status == "exited")
    assert capfd.readouterr().out == "passed on\n"
