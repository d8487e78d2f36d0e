"""policy.json and registries.d, read as strictly as containers/image reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wherry.config import registries_d
from wherry.config.policy import file_scopes, load_policy, scopes
from wherry.errors import InvalidArgument
from wherry.model.reference import parse

GPG = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}
SIGSTORE = {"type": "sigstoreSigned", "keyPath": "/k"}
FULCIO = {"caPath": "/ca", "oidcIssuer": "https://issuer", "subjectEmail": "me@example.com"}


def load(tmp_path: Path, document: Any) -> Any:
    path = tmp_path / "policy.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return load_policy(str(path))


def test_the_most_specific_scope_decides(tmp_path: Path) -> None:
    policy = load(tmp_path, {
        "default": [{"type": "reject"}],
        "transports": {"docker": {
            "registry.example/team": [{"type": "insecureAcceptAnything"}],
            "registry.example/team/app:2": [{"type": "reject"}],
            "*.example.com": [GPG],
            "": [SIGSTORE],
        }},
    })
    kinds = [
        policy.requirements("docker", scopes(parse(name)))[0]["type"] for name in (
            "registry.example/team/app:1", "registry.example/team/app:2", "registry.example/other:1",
            "a.b.example.com:5000/x:1",
        )
    ]
    assert kinds == ["insecureAcceptAnything", "reject", "sigstoreSigned", "signedBy"]
    assert policy.requirements("dir", file_scopes("dir", "/x"))[0]["type"] == "reject"


def test_scopes_of_files(tmp_path: Path) -> None:
    assert file_scopes("oci", "/a/b/../c") == ["/a/c", "/a"]
    assert file_scopes("docker-archive", "/a") == []


@pytest.mark.parametrize("requirement", [
    GPG, {**GPG, "signedIdentity": {"type": "matchExact"}}, SIGSTORE,
    {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/a", "/b"]},
    {"type": "sigstoreSigned", "keyDatas": ["eA=="], "rekorPublicKeyPath": "/r"},
    {"type": "sigstoreSigned", "fulcio": FULCIO, "rekorPublicKeyData": "eA=="},
    {"type": "sigstoreSigned", "pki": {"caRootsPath": "/ca", "subjectEmail": "me@example.com"}},
    {**GPG, "signedIdentity": {"type": "exactReference", "dockerReference": "r.example/a:1"}},
    {**GPG, "signedIdentity": {"type": "exactRepository", "dockerRepository": "r.example/a"}},
    {**GPG, "signedIdentity": {"type": "remapIdentity", "prefix": "localhost:5000", "signedPrefix": "r.example/a"}},
])
def test_good_requirements(tmp_path: Path, requirement: dict[str, Any]) -> None:
    assert load(tmp_path, {"default": [requirement]}).default == [requirement]


@pytest.mark.parametrize(("requirement", "reason"), [
    ({"type": "reject", "surprise": 1}, 'Unknown key "surprise"'),
    ({"type": "new"}, 'Unknown policy requirement type "new"'),
    ({}, 'Unknown policy requirement type ""'),
    ({"type": "signedBy", "keyType": "GPGKeys"}, "Exactly one of keyPath, keyPaths and keyData"),
    ({**GPG, "keyData": "eA=="}, "Exactly one of keyPath, keyPaths and keyData"),
    ({**GPG, "keyType": "other"}, 'invalid keyType "other"'),
    ({**GPG, "keyPath": 1}, '"keyPath" is not of the right type'),
    ({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}, '"keyPaths" is not of the right type'),
    ({"type": "sigstoreSigned"}, "Exactly one of"),
    ({**SIGSTORE, "rekorPublicKeyPath": "/a", "rekorPublicKeyData": "eA=="}, "at most one of"),
    ({"type": "sigstoreSigned", "fulcio": FULCIO}, "must be specified if fulcio is used"),
    ({"type": "sigstoreSigned", "fulcio": {"caPath": "/a"}, "rekorPublicKeyPath": "/r"}, "oidcIssuer not specified"),
    ({"type": "sigstoreSigned", "fulcio": {**FULCIO, "x": ""}, "rekorPublicKeyPath": "/r"}, 'Unknown key "x"'),
    ({**GPG, "signedIdentity": {"type": "matchAll"}}, 'Unknown policy reference match type "matchAll"'),
    ({**GPG, "signedIdentity": {"type": "matchExact", "x": 1}}, 'Unknown key "x"'),
    ({**GPG, "signedIdentity": {"type": "exactReference"}}, '"dockerReference" is missing'),
    ({**GPG, "signedIdentity": {"type": "exactReference", "dockerReference": "a/b"}}, "neither a tag nor digest"),
    ({**GPG, "signedIdentity": {"type": "exactRepository", "dockerRepository": "a/b:1"}}, "contains a tag or digest"),
    ({**GPG, "signedIdentity": {"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "a//b"}}, "invalid format"),
    ({**GPG, "signedIdentity": {"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "busybox/x"}}, "expanded"),
])
def test_bad_requirements(tmp_path: Path, requirement: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load(tmp_path, {"default": [requirement]})
    assert reason in str(caught.value) and str(caught.value).startswith(f'invalid policy in "{tmp_path}/policy.json": ')


@pytest.mark.parametrize(("text", "reason"), [
    ("{", "invalid policy"),
    ("[]", "not a JSON object"),
    ("{}", "Default policy is missing"),
    ('{"default": []}', "must not be empty"),
    ('{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}', 'Duplicate key "default"'),
    ('{"default": [{"type": "reject"}], "extra": 1}', 'Unknown key "extra"'),
    ('{"default": [{"type": "reject"}], "transports": {"dir": {"rel": [{"type": "reject"}]}}}', "an absolute path"),
    ('{"default": [{"type": "reject"}], "transports": {"oci": {"/a/../b": [{"type": "reject"}]}}}', 'perhaps try "/b"'),
    ('{"default": [{"type": "reject"}], "transports": {"dir": {"/": [{"type": "reject"}]}}}', "generic default scope"),
    ('{"default": [{"type": "reject"}], "transports": {"docker-archive": {"/a": [{"type": "reject"}]}}}',
     "does not support any scopes"),
])
def test_bad_documents(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load(tmp_path, text)
    assert reason in str(caught.value)


def test_registries_d(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "default-docker:\n  lookaside: file:///default\n"
        "docker:\n  r.example/team:\n    use-sigstore-attachments: true\n  r.example:\n    sigstore: https://old\n"
        "    sigstore-staging: file:///stage\n    use-sigstore-attachments: false\n"
    )
    (tmp_path / "ignored.conf").write_text("docker: [")
    store = registries_d.signature_store(parse("r.example/team/app:1"), directory=str(tmp_path))
    assert (store.lookaside, store.staging, store.attachments) == ("https://old", "file:///stage", True)
    store = registries_d.signature_store(parse("other.example/app:1"), directory=str(tmp_path))
    assert (store.lookaside, store.staging, store.attachments) == ("file:///default", "file:///default", False)
    (tmp_path / "b.yaml").write_text("docker:\n  r.example:\n    lookaside: file:///b\n")
    with pytest.raises(InvalidArgument, match=r'namespace "r.example" defined both in .*a.yaml" and .*b.yaml'):
        registries_d.load(str(tmp_path))
    (tmp_path / "b.yaml").write_text("docker:\n  x:\n    use-sigstore-attachments: 'yes'\n")
    with pytest.raises(InvalidArgument, match="neither true nor false"):
        registries_d.load(str(tmp_path))
    (tmp_path / "b.yaml").write_text("docker: [")
    with pytest.raises(InvalidArgument, match="b.yaml"):
        registries_d.load(str(tmp_path))
