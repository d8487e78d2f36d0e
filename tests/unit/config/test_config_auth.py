"""Credentials: which files, which entry, helpers, damage."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from config_machine import Machine

from wherry.config.auth import Credentials, credentials
from wherry.config.load import load
from wherry.errors import Unauthorized


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def auths(**entries: str) -> str:
    return json.dumps({"auths": {key: auth(value) for key, value in entries.items()}})


def ask(machine: Machine, registry: str, repository: str = "", authfile: str = "", **more: object) -> str:
    """``user:password`` or an empty text."""
    settings = load(places=machine.places)
    found = credentials(settings, registry, repository, authfile, places=machine.places, **more)  # type: ignore[arg-type]
    return f"{found.username}:{found.password}" if found else ""


@pytest.fixture
def helper(machine: Machine) -> Path:
    """A credential helper ``test`` on PATH that knows ``known.example`` and writes down what it is asked."""
    program = Path(machine.write("bin/docker-credential-test", f"""#!/bin/sh
read -r server || true
echo "$1 $server" >> {machine.path("asked")}
case "$server" in
known.example) echo '{{"ServerURL": "x", "Username": "u", "Secret": "s"}}' ;;
token.example) echo '{{"Username": "<token>", "Secret": "t"}}' ;;
broken.example) echo 'no JSON' ;;
failing.example) echo 'keyring is locked'; exit 1 ;;
https://index.docker.io/v1/) echo '{{"Username": "hub", "Secret": "s"}}' ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""))
    program.chmod(0o755)
    machine.environ["PATH"] = f"{machine.path('bin')}:/usr/bin:/bin"
    return program


def test_nothing_is_known(machine: Machine) -> None:
    assert ask(machine, "a.example", "x/y") == ""


@pytest.mark.parametrize(
    ("repository", "found"),
    [("team/app", "app:1"), ("team/other", "team:1"), ("team", "team:1"), ("else/app", "host:1"), ("", "host:1")],
)
def test_the_most_specific_entry_wins(machine: Machine, repository: str, found: str) -> None:
    machine.write("run/containers/0/auth.json", auths(**{
        "a.example": "host:1", "a.example/team": "team:1", "a.example/team/app": "app:1", "b.example": "b:1",
    }))
    assert ask(machine, "a.example", repository) == found
    assert ask(machine, "c.example", repository) == ""


def test_files_in_order(machine: Machine) -> None:
    machine.write("home/.dockercfg", json.dumps({"a.example": auth("dockercfg:1")}))
    assert ask(machine, "a.example") == "dockercfg:1"
    machine.write("home/.docker/config.json", auths(**{"a.example": "docker:1"}))
    assert ask(machine, "a.example") == "docker:1"
    machine.write("home/.config/containers/auth.json", auths(**{"a.example": "config:1"}))
    assert ask(machine, "a.example") == "config:1"
    machine.write("run/containers/0/auth.json", auths(**{"a.example": "run:1"}))
    assert ask(machine, "a.example") == "run:1"
    machine.environ["XDG_RUNTIME_DIR"] = machine.path("xdg")
    machine.write("xdg/containers/auth.json", auths(**{"a.example": "xdg:1", "other.example": "o:1"}))
    assert ask(machine, "a.example") == "xdg:1"
    machine.environ["DOCKER_CONFIG"] = machine.path("dc")
    assert ask(machine, "a.example") == ""
    machine.write("dc/config.json", auths(**{"a.example": "dc:1"}))
    assert ask(machine, "a.example") == "dc:1"
    machine.environ["REGISTRY_AUTH_FILE"] = machine.write("named.json", auths(**{"a.example": "named:1"}))
    assert ask(machine, "a.example") == "named:1"
    flag = machine.write("flag.json", auths(**{"a.example": "flag:1"}))
    assert ask(machine, "a.example", authfile=flag) == "flag:1"
    assert ask(machine, "other.example", authfile=flag) == ""


def test_a_users_runtime_directory(machine: Machine) -> None:
    machine.uid = 1000
    machine.write("user-run/containers/auth.json", auths(**{"a.example": "user:1"}))
    assert ask(machine, "a.example") == "user:1"


def test_a_named_file_must_exist(machine: Machine) -> None:
    with pytest.raises(Unauthorized, match=r"credential file is not accessible: stat .*missing"):
        ask(machine, "a.example", authfile=machine.path("missing"))


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "https://registry-1.docker.io"])
def test_all_names_of_docker_hub(machine: Machine, key: str) -> None:
    machine.write("home/.docker/config.json", auths(**{key: "hub:1"}))
    assert ask(machine, "docker.io", "library/alpine") == "hub:1"
    assert ask(machine, "docker.example") == ""


def test_urls_of_hosts_but_not_of_other_paths(machine: Machine) -> None:
    machine.write("home/.docker/config.json", auths(**{"a.example/team": "team:1", "https://a.example/v2/": "url:1"}))
    assert ask(machine, "a.example") == "url:1"
    assert ask(machine, "a.example", "team/x") == "team:1"
    machine.write("home/.docker/config.json", auths(**{"a.example/team": "team:1"}))
    assert ask(machine, "a.example", "other") == ""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (auth("u:p:with:colons"), Credentials(username="u", password="p:with:colons")),
        (auth("u:p\0\0"), Credentials(username="u", password="p")),
        (auth("u:p") | {"identitytoken": "t"}, Credentials(username="u", password="p", identity_token="t")),
        ({"identitytoken": "t"}, Credentials(identity_token="t")),
        ({}, None),
        (auth("no-colon"), None),
    ],
)
def test_entries(machine: Machine, entry: dict[str, str], expected: Credentials | None) -> None:
    machine.write("run/containers/0/auth.json", json.dumps({"auths": {"a.example": entry}}))
    assert credentials(load(places=machine.places), "a.example", places=machine.places) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unmarshaling JSON at '"),
        ("[]", "not an object"),
        ('{"auths": {"a.example": {"auth": "!!"}}}', "illegal base64 data"),
        ('{"auths": {"a.example": 3}}', "not an object"),
    ],
)
def test_damaged_files_are_named(machine: Machine, text: str, message: str) -> None:
    path = machine.write("run/containers/0/auth.json", text)
    with pytest.raises(Unauthorized) as caught:
        ask(machine, "a.example")
    assert message in str(caught.value) and path in str(caught.value)


def test_an_empty_file_knows_nothing(machine: Machine) -> None:
    machine.write("run/containers/0/auth.json", "")
    machine.write("home/.docker/config.json", auths(**{"a.example": "u:1"}))
    assert ask(machine, "a.example") == "u:1"


def test_a_helper_for_one_registry(machine: Machine, helper: Path) -> None:
    machine.write("run/containers/0/auth.json", json.dumps({
        "credHelpers": {"known.example": "test", "unknown.example": "test"},
        "auths": {"known.example": auth("file:1")},
    }))
    assert ask(machine, "known.example", "a/b") == "u:s"
    assert ask(machine, "unknown.example") == ""
    assert Path(machine.path("asked")).read_text() == "get known.example\nget unknown.example\n"


def test_a_helper_for_all_registries_of_a_docker_file(machine: Machine, helper: Path) -> None:
    machine.write("home/.docker/config.json", json.dumps({"credsStore": "test", "auths": {"known.example": {}}}))
    assert ask(machine, "known.example") == "u:s"
    assert ask(machine, "docker.io", "library/alpine") == "hub:s"


def test_identity_tokens_from_a_helper(machine: Machine, helper: Path) -> None:
    machine.write("home/.docker/config.json", json.dumps({"credsStore": "test"}))
    found = credentials(load(places=machine.places), "token.example", places=machine.places)
    assert found == Credentials(username="<token>", identity_token="t")


def test_helpers_of_registries_conf_in_order(machine: Machine, helper: Path) -> None:
    machine.write("etc/registries.conf", 'credential-helpers = ["containers-auth.json", "test"]\n')
    machine.write("run/containers/0/auth.json", auths(**{"known.example": "file:1"}))
    assert ask(machine, "known.example") == "file:1"
    machine.write("etc/registries.conf", 'credential-helpers = ["test", "containers-auth.json"]\n')
    assert ask(machine, "known.example") == "u:s"
    assert ask(machine, "known.example", helpers=["containers-auth.json"]) == "file:1"
    os.unlink(machine.path("asked"))
    assert ask(machine, "b.example", "x/y") == ""
    assert Path(machine.path("asked")).read_text().split("\n")[:3] == [
        "get b.example/x/y", "get b.example/x", "get b.example",
    ]


@pytest.mark.parametrize(
    ("registry", "name", "message"),
    [
        ("failing.example", "test", "exit status 1, out: `keyring is locked`"),
        ("broken.example", "test", "did not answer in JSON"),
        ("known.example", "missing", 'exec: "docker-credential-missing": executable file not found in $PATH'),
        ("known.example", "../bin/x", "invalid credential helper name"),
    ],
)
def test_a_helper_that_fails_is_an_error(
    machine: Machine, helper: Path, registry: str, name: str, message: str
) -> None:
    machine.write("run/containers/0/auth.json", json.dumps({"credHelpers": {registry: name}}))
    with pytest.raises(Unauthorized) as caught:
        ask(machine, registry)
    assert message in str(caught.value)


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials(username="me", password="hunter2", identity_token="t0ken"))
    assert "me" in shown and "hunter2" not in shown and "t0ken" not in shown
