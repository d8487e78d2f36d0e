"""Secrets in real containers, and where they must never appear."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry.engine.runtime import Runtime
from wherry.engine.secret import Secret
from wherry.errors import InvalidArgument
from wherry.secrets.store import InvalidSecretName, NoSuchSecret, SecretExists

pytestmark = pytest.mark.system

DATA = "c0rrect-horse"


@pytest.fixture
def secret(rt: Runtime) -> Iterator[Secret]:
    yield rt.secrets.create("key", DATA.encode())
    for found in rt.secrets.list():
        rt.secrets.remove(found.id)
    assert os.listdir(f"{rt.paths.secrets}/filedriver") == []


def sh(rt: Runtime, script: str, **options: object) -> str:
    result = rt.containers.run(IMAGE, ["sh", "-c", script], remove=True, network="none", **options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_as_a_file(rt: Runtime, secret: Secret) -> None:
    assert sh(rt, "cat /run/secrets/key", secrets=["key"]) == DATA
    shown = sh(rt, "stat -c %u:%g:%a /run/secrets/other /abs", secrets=["key,target=other,uid=3,gid=4,mode=0400",
                                                                         "key,target=/abs"])
    assert shown == "3:4:400\n0:0:444\n"


def test_as_a_variable(rt: Runtime, secret: Secret) -> None:
    assert sh(rt, "echo $KEY $key", secrets=["key,type=env,target=KEY", "key,type=env"]) == f"{DATA} {DATA}\n"


def test_appears_nowhere(rt: Runtime, secret: Secret) -> None:
    with rt.containers.start_detached(
        IMAGE, ["sleep", "100"], network="none", secrets=["key", "key,type=env,target=KEY"]
    ) as container:
        tree = container.inspect()
        assert DATA not in json.dumps(tree)
        assert [found["Name"] for found in tree["Config"]["Secrets"]] == ["key"]
        config, state = rt.state.container(container.id)
        assert DATA not in json.dumps([config.to_json(), state.to_json()])
    with open(rt.paths.events, encoding="utf-8") as file:
        assert DATA not in file.read()


def test_files_are_private(rt: Runtime, secret: Secret) -> None:
    for directory, _names, files in os.walk(rt.paths.secrets):
        assert os.stat(directory).st_mode & 0o777 == 0o700
        kept = [name for name in files if name != "secrets.lock"]
        assert kept
        assert all(os.stat(f"{directory}/{name}").st_mode & 0o077 == 0 for name in kept)


def test_replacing_does_not_change_containers(rt: Runtime, secret: Secret) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "100"], network="none", secrets=["key"]) as container:
        new = rt.secrets.create("key", b"other", replace=True)
        assert new.id != secret.id
        assert container.exec(["cat", "/run/secrets/key"]).stdout == DATA
        container.restart(0)
        assert container.exec(["cat", "/run/secrets/key"]).stdout == DATA
    assert rt.secrets.data("key") == b"other"


def test_refusals(rt: Runtime, secret: Secret) -> None:
    with pytest.raises(SecretExists, match="key: secret name in use"):
        rt.secrets.create("key", b"x")
    assert rt.secrets.create("key", b"x", exist_ok=True).id == secret.id
    with pytest.raises(InvalidSecretName):
        rt.secrets.create("a/b", b"x")
    for data in (b"", b"x" * 512000):
        with pytest.raises(InvalidArgument, match="larger than 0 and less than 512000 bytes"):
            rt.secrets.create("size", data)
    with pytest.raises(NoSuchSecret, match='no secret with name or id "none": no such secret'):
        rt.containers.create(IMAGE, network="none", secrets=["none"])
    with pytest.raises(InvalidArgument, match="invalid driver"):
        rt.secrets.create("driver", b"x", driver="foo")


def test_shell_driver(rt: Runtime, secret: Secret, tmp_path: os.PathLike[str]) -> None:
    options = {
        "list": f"ls {tmp_path}", "lookup": f"cat {tmp_path}/$SECRET_ID",
        "store": f"cat > {tmp_path}/$SECRET_ID", "delete": f"rm {tmp_path}/$SECRET_ID",
    }
    made = rt.secrets.create("shelled", b"data", driver="shell", driver_options=options)
    assert os.listdir(tmp_path) == [made.id]
    assert sh(rt, "cat /run/secrets/shelled", secrets=["shelled"]) == "data"
    rt.secrets.remove("shelled")
    assert os.listdir(tmp_path) == []


def test_a_block_removes_what_it_made(rt: Runtime) -> None:
    with rt.secrets.create("short-lived", b"x", labels={"a": "b"}) as made:
        assert made.data() == b"x"
        assert (made.driver, made.labels) == ("file", {"a": "b"})
        with rt.secrets.create("gone", b"y") as other:
            other.remove()
    assert rt.secrets.list() == []


def test_commits_exports_and_logs_do_not_have_it(rt: Runtime, secret: Secret) -> None:
    with rt.containers.start_detached(
        IMAGE, ["sh", "-c", "echo up; sleep 100"], network="none", name="holder",
        secrets=["key", "key,type=env,target=KEY", "key,target=/etc/key"],
    ) as container:
        assert container.exec(["cat", "/etc/key"]).stdout == DATA
        assert DATA.encode() not in b"".join(container.export())
        image = container.commit("localhost/test/with-secret:latest")
        assert DATA not in json.dumps(image.inspect())
        assert rt.containers.run(
            image.id, ["sh", "-c", "echo $KEY; cat /etc/key /run/secrets/key 2>/dev/null; true"], network="none",
            remove=True,
        ).stdout == "\n"
        with rt.containers.start_detached(image.id, ["sleep", "100"], network="none") as other:
            assert DATA not in "".join(change.path for change in other.diff())
        image.remove(force=True)
        assert DATA not in "".join(line.text for line in container.logs())
        with open(container.config.log_path, encoding="utf-8") as file:
            assert DATA not in file.read()
