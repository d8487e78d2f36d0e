"""Trust: the policy is asked before anything of an image is stored."""

from __future__ import annotations

from wherry.config.policy import ACCEPT, SIGNED_BY, SIGSTORE, load_policy, scopes, signature_store
from wherry.errors import RegistryError, WherryError
from wherry.model import jsontext
from wherry.model.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.config.places import Places
    from wherry.registry.remote import RegistrySource
    from wherry.registry.signatures import SigstoreSignature

#: Signatures looked at for one image, and the bytes of one.
_MOST = 128
_MAX_SIGNATURE = 4 << 20


def check_pull(
    source: RegistrySource, reference: Reference, *, policy: str = "", places: Places | None = None
) -> Sequence[bytes]:
    """Raise :class:`Rejected` unless the policy allows the image; returns its simple signatures, to be kept.

    *policy* is a file used instead of the host's.
    """
    requirements = load_policy(policy, places).requirements("docker", scopes(reference))
    kinds = {requirement["type"] for requirement in requirements}
    if kinds == {ACCEPT}:
        return ()
    from wherry.registry.signatures import Candidate, check

    store = signature_store(reference, places)
    signatures = lookaside(store.lookaside, reference, source.manifest_digest) if SIGNED_BY in kinds else []
    attached = _attached(source) if SIGSTORE in kinds and store.attachments else []
    check(requirements, Candidate(
        name=f"docker://{reference}", reference=reference, digest=source.manifest_digest, signatures=signatures,
        attached=attached,
    ))
    return signatures


def check_file(transport: str, path: str, *, policy: str = "", places: Places | None = None) -> None:
    """The same for an image in a file: nothing signs those, so only the policy's yes or no counts."""
    import os

    names = []
    name = os.path.realpath(path)
    while name != "/":
        names.append(name)
        name = os.path.dirname(name)
    requirements = load_policy(policy, places).requirements(transport, names)
    if {requirement["type"] for requirement in requirements} != {ACCEPT}:
        from wherry.registry.signatures import Candidate, check

        check(requirements, Candidate(name=f"{transport}:{path}"))


def lookaside(base: str, reference: Reference, digest: str) -> list[bytes]:
    """The signatures below the URL *base* (file or http(s)), numbered from 1."""
    algorithm, _, encoded = digest.partition(":")
    directory = f"{base.rstrip('/')}/{reference.repository}@{algorithm}={encoded}"
    found: list[bytes] = []
    while len(found) < _MOST:
        data = _read_url(f"{directory}/signature-{len(found) + 1}")
        if data is None:
            break
        found.append(data)
    return found


def _read_url(url: str) -> bytes | None:
    if url.startswith("file://"):
        try:
            with open(url.removeprefix("file://"), "rb") as file:
                return file.read(_MAX_SIGNATURE)
        except OSError:
            return None
    from wherry.registry.http import HTTPClient

    http = HTTPClient()
    try:
        response = http.request("GET", url)
        if response.status == 404:
            response.close()
            return None
        if response.status != 200:
            raise RegistryError(f"reading signature from {url}: status {response.status}")
        return response.read_all(_MAX_SIGNATURE)
    finally:
        http.close()


def _attached(source: RegistrySource) -> list[SigstoreSignature]:
    """cosign's signatures: layers of the image tagged ``sha256-DIGEST.sig`` beside the image."""
    from wherry.errors import NOT_FOUND
    from wherry.registry import manifests
    from wherry.registry.signatures import SigstoreSignature

    client, repository = source.access()
    try:
        fetched = client.manifest(repository, source.manifest_digest.replace(":", "-") + ".sig")
    except WherryError as error:
        if error.kind == NOT_FOUND:
            return []
        raise
    found = []
    for layer in manifests.parse_image(fetched.data, fetched.media_type).layers[:_MOST]:
        signature = layer.annotations.get("dev.cosignproject.cosign/signature", "")
        if layer.media_type == "application/vnd.dev.cosign.simplesigning.v1+json" and signature:
            payload = client.blob_bytes(repository, layer, _MAX_SIGNATURE)
            found.append(SigstoreSignature(payload=payload, signature=signature))
    return found


def raw_policy(path: str = "") -> str:
    """The policy file's text."""
    from wherry.config.policy import policy_path
    from wherry.sys.files import read_text

    return read_text(path or policy_path())


def set_trust(scope: str, kind: str, keys: Sequence[str], path: str = "") -> None:
    """Store what *scope* (a registry, a repository, ``default``) must fulfil: accept, reject, signedBy, sigstoreSigned.

    Raises ``InvalidArgument``.
    """
    from wherry.config.policy import policy_path
    from wherry.errors import InvalidArgument, from_os_error
    from wherry.sys.files import atomic_write, try_read_text

    types = {"accept": ACCEPT, "insecureAcceptAnything": ACCEPT, "reject": "reject", SIGNED_BY: SIGNED_BY,
             SIGSTORE: SIGSTORE}
    if kind not in types:
        raise InvalidArgument(f'invalid choice: {kind} (choose from "accept", "reject", "signedBy", "sigstoreSigned")')
    if types[kind] in (SIGNED_BY, SIGSTORE) and not keys:
        raise InvalidArgument("at least one public key must be defined for type 'signedBy'")
    file = path or policy_path()
    document = jsontext.loads(try_read_text(file) or '{"default":[{"type":"insecureAcceptAnything"}]}')
    requirements = [{"type": types[kind]}] if not keys else [
        {"type": types[kind], **({"keyType": "GPGKeys"} if types[kind] == SIGNED_BY else {}), "keyPath": key}
        for key in keys
    ]
    if scope == "default":
        document["default"] = requirements
    else:
        document.setdefault("transports", {}).setdefault("docker", {})[scope] = requirements
    try:
        atomic_write(file, (jsontext.dumps_pretty(document, 4) + "\n").encode(), 0o644)
    except OSError as error:
        raise from_os_error(error, "writing policy") from None
