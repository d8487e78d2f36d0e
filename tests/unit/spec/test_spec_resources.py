"""Limits of memory, block I/O, processes, and kernel parameters: the words."""

import pytest

from wherry.errors import InvalidArgument
from wherry.spec import parse_resources as words
from wherry.spec.container_spec import UlimitRequest
from wherry.spec.resolve_resources import numbers


def _fail(function, *arguments):
    with pytest.raises(InvalidArgument) as caught:
        function(*arguments)
    return str(caught.value)


def test_memory():
    assert words.memory("1m") == 1 << 20
    assert words.memory("") is None
    assert words.memory_swap("-1") == -1
    assert words.memory_swap("2m") == 2 << 20
    assert _fail(words.memory, "abc") == "invalid value for memory: invalid size: 'abc'"
    assert _fail(words.shm_size, "x") == "unable to translate --shm-size: invalid size: 'x'"
    assert _fail(words.shm_size_systemd, "x") == "unable to translate --shm-size-systemd: invalid size: 'x'"


def test_blkio():
    assert words.blkio_weight("500") == 500
    assert words.blkio_weight("") is None
    assert _fail(words.blkio_weight, "x") == (
        'invalid value for blkio-weight: strconv.ParseUint: parsing "x": invalid syntax'
    )
    assert words.blkio_weight_devices(["/dev/sda:100", "/dev/sdb:0"]) == {"/dev/sda": 100, "/dev/sdb": 0}
    assert words.byte_rates(["/dev/sda:1mb"]) == {"/dev/sda": 1 << 20}
    assert words.operation_rates(["/dev/sda:10"]) == {"/dev/sda": 10}


@pytest.mark.parametrize(("function", "text", "message"), [
    (words.blkio_weight_devices, "/dev/sda", "bad format: /dev/sda"),
    (words.blkio_weight_devices, "sda:100", "bad format for device path: sda:100"),
    (words.blkio_weight_devices, "/dev/sda:5", "invalid weight for device: /dev/sda:5"),
    (words.blkio_weight_devices, "/dev/sda:x", "invalid weight for device: /dev/sda:x"),
    (words.byte_rates, "/dev/sda:x", "invalid rate for device: /dev/sda:x. The correct format is "
     "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"),
    (words.operation_rates, "/dev/sda:1k", "invalid rate for device: /dev/sda:1k. The correct format is "
     "<device-path>:<number>. Number must be a positive integer"),
])
def test_bad_blkio(function, text, message):
    assert _fail(function, [text]) == message


@pytest.mark.parametrize(("text", "limit"), [
    ("nofile=1024", ("nofile", 1024, 1024)), ("nofile=1024:2048", ("nofile", 1024, 2048)),
    ("RLIMIT_NPROC=1:2", ("nproc", 1, 2)), ("core=-1", ("core", -1, -1)), ("core=0:-1", ("core", 0, -1)),
])
def test_ulimit(text, limit):
    name, soft, hard = limit
    assert words.ulimits([text]) == [UlimitRequest(name=name, soft=soft, hard=hard)]


def test_ulimits_of_the_host():
    assert words.ulimits(["nofile=1", "host"]) == [UlimitRequest(name="host")]


@pytest.mark.parametrize(("text", "why"), [
    ("nofile", "invalid ulimit argument: nofile"),
    ("foo=1", "invalid ulimit type: foo"),
    ("nofile=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
    ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
    ("nofile=-1:1", "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 1"),
])
def test_bad_ulimit(text, why):
    message = _fail(words.ulimits, [text])
    assert message == f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: {why}'


def test_sysctls():
    assert words.sysctls(["net.ipv4.ip_forward=1", "kernel.sem=1 2 3", "fs.mqueue.msg_max=5"]) == {
        "net.ipv4.ip_forward": "1", "kernel.sem": "1 2 3", "fs.mqueue.msg_max": "5",
    }


@pytest.mark.parametrize(("text", "message"), [
    ("net.a", "net.a is invalid, sysctl values must be in the form of KEY=VALUE"),
    ("net.a = 1", "'net.a = 1' is invalid, extra spaces found"),
    ("vm.swappiness=1", "sysctl 'vm.swappiness' is not allowed"),
])
def test_bad_sysctl(text, message):
    assert _fail(words.sysctls, [text]) == message


def test_rest():
    assert words.pids_limit(-1) == -1
    assert _fail(words.pids_limit, 1 << 31) == 'strconv.ParseInt: parsing "2147483648": value out of range'
    assert words.cgroup_conf(["memory.high=1"]) == {"memory.high": "1"}
    assert _fail(words.cgroup_conf, ["x"]) == "--cgroup-conf must be formatted KEY=VALUE"
    assert words.cgroups("split") == "split"
    assert _fail(words.cgroups, "x") == (
        'running container create option: invalid cgroup mode "x": invalid argument'
    )


def test_numbers_of_a_cpu_list():
    assert numbers("0-2,7") == {0, 1, 2, 7}
    for bad in ("", "x", "3-1", "1-", "0-99999999"):
        with pytest.raises(ValueError):
            numbers(bad)
