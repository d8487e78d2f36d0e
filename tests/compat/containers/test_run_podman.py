"""run, exec and create side by side with Podman: the same words give the same output, exit code and inspect values."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from tests.compat.containers.conftest import IMAGE, Run, both

pytestmark = pytest.mark.compat

STATUS = "grep -E 'Uid|Gid|Groups|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"
#: Flags and command; what is printed must be the same to the letter.
RUNS = (
    ("--user user --cap-drop all --cap-add chown,net_admin", STATUS),
    ("--user 4711:4712 --group-add 5 --security-opt no-new-privileges", STATUS),
    ("--privileged", "grep -E 'CapEff|Seccomp:' /proc/self/status; ls /dev | grep -c ."),
    ("--hostname box --add-host a:192.0.2.1", "hostname; grep 192.0.2.1 /etc/hosts"),
    ("-e A=1 --env B= --unsetenv container -w /www", "env | sort | grep -v -E '^(HOSTNAME|PATH|TERM)='; pwd; ls"),
    ("--read-only --tmpfs /x:size=1m,mode=1777", "touch /x/a /tmp/b && ls /x; touch /y; stat -c %a /x"),
    ("--ulimit nofile=100:200 --ulimit nproc=50:60 --umask 077", "ulimit -n; ulimit -Hn; ulimit -u; umask"),
    ("--sysctl kernel.msgmax=4242 --shm-size 1m --ipc private", "cat /proc/sys/kernel/msgmax; df /dev/shm | tail -1"),
    ("--pids-limit 50 --oom-score-adj 7 --memory 64m --cpus 0.5", "cat /proc/self/oom_score_adj"),
    ("--hostuser daemon --user 4711 --passwd-entry 'x:*:$UID:$GID::/:'", "tail -n 2 /etc/passwd"),
    ("--uidmap 0:100000:65536", "cat /proc/self/uid_map; stat -c '%u:%g' /bin /etc/hosts"),
    ("--init", "cat /proc/1/comm"),
    ("--device /dev/null:/dev/mine:r", "stat -c '%t:%T %a' /dev/mine"),
    ("-v /etc/hostname:/x:ro --mount type=tmpfs,dst=/m,tmpfs-mode=700", "stat -c %a /m; echo y > /x"),
    ("--entrypoint '[\"/bin/echo\",\"a b\"]'", "c d"),
    ("--attach stdout", "echo out; echo err >&2"), ("-a stdin -a stderr", "echo out; echo err >&2"),
    ("", "exit 7"), ("", "kill -9 $$"), ("--timeout 1", "sleep 30"),
    # refused
    ("--user nosuch", "true"), ("--user root:nosuch", "true"), ("--workdir /nope", "true"), ("--memory 1", "true"),
    ("--cap-add BOGUS", "true"), ("--device /dev/nope", "true"), ("-v /nope:/x", "true"), ("--ip 1.2.3.4", "true"),
    ("--restart always", "true"), ("--stop-signal BOGUS", "true"), ("--ulimit bogus=1", "true"), ("--pod no", "true"),
    ("--network nope", "true"), ("--secret nope", "true"), ("--volumes-from nope", "true"), ("--cpus 1000", "true"),
    ("--security-opt seccomp=/nope", "true"), ("--hostuser nosuch", "true"), ("--umask 999", "true"),
    ("--preserve-fds 9", "true"), ("--name 'bad name!'", "true"), ("--tmpfs /x:bogus", "true"),
    ("--userns nomap", "true"), ("--cgroups bogus", "true"),
)
#: exec's flags and command, in the container called box.
EXECS = (
    ("", "id -u; id -g; id -G; pwd; echo $HOME"), ("-u user", "id -u; id -g; id -G; echo $HOME"), ("-u 0:5", STATUS),
    ("--privileged", "grep CapEff /proc/self/status"), ("-w /www -e A=b", "pwd; echo $A"), ("", "exit 9"),
    ("-u nosuch", "true"), ("-w /nope", "true"), ("--preserve-fds 9", "true"),
)
#: Flags of create -> paths of inspect that must be the same.
CREATES = (
    ("--memory 64m --memory-swap 128m --memory-reservation 32m --cpus 1.5 --cpu-shares 77 --pids-limit 9 "
     "--oom-score-adj 5 --shm-size 3m --ulimit nofile=10:20 --ulimit nproc=5:6 --stop-timeout 7 --stop-signal HUP "
     "--label a=b -e X=y "
     "--cap-add net_admin --cap-drop chown --security-opt no-new-privileges --init --tty -i "
     "--hostname box --dns 192.0.2.1 --dns-search example.org --add-host a:192.0.2.2 --annotation k=v "
     "--log-opt max-size=10k --group-add 5 --timeout 3 --umask 0027 --cpuset-cpus 0 --entrypoint /bin/echo "
     "-v /etc:/e:ro --restart on-failure:3 --expose 99 --workdir /www"),
    "--privileged --pid host --ipc host --uts host --network host --userns host",
    "--uidmap 0:100000:1000 --systemd always --sdnotify ignore --device /dev/null:/dev/x --cgroups no-conmon",
)
COMPARED = (
    "Args", "Path", "EffectiveCaps", "BoundingCaps", "Mounts", "IsInfra", "Config.Env", "Config.Cmd", "Config.User",
    "Config.Tty", "Config.OpenStdin", "Config.Labels", "Config.WorkingDir", "Config.StopTimeout",
    "Config.Umask", "Config.Timeout", "Config.Hostname", "HostConfig.Binds", "HostConfig.Memory",
    "HostConfig.MemorySwap", "HostConfig.MemoryReservation", "HostConfig.NanoCpus", "HostConfig.CpuShares",
    "HostConfig.CpuPeriod", "HostConfig.CpuQuota", "HostConfig.PidsLimit", "HostConfig.OomScoreAdj",
    "HostConfig.ShmSize", "HostConfig.Ulimits", "HostConfig.ReadonlyRootfs",
    "HostConfig.Init", "HostConfig.Dns", "HostConfig.DnsSearch", "HostConfig.ExtraHosts", "HostConfig.GroupAdd",
    "HostConfig.RestartPolicy", "HostConfig.LogConfig.Size", "HostConfig.CpusetCpus",
    "HostConfig.NetworkMode", "HostConfig.PidMode", "HostConfig.IpcMode", "HostConfig.UTSMode", "HostConfig.UsernsMode",
    "HostConfig.Privileged", "HostConfig.IDMappings", "HostConfig.Cgroups",
    "HostConfig.SecurityOpt", "HostConfig.AutoRemove",
)


#: Where nothing was asked for, Podman 5 and wherry say what it amounts to.
DEFAULTS = {
    "Config.Labels", "Config.Hostname", "HostConfig.RestartPolicy", "HostConfig.IpcMode", "HostConfig.SecurityOpt",
}
UNORDERED = ("Config.Env", "EffectiveCaps", "BoundingCaps")
NETWORK = ("--network", "none")
SHELL = ("sh", "-c")


def said(run: Run, *words: str) -> tuple[int, str]:
    """What was printed, without what differs each time or names the engine."""
    code, text = run(*words)
    text = re.sub(r"[0-9a-f]{64}", "ID", text)
    text = re.sub(r" \(current usage.*\)", "", text)
    text = re.sub(r'time="[^"]*" ', "", text)
    text = re.sub(r"(libpod_parent/libpod-|wherry/ctr-)", "", text)
    return code, text.replace("wherry", "podman")


def differing(engines: dict[str, Run], cases: list[tuple[str, ...]]) -> str:
    """Words, wherry's code and output and Podman's of every case in which they are not the same."""
    ours, theirs = both(engines, lambda run: [said(run, *words) for words in cases])
    return "\n".join(
        f"{shlex.join(words)}\n\t{one}\n\t{other}"
        for words, one, other in zip(cases, ours, theirs, strict=True) if one != other
    )


def test_containers_feel_the_same(engines: dict[str, Run]) -> None:
    assert differing(engines, [
        ("run", "--rm", *NETWORK[:0 if "--network" in flags else 2], *shlex.split(flags), IMAGE,
         *SHELL[:0 if "entrypoint" in flags else 2], command)
        for flags, command in RUNS
    ]) == ""


def test_commands_in_a_container_are_the_same(engines: dict[str, Run]) -> None:
    assert differing(engines, [("exec", *shlex.split(flags), "box", *SHELL, command) for flags, command in EXECS]) == ""


def value(tree: dict[str, Any], path: str) -> Any:
    for word in path.split("."):
        tree = tree.get(word)  # type: ignore[assignment]
    # The order of variables and capabilities means nothing, and Podman 5 gives TERM to terminals only.
    return sorted(word for word in tree if word != "TERM=xterm") if path in UNORDERED else tree


def test_inspect_says_the_same(engines: dict[str, Run]) -> None:
    def values(run: Run) -> list[dict[str, Any]]:
        found = []
        for flags in CREATES:
            code, text = run("create", "--name", "seen", *shlex.split(flags), IMAGE, "a", "b c")
            assert code == 0, text
            tree = json.loads(run("inspect", "--type", "container", "seen")[1])[0]
            found.append({path: value(tree, path) for path in COMPARED})
            run("rm", "seen")
        return found

    for flags, ours, theirs in zip(CREATES, *both(engines, values), strict=True):
        different = [
            f"{path}\n\t{ours[path]}\n\t{theirs[path]}" for path in COMPARED
            if ours[path] != theirs[path] and not (path in DEFAULTS and "--hostname" not in flags)
        ]
        assert "\n".join(different) == "", flags
