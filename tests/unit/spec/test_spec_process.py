"""Entrypoint, signals, restart policy, health checks, logs and other options of the process."""

import signal

import pytest

from wherry.errors import InvalidArgument
from wherry.spec import parse_health, signals
from wherry.spec import parse_process as words
from wherry.spec.container_spec import LogRequest, RestartRequest


def _fail(function, *arguments):
    with pytest.raises(InvalidArgument) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(("text", "result"), [
    ("sh", ["sh"]), ("", [""]), ("sh -c", ["sh -c"]), ('["sh", "-c"]', ["sh", "-c"]), ("[]", []), ("[1]", ["[1]"]),
    ("[x", ["[x"]),
])
def test_words(text, result):
    assert words.words(text) == result


@pytest.mark.parametrize(("text", "number"), [
    ("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigkill", 9), ("-9", 9), ("-HUP", 1), ("RTMIN", 34), ("SIGRTMIN+3", 37),
    ("rtmax-14", 50), ("RTMIN+15", 49), ("RTMAX", 64), ("64", 64), ("CLD", 17), ("IOT", 6), ("POLL", 29),
])
def test_signal(text, number):
    assert signals.parse(text) == number


@pytest.mark.parametrize(("text", "message"), [
    ("FOO", "invalid signal: FOO"), ("0", "invalid signal: 0"), ("65", "valid signals are 1 through 64"),
    ("RTMIN+16", "invalid signal: RTMIN+16"), ("", "invalid signal: "), ("--3", "valid signals are 1 through 64"),
])
def test_bad_signal(text, message):
    assert _fail(signals.parse, text) == message


def test_signal_names_are_the_kernels():
    for known in signal.Signals:
        if not known.name.startswith("SIGRT"):
            assert signals.NUMBERS[known.name.removeprefix("SIG")] == known.value
    assert sorted(set(signals.NUMBERS.values())) == [*range(1, 32), *range(34, 65)]
    assert signals.name(15) == "SIGTERM" and signals.name(37) == "SIGRTMIN+3" and signals.name(33) == "33"


@pytest.mark.parametrize(("text", "policy", "retries"), [
    ("no", "no", 0), ("never", "no", 0), ("", "", 0), ("always", "always", 0), ("unless-stopped", "unless-stopped", 0),
    ("on-failure", "on-failure", 0), ("on-failure:3", "on-failure", 3),
])
def test_restart(text, policy, retries):
    assert words.restart(text) == RestartRequest(policy=policy, retries=retries)


@pytest.mark.parametrize(("text", "message"), [
    ("bad", 'running container create option: "bad" is not a valid restart policy: invalid argument'),
    ("always:3", "restart policy retries can only be specified with on-failure restart policy"),
    ("on-failure:x", 'parsing restart policy retry count: strconv.Atoi: parsing "x": invalid syntax'),
    ("on-failure:-1", "must specify restart policy retry count as a number greater than 0"),
    ("on-failure:1:2", "invalid restart policy: may specify retries at most once"),
])
def test_bad_restart(text, message):
    assert _fail(words.restart, text) == message


def test_umask():
    assert words.umask("077") == "077"
    for bad in ("", "8", "00222", "u+x"):
        assert _fail(words.umask, bad) == (
            f"running container create option: invalid umask string {bad}: invalid argument"
        )


@pytest.mark.parametrize(("text", "policy"), [
    ("always", "always"), ("Missing", "missing"), ("ifnotpresent", "missing"), ("", "missing"), ("ifnewer", "newer"),
    ("never", "never"),
])
def test_pull(text, policy):
    assert words.pull(text) == policy


def test_bad_choices():
    assert _fail(words.pull, "x") == 'unsupported pull policy "x"'
    assert _fail(words.image_volume, "x") == (
        'invalid image volume mode "x" required value: anonymous, tmpfs, ignore'
    )
    assert _fail(words.log_driver, "x") == "running container create option: invalid log driver: invalid argument"
    assert _fail(words.init_container, "x") == "init-ctr value must be 'always' or 'once'"
    assert _fail(words.attach, ["x"]) == (
        'invalid stream "x" for --attach - must be one of stdin, stdout, or stderr'
    )
    assert "values must be one of" in _fail(words.systemd, "x")
    assert 'invalid sdnotify value "x": must be' in _fail(words.sdnotify, "x")
    assert _fail(words.groups, ["keep-groups", "wheel"]) == (
        "the '--group-add keep-groups' option is not allowed with any other --group-add options"
    )


def test_good_choices():
    assert words.image_volume("bind") == "anonymous"
    assert words.attach(["STDIN"]) == ["stdin"]
    assert words.systemd("ALWAYS") == "always"
    assert words.descriptors(["3,4", "7"]) == [3, 4, 7]
    assert words.groups(["keep-groups"]) == ["keep-groups"]


def test_log_options():
    assert words.log_options(["path=/l", "max-size=10mb", "tag=t", "label=a=b", "driver=none", "x=y"]) == LogRequest(
        driver="none", path="/l", max_size=10_000_000, labels={"a": "b"}, options={"tag": "t", "x": "y"}
    )
    assert _fail(words.log_options, ["x"]) == 'invalid log option "x"'
    assert _fail(words.log_options, ["label=a"]) == 'invalid log label "label=a"'
    assert _fail(words.log_options, ["max-size=x"]) == "invalid size: 'x'"


@pytest.mark.parametrize(("text", "test"), [
    ("", None),
    ("curl localhost", ["CMD-SHELL", "curl localhost"]),
    ("true", ["CMD-SHELL", "true"]),
    ('["true"]', ["CMD-SHELL", "true"]),
    ('["curl", "-f"]', ["CMD", "curl", "-f"]),
    ('["CMD", "curl"]', ["CMD", "curl"]),
    ("CMD curl -f", ["CMD", "curl", "-f"]),
    ("CMD-SHELL a || b", ["CMD-SHELL", "a || b"]),
    ("none", ["NONE"]),
    ('["NONE"]', ["NONE"]),
])
def test_health_command(text, test):
    assert parse_health.command(text) == test


def test_health_times():
    assert parse_health.interval("1m") == 60 * 10**9
    assert parse_health.interval("disable") < 0
    assert parse_health.on_failure("") == "none"
    assert _fail(parse_health.command, "[]") == "must define a healthcheck command for all healthchecks"
    assert _fail(parse_health.timeout, "0s") == "healthcheck-timeout must be at least 1 second"
    assert _fail(parse_health.start_period, "-1s") == "healthcheck-start-period must be 0 seconds or greater"
    assert _fail(parse_health.interval, "x") == 'invalid healthcheck-interval: time: invalid duration "x"'
    assert _fail(parse_health.on_failure, "x") == (
        'invalid on-failure action "x" for health check: supported actions are none,kill,restart,stop'
    )
