"""Signatures wherry makes are accepted by Skopeo and Podman, theirs by wherry, and tampered ones by nobody."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.podman import Tools

from wherry.registry import signature_formats, sigstore_keys

pytestmark = pytest.mark.system


class Host:
    """A home directory with registries.conf, registries.d and policies; what every tool of a test goes by."""

    def __init__(self, tools: Tools, registry: Any, keys: Any, wherry: Any, directory: Path) -> None:
        self.tools, self.registry, self.wherry, self.directory = tools, registry, wherry, directory
        self.home = Path(tools.environment["HOME"])
        tools.environment["GNUPGHOME"] = keys.home
        wherry.environment["GNUPGHOME"] = keys.home
        self.look = directory / "look"
        self.archive = directory / "busybox.tar"        # what the image came from
        where = self.home / ".config/containers"
        (where / "registries.d").mkdir(parents=True)
        (where / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        (where / "registries.d/it.yaml").write_text(
            f"docker:\n  {registry.host}:\n    lookaside: file://{self.look}\n    use-sigstore-attachments: true\n"
        )
        self.gpg_rule = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": keys.public}

    def policy(self, *requirements: dict[str, object], transport: str = "docker") -> str:
        """A policy file that has only these for *transport*, and rejects all else."""
        path = self.directory / "policy.json"
        path.write_text(json.dumps({
            "default": [{"type": "reject"}], "transports": {transport: {"": list(requirements)}},
        }))
        return str(path)

    def name(self, tag: str = "1") -> str:
        return f"{self.registry.host}/team/app:{tag}"

    def skopeo(self, policy: str, *words: str, fails: bool = False) -> str:
        return self.tools.run("skopeo", "--policy", policy, *words, fails=fails)

    def pull(self, policy: str, name: str) -> str:
        return str(self.wherry.ok("pull", "-q", "--signature-policy", policy, name))

    def refused(self, policy: str, name: str) -> str:
        """Why wherry does not pull it; nothing of it must be in the store."""
        said = str(self.wherry.fails("pull", "-q", "--signature-policy", policy, name))
        assert name not in self.wherry.ok("images", "--format", "{{.Repository}}:{{.Tag}}")
        return said

    def signatures(self) -> list[Path]:
        return sorted(self.look.rglob("signature-*"))


@pytest.fixture
def host(tools: Tools, registry: Any, keys: Any, wherry: Any, loaded: str, tmp_path: Path) -> Host:
    return Host(tools, registry, keys, wherry, tmp_path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """A sigstore key pair: the private key's file (passphrase ``pw``) and the public key's."""
    private, public = sigstore_keys.generate("pw")
    (tmp_path / "cosign.key").write_bytes(private)
    (tmp_path / "cosign.pub").write_bytes(public)
    (tmp_path / "pw").write_text("pw\n")
    return str(tmp_path / "cosign.key"), str(tmp_path / "cosign.pub")


def pushed(host: Host, loaded: str, *words: str) -> str:
    host.wherry.ok("push", "-q", "--digestfile", str(host.directory / "digest"), *words, loaded, host.name())
    return (host.directory / "digest").read_text()


def test_what_wherry_signs_with_gpg_the_others_accept(host: Host, loaded: str, keys: Any) -> None:
    digest = pushed(host, loaded, "--sign-by", "me@example.com")
    (signature,) = host.signatures()
    assert signature.parent.name == f"app@{digest.replace(':', '=')}"
    policy = host.policy(host.gpg_rule)
    host.skopeo(policy, "copy", f"docker://{host.name()}", f"dir:{host.directory}/copy")
    manifest = f"{host.directory}/copy/manifest.json"
    fingerprint = keys.gpg("--with-colons", "--list-keys", "me@example.com").decode().split("fpr:::::::::")[1][:40]
    checked = host.skopeo(policy, "standalone-verify", manifest, host.name(), fingerprint, str(signature))
    assert f"Signature verified, digest {digest}" in checked
    host.wherry.ok("rmi", loaded)
    host.tools.podman("pull", "-q", "--signature-policy", policy, host.name())
    host.tools.podman("rmi", host.name())
    host.pull(policy, host.name())
    # The signature is kept with the image, where Podman keeps it.
    kept = host.skopeo(policy, "inspect", "--raw", host.tools.storage_reference(host.name()))
    assert "schemaVersion" in kept


def test_what_skopeo_signs_with_gpg_wherry_accepts(host: Host, loaded: str) -> None:
    plain = pushed(host, loaded)
    policy = host.policy(host.gpg_rule)
    host.wherry.ok("rmi", loaded)
    assert "A signature was required, but no signature exists" in host.refused(policy, host.name())
    anything = host.tools.policy
    host.skopeo(
        anything, "copy", "--sign-by", "me@example.com", f"docker://{host.name()}", f"docker://{host.name('2')}"
    )
    host.pull(policy, host.name("2"))
    # The same image under the name it was not signed for.
    host.wherry.ok("rmi", host.name("2"))
    assert f"Signature for identity {host.name('2')} is not accepted" in host.refused(policy, host.name())
    host.pull(host.policy({**host.gpg_rule, "signedIdentity": {"type": "matchRepository"}}), host.name())
    host.wherry.ok("rmi", host.name())
    host.pull(policy, f"{host.registry.host}/team/app@{plain}")


def test_image_sign(host: Host, loaded: str) -> None:
    digest = pushed(host, loaded)
    host.wherry.ok("image", "sign", "--sign-by", "me@example.com", f"docker://{host.name()}")
    host.wherry.ok("image", "sign", "--sign-by", "me@example.com", "-d", str(host.directory), f"docker://{host.name()}")
    assert (host.directory / f"team/app@{digest.replace(':', '=')}/signature-1").exists()
    host.wherry.ok("image", "sign", "--sign-by", "me@example.com", f"docker://{host.name()}")
    assert [path.name for path in host.signatures()] == ["signature-1", "signature-2"]
    policy = host.policy(host.gpg_rule)
    host.skopeo(policy, "copy", f"docker://{host.name()}", f"dir:{host.directory}/copy")
    host.wherry.ok("rmi", loaded)
    host.pull(policy, host.name())
    for words, reason in (
        (["image", "sign", f"docker://{host.name()}"], "please provide an identity"),
        (["image", "sign", "--sign-by", "me@example.com", host.name()], "parsing image name: Invalid image name"),
        (["image", "sign", "--sign-by", "no@example.com", f"docker://{host.name()}"], "no such secret key"),
        (["image", "sign", "--sign-by", "me@example.com", "-d", "/nope", f"docker://{host.name()}"], "stat /nope"),
        (["image", "sign", "--sign-by", "me@example.com", "--all", f"docker://{host.name()}"],
         "is not a multi-architecture image"),
    ):
        assert reason in host.wherry.fails(*words)


def test_a_tampered_signature_is_refused(host: Host, loaded: str, keys: Any) -> None:
    digest = pushed(host, loaded, "--sign-by", "me@example.com")
    (path,) = host.signatures()
    good = path.read_bytes()
    host.wherry.ok("rmi", loaded)
    policy = host.policy(host.gpg_rule)
    for bad in (
        good[:-30] + bytes(30),
        keys.signed(signature_formats.make_payload(signature_formats.ATOMIC, host.name(), "sha256:" + "ab" * 32)),
        keys.signed(signature_formats.make_payload(signature_formats.ATOMIC, host.name("2"), digest)),
        keys.signed(signature_formats.make_payload(signature_formats.COSIGN, host.name(), digest)),
        keys.signed(b'{"critical": {}}'),
        b"\0unknown\n{}",
        b"",
    ):
        path.write_bytes(bad)
        assert "Source image rejected" in host.refused(policy, host.name()) or bad.startswith(b"\0")
        assert host.skopeo(policy, "copy", f"docker://{host.name()}", f"dir:{host.directory}/copy", fails=True)
    path.write_bytes(b"x" + good)
    path.with_name("signature-2").write_bytes(good)
    host.pull(policy, host.name())


def test_sigstore_keys(host: Host, loaded: str, pair: tuple[str, str]) -> None:
    private, public = pair
    key = ["--sign-by-sigstore-private-key", private, "--sign-passphrase-file", str(host.directory / "pw")]
    digest = pushed(host, loaded, *key)
    host.wherry.ok("push", "-q", *key, loaded, host.name("2"))
    policy = host.policy({"type": "sigstoreSigned", "keyPath": public})
    host.wherry.ok("rmi", loaded)
    host.pull(policy, host.name())
    host.pull(policy, host.name("2"))
    host.wherry.ok("rmi", "-a")
    # The second signature is added to the first, in the image cosign would look at.
    tag = digest.replace(":", "-") + ".sig"
    raw = host.skopeo(host.tools.policy, "inspect", "--raw", f"docker://{host.registry.host}/team/app:{tag}")
    assert [layer["mediaType"] for layer in json.loads(raw)["layers"]] == [signature_formats.SIMPLE_SIGNING] * 2
    _, other = sigstore_keys.generate("")
    (host.directory / "other.pub").write_bytes(other)
    wrong = host.policy({"type": "sigstoreSigned", "keyPath": f"{host.directory}/other.pub"})
    assert "cryptographic signature verification failed" in host.refused(wrong, host.name())
    (host.home / ".config/containers/registries.d/it.yaml").write_text("docker: {}\n")
    assert "A signature was required, but no signature exists" in host.refused(policy, host.name())


def test_the_others_and_sigstore(host: Host, loaded: str, pair: tuple[str, str]) -> None:
    """Debian 12's tools are built without sigstore; those of later releases judge."""
    private, public = pair
    key = ["--sign-by-sigstore-private-key", private, "--sign-passphrase-file", str(host.directory / "pw")]
    pushed(host, loaded, *key)
    policy = host.policy({"type": "sigstoreSigned", "keyPath": public})
    try:
        host.skopeo(policy, "copy", f"docker://{host.name()}", f"dir:{host.directory}/copy")
    except AssertionError as error:
        if "sigstore disabled" not in str(error):
            raise
        pytest.skip("skopeo is built without sigstore")
    host.tools.podman("rmi", loaded)
    host.tools.podman("pull", "-q", "--signature-policy", policy, host.name())
    host.tools.podman("tag", host.name(), loaded)
    host.tools.podman("push", "-q", *key, "--remove-signatures", loaded, host.name("2"))
    host.skopeo(host.tools.policy, "copy", *key, f"docker://{host.name()}", f"docker://{host.name('3')}")
    host.wherry.ok("rmi", "-a", "-f")
    host.pull(policy, host.name("2"))
    host.pull(policy, host.name("3"))


def test_a_key_pair_of_the_command_line(host: Host, loaded: str) -> None:
    (host.directory / "pw").write_text("pw\n")
    subprocess.run(["openssl", "genrsa", "-out", str(host.directory / "rsa.pem"), "2048"], check=True,
                   capture_output=True)
    for prefix, more in (("new", []), ("old", ["--import", str(host.directory / "rsa.pem")])):
        where, secret = str(host.directory / prefix), str(host.directory / "pw")
        make = ["image", "generate-sigstore-key", "--output-prefix", where, "--passphrase-file", secret, *more]
        assert host.wherry.ok(*make) == f'Key written to "{where}.private" and "{where}.pub"'
        assert "Refusing to overwrite existing" in host.wherry.fails(*make)
        key = ["--sign-by-sigstore-private-key", where + ".private", "--sign-passphrase-file", secret]
        host.wherry.ok("push", "-q", *key, loaded, host.name(prefix))
        rule = {"type": "sigstoreSigned", "keyPath": where + ".pub"}
        host.wherry.ok("pull", "-q", "--signature-policy", host.policy(rule), host.name(prefix))
        host.wherry.ok("rmi", "-f", "-a")
        host.wherry.ok("load", "-q", "-i", str(host.archive))


def test_what_podman_signs_wherry_accepts(host: Host, loaded: str) -> None:
    host.tools.podman("push", "-q", "--sign-by", "me@example.com", loaded, host.name())
    host.wherry.ok("rmi", loaded)
    exact = {**host.gpg_rule, "signedIdentity": {"type": "exactReference", "dockerReference": host.name()}}
    host.pull(host.policy(exact), host.name())
    assert json.loads(host.wherry.ok("image", "inspect", host.name()))[0]["RepoTags"] == [host.name()]


def test_a_signed_image_is_pushed_on_only_as_it_is(host: Host, loaded: str, registry: Any) -> None:
    pushed(host, loaded, "--sign-by", "me@example.com")
    host.wherry.ok("rmi", loaded)
    host.pull(host.policy(host.gpg_rule), host.name())
    # All blobs are there: manifest and signature travel together.
    host.wherry.ok("push", "-q", host.name(), host.name("copy"))
    # An OCI layout has no room for them.
    assert "signatures" in host.wherry.fails("push", "-q", host.name(), f"oci:{host.directory}/layout")
    target = f"dir:{host.directory}/plain"
    assert "Would invalidate signatures" in host.wherry.fails(
        "push", "-q", "--force-compression", "--compression-format", "zstd", host.name(), host.name("z")
    )
    host.wherry.ok("push", "-q", "--remove-signatures", host.name(), target)
    assert not (host.directory / "plain/signature-1").exists()
    host.wherry.ok("save", "-q", "-o", f"{host.directory}/saved.tar", host.name())


@pytest.mark.parametrize(("words", "reason"), [
    (["--sign-by", "no@example.com"], "signing with key no@example.com: no such secret key"),
    (["--sign-by-sigstore-private-key", "/nope", "--sign-passphrase-file", "/dev/null"], "/nope"),
    (["--sign-by-sigstore", "/nope"], "/nope"),
    (["--sign-by", "me@example.com", "--sign-passphrase-file", "/nope"], "open /nope: no such file or directory"),
    (["--sign-by", "x", "--sign-by-sigstore-private-key", "x", "--sign-passphrase-file", "/dev/null"],
     "only one of --sign-by and sign-by-sigstore-private-key can be used with --sign-passphrase-file"),
    (["--sign-by-sq-fingerprint", "AB"], "sq, the tool of Sequoia-PGP, is missing"),
])
def test_wrong_keys_are_noticed_before_anything_is_sent(
    host: Host, loaded: str, words: Sequence[str], reason: str
) -> None:
    assert reason in host.wherry.fails("push", "-q", *words, loaded, host.name())
    assert host.skopeo(host.tools.policy, "inspect", f"docker://{host.name()}", fails=True)


def test_signing_needs_a_registry_and_an_attachment_permission(
    host: Host, loaded: str, pair: tuple[str, str]
) -> None:
    said = host.wherry.fails("push", "-q", "--sign-by", "me@example.com", loaded, f"dir:{host.directory}/d")
    assert f"Cannot determine canonical Docker reference for destination dir:{host.directory}/d" in said
    (host.home / ".config/containers/registries.d/it.yaml").write_text("docker: {}\n")
    key = ["--sign-by-sigstore-private-key", pair[0], "--sign-passphrase-file", str(host.directory / "pw")]
    said = host.wherry.fails("push", "-q", *key, loaded, host.name())
    assert "writing sigstore attachments is disabled by configuration" in said
    (host.directory / "pw").write_text("wrong\n")
    assert "decryption failed" in host.wherry.fails("push", "-q", *key, loaded, host.name())


def test_a_locked_gpg_key_takes_its_passphrase_from_a_file(host: Host, loaded: str) -> None:
    (host.directory / "pw").write_text("pw\nsecond line\n")
    subprocess.run(["gpgconf", "--homedir", host.wherry.environment["GNUPGHOME"], "--kill", "gpg-agent"], check=True)
    pushed(host, loaded, "--sign-by", "locked@example.com", "--sign-passphrase-file", str(host.directory / "pw"))
    host.wherry.ok("rmi", loaded)
    host.pull(host.policy(host.gpg_rule), host.name())


def test_a_signed_list_and_its_images(host: Host, loaded: str) -> None:
    host.wherry.ok("manifest", "create", "localhost/list:1", loaded)
    host.wherry.ok("manifest", "push", "-q", "--sign-by", "me@example.com", "localhost/list:1", host.name())
    assert len(host.signatures()) == 2
    host.wherry.ok("rmi", loaded)
    policy = host.policy(host.gpg_rule)
    host.pull(policy, host.name())
    host.skopeo(policy, "copy", "--all", f"docker://{host.name()}", f"dir:{host.directory}/copy", "--remove-signatures")
    assert "is not a multi-architecture image" not in host.wherry.ok(
        "image", "sign", "--all", "--sign-by", "me@example.com", f"docker://{host.name()}"
    )
    assert len(host.signatures()) == 3


def test_policies_for_load_save_import_and_push(host: Host, loaded: str, tmp_path: Path) -> None:
    archive = str(tmp_path / "a.tar")
    host.wherry.ok("save", "-q", "-o", archive, loaded)
    reject = host.policy({"type": "reject"}, transport="docker")
    assert f"Running image docker-archive:{archive}:{loaded} is rejected by policy." in host.wherry.fails(
        "load", "-q", "--signature-policy", reject, "-i", archive)
    said = host.wherry.fails("save", "-q", "--signature-policy", reject, "-o", str(tmp_path / "b.tar"), loaded)
    assert "Running image containers-storage:[overlay@" in said and "is rejected by policy." in said
    assert not (tmp_path / "b.tar").exists()
    said = host.wherry.fails("import", "-q", "--signature-policy", reject, archive)
    assert f"Source image rejected: Running image tarball:{archive} is rejected by policy." in said
    host.wherry.ok("push", "-q", "--signature-policy", reject, loaded, f"dir:{tmp_path}/d")
    assert "open /nope.json: no such file or directory" in host.wherry.fails(
        "push", "-q", "--signature-policy", "/nope.json", loaded, f"dir:{tmp_path}/d2")


def test_signatures_in_a_directory(host: Host, loaded: str, tmp_path: Path) -> None:
    pushed(host, loaded, "--sign-by", "me@example.com")
    host.skopeo(host.tools.policy, "copy", f"docker://{host.name()}", f"dir:{tmp_path}/d")
    exact = {**host.gpg_rule, "signedIdentity": {"type": "exactReference", "dockerReference": host.name()}}
    host.wherry.ok("load", "-q", "--signature-policy", host.policy(exact, transport="dir"), "-i", f"{tmp_path}/d")
    (tmp_path / "d/signature-1").write_bytes(b"no")
    assert "Source image rejected" in host.wherry.fails(
        "load", "-q", "--signature-policy", host.policy(exact, transport="dir"), "-i", f"{tmp_path}/d")
