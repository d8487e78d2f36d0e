"""Image commands: output, messages and exit codes, letter for letter what Podman 4.3.1 prints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.compat.cli.conftest import Outcome, Pair

pytestmark = pytest.mark.compat

#: Nothing listens there.
NOBODY = "127.0.0.1:1/x"
SAME = [
    "images --filter dangling=true", "images --filter bogus=1", "images --filter before=nope",
    "images --filter since=localhost/nope", "images --filter until=bogus", "images --filter containers=x",
    "images --filter reference=*test*", "images --filter readonly=false", "images --filter label=a=b",
    "images --sort size", "images --digests", "images localhost/test", "images tes",
    "search --filter stars=x x", "search --filter bogus x", f"search {NOBODY}", f"search --list-tags {NOBODY}",
    "search --list-tags x", "history test:v1", "history --no-trunc test:v1", "history -q test:v1", "history nope",
    "history -H=false test:v1", "image tree test:v1", "image tree --whatrequires test:v1", "image tree nope",
    "image diff test:v1", "image diff --format json test:v1", "image diff nope", "image diff test:v1 nope",
    "diff test:v1", "diff nope", "image mount", "image mount nope", "image unmount", "image unmount nope",
    "image unmount -a", "untag test:v1 nope", "rmi -f nope", "rmi -i nope", "rmi nope localhost/nope:7",
    "push nope", f"pull -q --platform linux/arm64 --arch arm {NOBODY}", "pull -q nosuchshort",
    "save nope", "save -q -o /tmp/a:b test:v1", "save -q --format bogus -o /tmp/x test:v1",
    "save -q -o /nonexistent.tar nope test:v1", "load -q -i /nope", "import /nope", "import http://127.0.0.1:1/x",
    f"login {NOBODY[:-2]} -u a -p b", f"login --get-login {NOBODY[:-2]}", f"logout {NOBODY[:-2]}", "logout -a x",
    "logout --authfile /nope x",
    "manifest inspect nope", "manifest add nope test:v1", "manifest exists nope", "manifest create", "commit nope",
    "export nope", "image trust set -t bogus x", "image trust set -t signedBy x", "image trust set -t sigstoreSigned x",
    "image trust set -t reject -f /k x", "image trust show --policypath /nope.json", "image sign", "image scp a",
    "image scp a b c", "image sign --sign-by me nope",
]


@pytest.mark.parametrize("line", SAME)
def test_the_same_words(line: str, pair: Pair) -> None:
    theirs, ours = pair.both(*line.split())
    assert ours == theirs


@pytest.mark.parametrize("change", ["BOGUS x", "ENV"])
def test_bad_changes(change: str, pair: Pair) -> None:
    theirs, ours = pair.both("import", "-c", change, "/dev/null")
    assert ours == theirs


def test_removing_by_name_by_id_and_under_a_container(pair: Pair) -> None:
    """What is printed for each step of taking an image away, beside Podman doing the same to the same image."""
    archive = f"{pair.tools.base}/image.tar"

    def story(podman: bool) -> list[Outcome]:
        run = pair.podman if podman else pair.wherry
        pair.podman("rmi", "-a", "-f")
        pair.podman("load", "-q", "-i", archive)
        pair.podman("tag", "localhost/test:v1", "localhost/b:2", "localhost/c:3")
        identity = pair.podman("images", "-q", "--no-trunc").out.split()[0].removeprefix("sha256:")
        told = [run("rmi", identity), run("rmi", "localhost/b:2"), run("untag", "localhost/c:3")]
        pair.podman("create", "--name", "user", "--network", "none", "localhost/test:v1", "true")
        container = pair.podman("ps", "-aq", "--no-trunc").out.strip()
        told += [run("rmi", "localhost/test:v1"), run("image", "prune", "-a", "-f"), run("images", "-q")]
        pair.podman("rm", "-f", "user")
        told += [run("rmi", "-f", identity), run("images", "-q")]
        return [one._replace(err=one.err.replace(container, "CONTAINER")) for one in told]

    try:
        assert story(podman=False) == story(podman=True)
    finally:
        pair.podman("load", "-q", "-i", archive)
        pair.podman("tag", "localhost/test:v1", "docker.io/library/other:latest")


def test_a_list_podman_made(pair: Pair) -> None:
    pair.podman("manifest", "create", "localhost/list:1")
    shown = pair.wherry("manifest", "inspect", "localhost/list:1")
    assert json.loads(shown.out)["manifests"] in (None, [])
    taken = pair.wherry("manifest", "create", "localhost/list:1")
    assert taken == pair.podman("manifest", "create", "localhost/list:1")
    for wrong in ("sha256:aaaa", "test:v1"):
        theirs, ours = pair.both("manifest", "remove", "localhost/list:1", wrong)
        assert theirs.err.startswith(ours.err.rstrip("\n")) and ours.code == theirs.code
    assert pair.wherry("manifest", "add", "localhost/list:1", "localhost/test:v1").code == 0
    assert len(json.loads(pair.podman("manifest", "inspect", "localhost/list:1").out)["manifests"]) == 1
    pair.wherry("manifest", "rm", "localhost/list:1")


def test_trust_shown_and_set(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.yaml").write_text(
        "default-docker:\n  lookaside: file:///default/look\ndocker:\n  registry.example/team:\n"
        "    lookaside: https://sig.example/x\n  multi.example:\n    sigstore: https://old.example/x\n"
    )
    document = {"default": [{"type": "insecureAcceptAnything"}], "transports": {
        "docker": {
            "registry.example/team": [{"type": "sigstoreSigned", "keyPath": "/k"}], "docker.io": [{"type": "reject"}],
            "multi.example": [{"type": "reject"}, {"type": "insecureAcceptAnything"}], "": [{"type": "reject"}],
        },
        "docker-daemon": {"": [{"type": "insecureAcceptAnything"}]}, "dir": {"/tmp": [{"type": "reject"}]},
    }}
    files = [tmp_path / "theirs.json", tmp_path / "ours.json"]
    for file in files:
        file.write_text(json.dumps(document))
    where = ["--policypath", str(files[0]), "--registrypath", str(tmp_path / "d")]
    for words in ([], ["--json"], ["--raw"], ["-n"], ["registry.example/team"]):
        theirs, ours = pair.both("image", "trust", "show", *where, *words)
        assert ours == theirs
    for words in (["-t", "accept", "reg.example"], ["-f", "/a", "-f", "/b", "reg.example/b"],
                  ["-t", "sigstoreSigned", "-f", "/a", "reg.example/c"], ["-t", "reject", "default"],
                  ["-t", "no", "x"]):
        told = [
            run("image", "trust", "set", "--policypath", str(file), *words)
            for run, file in zip((pair.podman, pair.wherry), files, strict=True)
        ]
        assert told[0] == told[1]
        assert json.loads(files[0].read_text()) == json.loads(files[1].read_text())
    assert os.stat(files[1]).st_mode & 0o777 == 0o644


@pytest.mark.parametrize("words", [
    ["rmi", "localhost/test:v1"], ["rmi", "-a"], ["rmi", "--no-prune", "localhost/grandchild:1"],
    ["rmi", "localhost/grandchild:1"], ["image", "prune", "-a", "-f"],
], ids=" ".join)
def test_removing_images_others_are_built_on(words: list[str], pair: Pair) -> None:
    """A named image, one built on it that lost its name, and one built on that."""
    archive = f"{pair.tools.base}/image.tar"

    def story(podman: bool) -> list[str]:
        pair.podman("rmi", "-a", "-f")
        pair.podman("load", "-q", "-i", archive)
        for base, name in (("test:v1", "child:1"), ("child:1", "grandchild:1")):
            pair.podman("create", "--name", "user", "--network", "none", f"localhost/{base}", "true")
            pair.podman("commit", "-q", "user", f"localhost/{name}")
            pair.podman("rm", "-f", "user")
        listed = pair.podman("images", "-a", "--no-trunc", "--format", "{{.Repository}} {{.ID}}").out
        ids = dict(line.split() for line in listed.splitlines())
        if "grandchild" in " ".join(words):
            pair.podman("untag", "localhost/child:1")
        told = (pair.podman if podman else pair.wherry)(*words)
        left = pair.podman("images", "-a", "--no-trunc", "--format", "{{.Repository}} {{.Id}}").out

        def named(text: str) -> list[str]:
            for name, identity in ids.items():
                text = text.replace(identity.removeprefix("sha256:"), name)
            return text.splitlines()

        # Images made within one second are listed in no certain order.
        return [str(told.code), *named(told.out), *named(told.err), *sorted(named(left))]

    try:
        assert story(podman=False) == story(podman=True)
    finally:
        pair.podman("rmi", "-a", "-f")
        pair.podman("load", "-q", "-i", archive)
        pair.podman("tag", "localhost/test:v1", "docker.io/library/other:latest")
