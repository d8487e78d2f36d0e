"""auto-update's rules: image names, credentials, signatures, hooks, who is told."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.system.update.world import World, results, row

from wherry.engine.runtime import Runtime
from wherry.model.event import Event

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("raw_name", "complaint"),
    [
        ("app:1", 'short name: auto updates require fully-qualified image reference: "app:1"'),
        ("0123456789ab", 'short name: auto updates require fully-qualified image reference: "0123456789ab"'),
        ("oci:/tmp/x", 'auto updates require the docker image transport but image is of transport "oci"'),
        (
            "quay.io/a/b@sha256:" + "0" * 64,
            f'auto updates require fully-qualified image references without digest: "quay.io/a/b@sha256:{"0" * 64}"',
        ),
    ],
)
def test_image_names_that_cannot_be_followed(world: World, raw_name: str, complaint: str) -> None:
    world.publish("1")
    container = world.run("web", policy="disabled")
    config = container.config.replace(raw_image_name=raw_name, labels={"io.containers.autoupdate": "registry"})
    world.rt.state.rewrite_config(container.id, config)
    result = world.update()
    assert results(result) == {"web": "failed"}
    assert result.errors == [
        f'registry auto-updating container "{container.id}": image check for "{raw_name}" failed: {complaint}'
    ]


def test_a_container_without_image_name(world: World) -> None:
    world.publish("1")
    container = world.run("web", policy="disabled")
    for policy, doing in (("registry", "registry auto-updating"), ("local", "locally auto-updating")):
        config = container.config.replace(raw_image_name="", labels={"io.containers.autoupdate": policy})
        world.rt.state.rewrite_config(container.id, config)
        result = world.update()
        assert result.rows == []
        assert result.errors == [f'{doing} container "{container.id}": raw-image name is empty']


def test_labels_that_make_no_sense(world: World) -> None:
    world.publish("1")
    world.run("web", labels={"io.containers.autoupdate.window": "soon"})
    world.publish("2")
    result = world.rt.auto_update.apply(world.rt.auto_update.plan(tls_verify=False))
    assert results(result) == {"web": "failed"}
    assert 'label io.containers.autoupdate.window: time: invalid duration "soon"' in result.errors[0]


def test_a_registry_that_is_down_harms_nobody_else(world: World) -> None:
    world.publish("1")
    world.run("web")
    gone = world.run("gone")
    world.rt.state.rewrite_config(gone.id, gone.config.replace(raw_image_name="127.0.0.1:1/app:1"))
    world.publish("2")
    result = world.update()
    assert results(result) == {"web": "true", "gone": "failed"}
    [error] = result.errors
    assert error.startswith(f'registry auto-updating container "{gone.id}": image check for "127.0.0.1:1/app:1" failed')
    assert "connection refused" in error


def test_a_local_image_that_is_gone(world: World) -> None:
    world.publish("1")
    container = world.run("web", policy="local")
    world.rt.images.get(world.image()).untag()
    result = world.update()
    assert results(result) == {"web": "failed"}
    assert result.errors == [
        f'locally auto-updating container "{container.id}": image check for "{world.image()}" failed: '
        f"{world.image()}: image not known"
    ]


def test_credentials_by_label(world: World, locked_registry: Any, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    token = base64.b64encode(b"me:secret").decode()
    authfile.write_text(json.dumps({"auths": {locked_registry.host: {"auth": token}}}))
    locked = World(world.rt, world.base, locked_registry.host, "me:secret")
    locked.publish("1")
    label = {"io.containers.autoupdate.authfile": str(authfile)}
    locked.run("labelled", labels=label, authfile=str(authfile))
    locked.run("plain", authfile=str(authfile))
    locked.publish("2")
    result = locked.update()
    assert results(result) == {"labelled": "true", "plain": "failed"}
    assert "unauthorized" in result.errors[0]
    assert results(locked.update(authfile=str(authfile))) == {"labelled": "false", "plain": "true"}


def test_what_the_policy_rejects_is_not_even_pulled(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = world.publish("1")
    old = world.run("web")
    world.publish("2")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "reject"}]}))
    monkeypatch.setattr("wherry.config.policy.policy_path", lambda *_: str(policy))
    plan = world.rt.auto_update.plan(tls_verify=False)
    [task] = plan.groups[0].tasks
    assert (task.updated, task.signature) == ("failed", "rejected")
    result = world.update()
    assert results(result) == {"web": "failed"}
    assert "rejected by policy" in result.errors[0]
    assert world.rt.containers.get("web").id == old.id
    assert [image.digest for image in world.rt.images.list()] == [digest]


# -- hooks -----------------------------------------------------------------------------------------------------------

PRE, POST = "io.containers.autoupdate.pre", "io.containers.autoupdate.post"


def test_commands_in_the_container(world: World) -> None:
    world.publish("1")
    script = 'cp /version /data/$WHERRY_UPDATE_CONTAINER.'
    world.run("web", volumes=["data:/data"], labels={PRE: script + "before", POST: script + "after"})
    world.publish("2")
    assert results(world.update()) == {"web": "true"}
    web = world.rt.containers.get("web")
    assert web.exec(["sh", "-c", "cat /data/web.before /data/web.after"]).stdout == "12"


def test_a_failing_command_before_leaves_all_as_it_is(world: World) -> None:
    digest = world.publish("1")
    old = world.run("web", labels={PRE: "echo not now >&2; exit 4"})
    world.publish("2")
    result = world.update()
    assert results(result) == {"web": "failed"}
    assert result.errors == [
        f"auto-updating container web: label {PRE}: \"echo not now >&2; exit 4\" ended with exit code 4: not now"
    ]
    assert world.rt.containers.get("web").id == old.id
    assert world.rt.images.get(world.image()).digest == digest
    assert world.rt.auto_update.bad_digests() == []


def test_a_failing_command_after_rolls_back(world: World) -> None:
    world.publish("1")
    old = world.run("web", labels={POST: "exit 5"})
    world.publish("2")
    assert results(world.update()) == {"web": "rolled back"}
    assert world.rt.containers.get("web").id == old.id


def test_commands_on_the_host_need_permission(world: World, tmp_path: Path) -> None:
    world.publish("1")
    world.run("web", labels={f"{PRE}.host": f"echo $WHERRY_UPDATE_IMAGE > {tmp_path}/file"})
    world.publish("2")
    result = world.update()
    assert results(result) == {"web": "failed"}
    assert result.errors == [
        f"auto-updating container web: label {PRE}.host: commands on the host are not allowed here"
    ]
    assert not (tmp_path / "file").exists()


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def hook() -> Any:
    """A web server that keeps what is posted."""
    posted: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", posted
    server.shutdown()
    thread.join()
    server.server_close()


def with_settings(world: World, text: str) -> World:
    """The same engine with ``[wherry.auto_update]`` settings."""
    conf = world.base / "own.conf"
    conf.write_text(f"[wherry.auto_update]\n{text}\n")
    storage = world.rt.settings.storage
    rt = Runtime(
        root=storage.graph_root, runroot=storage.run_root, storage_driver="overlay", config=str(conf),
        network_config_dir=world.rt.settings.network.network_config_dir,
    )
    return World(rt, world.base, world.host)


def test_commands_on_the_host_where_they_are_allowed(world: World, tmp_path: Path) -> None:
    allowed = with_settings(world, "host_hooks = true")
    world.publish("1")
    world.run("web", labels={f"{PRE}.host": f"echo $WHERRY_UPDATE_IMAGE > {tmp_path}/file"})
    world.publish("2")
    assert results(allowed.update()) == {"web": "true"}
    assert (tmp_path / "file").read_text() == world.image() + "\n"


def test_somebody_is_told(world: World, mail: Path, hook: Any) -> None:
    address, posted = hook
    telling = with_settings(
        world, f'notify_url = "{address}"\nnotify_command = ["sh", "-c", "cat > {mail}"]'
    )
    old = world.publish("1")
    world.run("web")
    assert results(telling.update()) == {"web": "false"}
    assert posted == [] and not mail.exists()       # nothing happened
    new = world.publish("2")
    assert results(telling.update()) == {"web": "true"}
    report = json.loads(mail.read_text())
    assert json.loads(posted[0]) == report
    [update] = report["Updates"]
    assert (update["ContainerName"], update["Updated"]) == ("web", "true")
    assert (update["OldDigest"], update["NewDigest"]) == (old, new)


def test_a_listener_that_fails_does_not_undo_anything(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    telling = with_settings(world, 'notify_url = "http://127.0.0.1:1/"\nnotify_command = ["false"]')
    world.publish("1")
    world.run("web")
    world.publish("2")
    assert results(telling.update()) == {"web": "true"}
    errors = capfd.readouterr().err
    assert "false ended with exit code 1" in errors and "connection refused" in errors


def test_events_tell_digests_and_result(world: World) -> None:
    old = world.publish("1")
    world.run("web")
    new = world.publish("2")
    world.update()
    bad = world.publish("3", Cmd=["false"])
    world.update()
    told: list[Event] = [event for event in world.rt.events(filters=["event=auto-update"]) if event.type == "container"]
    assert [(event.name, event.attributes["result"]) for event in told] == [("web", "true"), ("web", "rolled back")]
    assert (told[0].attributes["oldDigest"], told[0].attributes["newDigest"]) == (old, new)
    assert (told[1].attributes["oldDigest"], told[1].attributes["newDigest"]) == (new, bad)
    assert len(list(world.rt.events(filters=["event=auto-update", "type=system"]))) == 2


def test_two_runs_at_once(world: World) -> None:
    from wherry.update.auto_update import _Alone

    world.publish("1")
    world.run("web")
    plan = world.rt.auto_update.plan(tls_verify=False)
    problems: list[BaseException] = []

    def run() -> None:
        with Runtime(root=world.rt.settings.storage.graph_root, runroot=world.rt.settings.storage.run_root) as other:
            try:
                other.auto_update.apply(plan)
            except BaseException as error:
                problems.append(error)

    with _Alone(world.rt):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert [str(problem) for problem in problems] == ["another auto-update is under way"]
    assert row(world.rt.auto_update.apply(plan), "web").updated == "false"
