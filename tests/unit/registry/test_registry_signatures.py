"""Payloads, names in signatures, sigstore keys, certificates and Rekor's log; without gpg and without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wherry.errors import InvalidArgument, RegistryError, Unsupported
from wherry.model.reference import parse
from wherry.registry import identities, signature_formats, signing, signing_params, sigstore_keys
from wherry.registry.signature_formats import SigstoreSignature
from wherry.registry.signatures import Candidate, Rejected, check

DIGEST = "sha256:" + "ab" * 32
NAME = parse("registry.example/team/app:1")
IMAGE = Candidate(name=f"docker://{NAME}", reference=NAME, digest=DIGEST)


@pytest.mark.parametrize(("rule", "wanted", "signed", "good"), [
    ({"type": "matchExact"}, "r.example/a:1", "r.example/a:1", True),
    ({"type": "matchExact"}, "r.example/a:1", "r.example/a:2", False),
    ({"type": "matchExact"}, "r.example/a:1", "r.example/a", False),
    ({"type": "matchExact"}, f"r.example/a@{DIGEST}", "r.example/a:1", False),
    ({"type": "matchRepoDigestOrExact"}, f"r.example/a@{DIGEST}", "r.example/a:1", True),
    ({"type": "matchRepoDigestOrExact"}, f"r.example/a@{DIGEST}", "r.example/b:1", False),
    ({"type": "matchRepoDigestOrExact"}, "r.example/a:1", "r.example/a:2", False),
    ({"type": "matchRepository"}, "r.example/a:1", "r.example/a", True),
    ({"type": "matchRepository"}, "r.example/a:1", "r.example/b:1", False),
    ({"type": "exactReference", "dockerReference": "x.example/y:3"}, "r.example/a:1", "x.example/y:3", True),
    ({"type": "exactReference", "dockerReference": "x.example/y:3"}, "r.example/a:1", "r.example/a:1", False),
    ({"type": "exactRepository", "dockerRepository": "x.example/y"}, None, "x.example/y:4", True),
    ({"type": "matchExact"}, None, "x.example/y:4", False),
    ({"type": "remapIdentity", "prefix": "m.example/x", "signedPrefix": "r.example"}, "m.example/x/a:1",
     "r.example/a:1", True),
    ({"type": "remapIdentity", "prefix": "m.example/x", "signedPrefix": "r.example"}, "m.example/xy/a:1",
     "r.example/y/a:1", False),
    ({"type": "remapIdentity", "prefix": "m.example:5000", "signedPrefix": "r.example"}, "m.example:5000/a:1",
     "r.example/a:1", True),
    ({"type": "matchRepository"}, "r.example/a:1", "NOT//VALID", False),
])
def test_identities(rule: dict[str, str], wanted: str | None, signed: str, good: bool) -> None:
    assert identities.matches(rule, parse(wanted) if wanted else None, signed) is good


@pytest.mark.parametrize("data", [
    b"", b"[]", b"{}", b'{"critical": {}, "optional": {}}', b'{"critical": 1, "optional": {}}',
    b'{"critical": {"type": "x", "image": {"docker-manifest-digest": "d"}, "identity": {"docker-reference": 1}}, '
    b'"optional": {}}',
    b'{"critical": {"type": "x", "image": {"docker-manifest-digest": "d"}, "identity": {"docker-reference": "n"}, '
    b'"more": 1}, "optional": {}}',
])
def test_malformed_payloads(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match="malformed"):
        signature_formats.parse_payload(data)


def test_stored_form() -> None:
    signature = SigstoreSignature(payload=b"\0x", annotations={"a": "b"})
    assert signature_formats.decode(signature_formats.encode(signature)) == signature
    assert signature_formats.decode(b"\x90 an OpenPGP message") is None
    for bad in (b"\0other\n{}", b"\0sigstore-json\n{", b'\0sigstore-json\n{"payload": "%"}'):
        with pytest.raises(InvalidArgument):
            signature_formats.decode(bad)


def private_keys() -> list[Any]:
    return [
        ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate(),
    ]


def pem(key: Any) -> bytes:
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return data


def test_imported_keys_sign_and_check(tmp_path: Path) -> None:
    for key in private_keys():
        private, public = sigstore_keys.imported(pem(key), "pw")
        assert private.startswith(b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")
        (tmp_path / "key").write_bytes(private)
        (tmp_path / "pub").write_bytes(public)
        blob = signing.key_signer(str(tmp_path / "key"), "pw").sign(str(NAME), DIGEST)
        check([{"type": "sigstoreSigned", "keyPath": str(tmp_path / "pub")}], IMAGE.replace(signatures=[blob]))
        with pytest.raises(Rejected, match="does not match"):
            check([{"type": "sigstoreSigned", "keyPath": str(tmp_path / "pub")}],
                  IMAGE.replace(signatures=[blob], digest="sha256:" + "cd" * 32))
    with pytest.raises(InvalidArgument, match="decryption failed"):
        sigstore_keys.load_private(private, "wrong")


def test_a_key_of_cosign_1() -> None:
    """Made by the old parameters and under the old label."""
    import nacl.secret

    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    derived = hashlib.scrypt(b"pw", salt=b"s" * 32, n=32768, r=8, p=1, maxmem=1 << 27, dklen=32)
    sealed = nacl.secret.SecretBox(derived).encrypt(der, b"n" * 24).ciphertext
    body = base64.b64encode(json.dumps({
        "kdf": {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": base64.b64encode(b"s" * 32).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(b"n" * 24).decode()},
        "ciphertext": base64.b64encode(sealed).decode(),
    }).encode())
    old = b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n" + body + b"\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n"
    assert sigstore_keys.load_private(old, "pw").private_numbers() == key.private_numbers()


@pytest.mark.parametrize("data", [
    b"", b"no pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n%%\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n",
    b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\ne30=\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n",
])
def test_damaged_private_keys(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        sigstore_keys.load_private(data, "")


def test_one_of_several_keys_is_enough(tmp_path: Path) -> None:
    pairs = [sigstore_keys.generate("") for _ in range(2)]
    key = sigstore_keys.load_private(pairs[1][0], "")
    blob = signing.SigstoreSigner(key).sign(str(NAME), DIGEST)
    datas = [base64.b64encode(public).decode() for _, public in pairs]
    check([{"type": "sigstoreSigned", "keyDatas": datas}], IMAGE.replace(signatures=[blob]))
    with pytest.raises(Rejected, match="cryptographic signature verification failed"):
        check([{"type": "sigstoreSigned", "keyData": datas[0]}], IMAGE.replace(signatures=[blob]))
    decoded = signature_formats.decode(blob)
    assert decoded is not None
    for bad in (
        decoded.replace(payload=decoded.payload + b" "), decoded.replace(annotations={}),
        decoded.replace(annotations={signature_formats.SIGNATURE: "!"}), decoded.replace(media_type="text/plain"),
    ):
        with pytest.raises(Rejected):
            check([{"type": "sigstoreSigned", "keyData": datas[1]}],
                  IMAGE.replace(signatures=[signature_formats.encode(bad)]))
    with pytest.raises(Rejected, match="A signature was required, but no signature exists"):
        check([{"type": "sigstoreSigned", "keyData": datas[1]}], IMAGE.replace(signatures=[b"\x90 simple"]))


class Sigstore:
    """A certificate authority as Fulcio is one, and a log as Rekor is one, on one port of 127.0.0.1."""

    def __init__(self) -> None:
        self.ca = ec.generate_private_key(ec.SECP256R1())
        self.log = ec.generate_private_key(ec.SECP256R1())
        self.root = self.certificate("root", self.ca.public_key(), ca=True)
        self.entries: list[bytes] = []
        self.logged = 0             # the time entries get, 0: now
        self.refuse = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = server.certify(body) if self.path.endswith("signingCert") else server.enter(body)
                self.send_response(500 if server.refuse else 201)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def certificate(self, name: str, key: Any, *, ca: bool = False, email: str = "", issuer: str = "") -> Any:
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
        ).public_key(key).serial_number(x509.random_serial_number()).not_valid_before(
            now - timedelta(minutes=5)
        ).not_valid_after(now + timedelta(minutes=10))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
        if email:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(email)]), False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
        if issuer:
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, issuer.encode()), False)
        return builder.sign(self.ca, hashes.SHA256())

    def certify(self, body: Any) -> bytes:
        key: Any = serialization.load_der_public_key(base64.b64decode(body["publicKey"]["content"]))
        key.verify(base64.b64decode(body["signedEmailAddress"]), b"me@example.com", ec.ECDSA(hashes.SHA256()))
        leaf = self.certificate("leaf", key, email="me@example.com", issuer="https://issuer.example")
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (leaf, self.root))

    def enter(self, body: Any) -> bytes:
        entry = {
            "body": base64.b64encode(json.dumps(body).encode()).decode(), "logID": "c0ffee", "logIndex": 7,
            "integratedTime": self.logged or int(datetime.now(UTC).timestamp()),
        }
        canonical = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        promise = base64.b64encode(self.log.sign(canonical, ec.ECDSA(hashes.SHA256()))).decode()
        return json.dumps({"uuid": {**entry, "verification": {"signedEntryTimestamp": promise}}}).encode()

    def policy(self, **fulcio: str) -> list[dict[str, Any]]:
        def encoded(data: bytes) -> str:
            return base64.b64encode(data).decode()

        return [{
            "type": "sigstoreSigned", "rekorPublicKeyData": encoded(sigstore_keys.public_pem(self.log)),
            "fulcio": {
                "caData": encoded(self.root.public_bytes(serialization.Encoding.PEM)),
                "oidcIssuer": "https://issuer.example", "subjectEmail": "me@example.com", **fulcio,
            },
        }]


@pytest.fixture
def sigstore() -> Iterator[Sigstore]:
    made = Sigstore()
    yield made
    made.http.shutdown()
    made.http.server_close()


def token(**claims: object) -> str:
    return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".x"


def params(tmp_path: Path, sigstore: Sigstore, **fulcio: str) -> str:
    table = {"fulcioURL": sigstore.url, "oidcMode": "staticToken",
             "oidcIDToken": token(email="me@example.com", email_verified=True), **fulcio}
    (tmp_path / "p.yaml").write_text(json.dumps({"rekorURL": sigstore.url, "fulcio": table}))
    return str(tmp_path / "p.yaml")


def test_a_keyless_signature(tmp_path: Path, sigstore: Sigstore) -> None:
    signer = signing_params.signer(params(tmp_path, sigstore), lambda: "")
    image = IMAGE.replace(signatures=[signer.sign(str(NAME), DIGEST)])
    check(sigstore.policy(), image)
    for wrong, reason in (
        ({"oidcIssuer": "https://other"}, 'Unexpected Fulcio OIDC issuer "https://issuer.example"'),
        ({"subjectEmail": "you@example.com"}, 'Required email "you@example.com" not found'),
    ):
        with pytest.raises(Rejected) as caught:
            check(sigstore.policy(**wrong), image)
        assert reason in str(caught.value)
    stranger = Sigstore()
    stranger.http.server_close()
    for changed, reason in (
        ({"fulcio": {**sigstore.policy()[0]["fulcio"], "caData": stranger.policy()[0]["fulcio"]["caData"]}},
         "certificate signed by unknown authority"),
        ({"rekorPublicKeyData": stranger.policy()[0]["rekorPublicKeyData"]}, "Rekor SET failed"),
    ):
        with pytest.raises(Rejected) as caught:
            check([{**sigstore.policy()[0], **changed}], image)
        assert reason in str(caught.value)
    sigstore.logged = int((datetime.now(UTC) + timedelta(days=1)).timestamp())
    late = signing_params.signer(params(tmp_path, sigstore), lambda: "").sign(str(NAME), DIGEST)
    with pytest.raises(Rejected, match="when its certificate was not valid"):
        check(sigstore.policy(), IMAGE.replace(signatures=[late]))


def test_a_logged_key_signature(tmp_path: Path, sigstore: Sigstore) -> None:
    private, public = sigstore_keys.generate("pw")
    (tmp_path / "key").write_bytes(private)
    (tmp_path / "pw").write_text("pw\n")
    (tmp_path / "p.yaml").write_text(json.dumps({
        "privateKeyFile": str(tmp_path / "key"), "privateKeyPassphraseFile": str(tmp_path / "pw"),
        "rekorURL": sigstore.url,
    }))
    blob = signing_params.signer(str(tmp_path / "p.yaml"), lambda: "").sign(str(NAME), DIGEST)
    log = base64.b64encode(sigstore_keys.public_pem(sigstore.log)).decode()
    rule = {"type": "sigstoreSigned", "keyData": base64.b64encode(public).decode(), "rekorPublicKeyData": log}
    check([rule], IMAGE.replace(signatures=[blob]))
    plain = signing.key_signer(str(tmp_path / "key"), "pw").sign(str(NAME), DIGEST)
    with pytest.raises(Rejected, match="missing dev.sigstore.cosign/bundle annotation"):
        check([rule], IMAGE.replace(signatures=[plain]))
    # A bundle of another signature proves nothing.
    ours, theirs = signature_formats.decode(plain), signature_formats.decode(blob)
    assert ours is not None and theirs is not None
    bundle = theirs.annotations[signature_formats.BUNDLE]
    mixed = ours.replace(annotations={**ours.annotations, signature_formats.BUNDLE: bundle})
    with pytest.raises(Rejected, match="does not match"):
        check([rule], IMAGE.replace(signatures=[signature_formats.encode(mixed)]))
    sigstore.refuse = True
    with pytest.raises(RegistryError, match="uploading the signature to Rekor .* status 500"):
        signing_params.signer(str(tmp_path / "p.yaml"), lambda: "").sign(str(NAME), DIGEST)


@pytest.mark.parametrize(("table", "kind", "reason"), [
    ({}, InvalidArgument, "exactly one of privateKeyFile and fulcio"),
    ({"more": 1}, InvalidArgument, "unknown key 'more'"),
    ({"fulcio": {"fulcioURL": "http://x"}}, InvalidArgument, "rekorURL must be specified"),
    ({"rekorURL": "http://x", "fulcio": {}}, InvalidArgument, "exactly one of"),
    ({"rekorURL": "http://x", "fulcio": {"oidcMode": "staticToken"}}, InvalidArgument, "fulcioURL must be specified"),
    ({"rekorURL": "http://x", "fulcio": {"fulcioURL": "http://x", "oidcMode": "staticToken"}}, InvalidArgument,
     "oidcIDToken"),
    ({"rekorURL": "http://x", "fulcio": {"fulcioURL": "http://x", "oidcMode": "deviceGrant"}}, Unsupported,
     "deviceGrant is not supported"),
    ({"rekorURL": "http://x", "fulcio": {"fulcioURL": "http://x", "oidcMode": "no"}}, InvalidArgument,
     'unknown oidcMode "no"'),
])
def test_bad_parameter_files(tmp_path: Path, table: Any, kind: type[Exception], reason: str) -> None:
    (tmp_path / "p.yaml").write_text(json.dumps(table))
    with pytest.raises(kind, match=reason):
        signing_params.signer(str(tmp_path / "p.yaml"), lambda: "")


def test_a_browser_needs_the_extra(tmp_path: Path, sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sigstore.oidc", None)
    path = params(tmp_path, sigstore, oidcMode="interactive", oidcIssuerURL="http://x", oidcClientID="c")
    with pytest.raises(Exception, match="the Python package sigstore is missing") as caught:
        signing_params.signer(path, lambda: "").sign(str(NAME), DIGEST)
    assert "wherry[keyless]" in getattr(caught.value, "hint", "")


@pytest.mark.parametrize("text", ["", "a.b.c", token(email="a@b", email_verified=False), token(other=1)])
def test_bad_identity_tokens(tmp_path: Path, sigstore: Sigstore, text: str) -> None:
    with pytest.raises(InvalidArgument):
        signing_params.signer(params(tmp_path, sigstore, oidcIDToken=text), lambda: "").sign(str(NAME), DIGEST)


def test_a_private_pki(sigstore: Sigstore) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = sigstore.certificate("me", key.public_key(), email="me@example.com")
    payload = signature_formats.make_payload(signature_formats.COSIGN, str(NAME), DIGEST)
    notes = {
        signature_formats.SIGNATURE: base64.b64encode(sigstore_keys.sign(key, payload)).decode(),
        signature_formats.CERTIFICATE: leaf.public_bytes(serialization.Encoding.PEM).decode(),
    }
    blob = signature_formats.encode(SigstoreSignature(payload=payload, annotations=notes))
    root = base64.b64encode(sigstore.root.public_bytes(serialization.Encoding.PEM)).decode()
    rule = {"type": "sigstoreSigned", "pki": {"caRootsData": root, "subjectEmail": "me@example.com"}}
    check([rule], IMAGE.replace(signatures=[blob]))
    with pytest.raises(Rejected, match="hostname x.example not found"):
        check([{**rule, "pki": {"caRootsData": root, "subjectHostname": "x.example"}}],
              IMAGE.replace(signatures=[blob]))
