"""policy.json is obeyed before anything is stored."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from wherry import Runtime
from wherry.config.policy import load_policy, scopes
from wherry.errors import InvalidArgument
from wherry.model.reference import parse
from wherry.registry.signatures import Candidate, Rejected, SigstoreSignature, check

pytestmark = pytest.mark.system
DIGEST = "sha256:" + "ab" * 32
NAME = parse("registry.example/team/app:1")


def payload(kind: str, reference: str = str(NAME), digest: str = DIGEST) -> bytes:
    critical = {
        "type": kind, "image": {"docker-manifest-digest": digest}, "identity": {"docker-reference": reference},
    }
    return json.dumps({"critical": critical, "optional": {}}).encode()


@pytest.fixture(scope="module")
def gpg() -> Iterator[tuple[str, str]]:
    """A key ring with one key: its home and the exported public key."""
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        run = ["gpg", "--batch", "--homedir", home, "--pinentry-mode", "loopback", "--passphrase", ""]
        subprocess.run([*run, "--quick-gen-key", "me@example.com", "rsa2048"], check=True, capture_output=True)
        public = os.path.join(home, "public.asc")
        subprocess.run([*run, "--armor", "--output", public, "--export"], check=True, capture_output=True)
        yield home, public
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)


def gpg_signed(home: str, data: bytes) -> bytes:
    run = ["gpg", "--batch", "--homedir", home, "--pinentry-mode", "loopback", "--passphrase", "", "--sign"]
    return subprocess.run(run, input=data, capture_output=True, check=True).stdout


def test_openpgp_signatures(gpg: tuple[str, str]) -> None:
    home, public = gpg
    rule = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": public}]
    image = Candidate(name="docker://x", reference=NAME, digest=DIGEST)
    good = gpg_signed(home, payload("atomic container signature"))
    check(rule, image.replace(signatures=[good]))
    with pytest.raises(Rejected, match="A signature was required, but no signature exists"):
        check(rule, image)
    wrong = [
        good[:-40] + bytes(40),
        gpg_signed(home, payload("atomic container signature", digest="sha256:" + "cd" * 32)),
        gpg_signed(home, payload("atomic container signature", "registry.example/team/other:1")),
        gpg_signed(home, payload("cosign container image signature")),
        payload("atomic container signature"),
    ]
    for signature in wrong:
        with pytest.raises(Rejected):
            check(rule, image.replace(signatures=[signature]))
    check(rule, image.replace(signatures=[wrong[0], good]))


def test_sigstore_signatures(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = tmp_path / "key.pub"
    public.write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ))
    rule = [{"type": "sigstoreSigned", "keyPath": str(public)}]
    data = payload("cosign container image signature")
    signature = base64.b64encode(key.sign(data, ec.ECDSA(hashes.SHA256()))).decode()
    image = Candidate(name="docker://x", reference=NAME, digest=DIGEST)
    check(rule, image.replace(attached=[SigstoreSignature(payload=data, signature=signature)]))
    for bad in (
        SigstoreSignature(payload=data + b" ", signature=signature), SigstoreSignature(payload=data, signature="!"),
    ):
        with pytest.raises(Rejected):
            check(rule, image.replace(attached=[bad]))


def test_the_most_specific_scope_decides(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({
        "default": [{"type": "reject"}],
        "transports": {"docker": {
            "registry.example/team": [{"type": "insecureAcceptAnything"}],
            "registry.example/team/app:2": [{"type": "reject"}],
        }},
    }))
    policy = load_policy(str(path))
    kinds = [
        policy.requirements("docker", scopes(parse(name)))[0]["type"]
        for name in ("registry.example/team/app:1", "registry.example/team/app:2", "registry.example/other:1")
    ]
    assert kinds == ["insecureAcceptAnything", "reject", "reject"]
    path.write_text('{"default": [{"type": "reject", "surprise": 1}]}')
    with pytest.raises(InvalidArgument, match="Unknown key 'surprise'"):
        load_policy(str(path))


def test_a_rejected_image_leaves_nothing(runtime: Runtime, loaded: str, registry: Any, tmp_path: Path) -> None:
    name = f"{registry.host}/team/app:1"
    runtime.images.push(loaded, name, tls_verify=False)
    runtime.images.remove(loaded)
    path = tmp_path / "policy.json"
    path.write_text('{"default": [{"type": "reject"}]}')
    with pytest.raises(Rejected, match=f"Running image docker://{name} is rejected by policy"):
        runtime.images.pull(name, tls_verify=False, signature_policy=str(path))
    assert runtime.store.images() == [] and runtime.store.layers() == []
    path.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    assert runtime.images.pull(name, tls_verify=False, signature_policy=str(path)).names == [name]
