"""What is signed, and how signatures are stored beside an image.

Both kinds of signature sign a JSON payload that names the image and the digest of its manifest
(containers-signature(5), cosign's "signature spec").  As a file, a simple signature is the OpenPGP message itself; one
of sigstore is the line ``\\0sigstore-json`` and a JSON object (containers/image, ``internal/signature``).
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Any

from wherry.errors import InvalidArgument
from wherry.model import jsontext
from wherry.model.record import EMPTY, Record

ATOMIC = "atomic container signature"
COSIGN = "cosign container image signature"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"

SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
BUNDLE = "dev.sigstore.cosign/bundle"

_SIGSTORE_BLOB = b"\0sigstore-json\n"


class SigstoreSignature(Record):
    """A signature of sigstore: the signed bytes, and what cosign notes with them."""

    payload: bytes = b""
    annotations: Mapping[str, str] = EMPTY
    media_type: str = SIMPLE_SIGNING


class Payload(Record):
    """What a signature says."""

    kind: str = ""
    identity: str = ""              # a docker reference
    digest: str = ""                # of the manifest


def make_payload(kind: str, identity: str, digest: str) -> bytes:
    """The bytes to sign."""
    from wherry import __version__

    return jsontext.dumps({
        "critical": {
            "identity": {"docker-reference": identity},
            "image": {"docker-manifest-digest": digest},
            "type": kind,
        },
        "optional": {"creator": f"wherry {__version__}", "timestamp": int(time.time())},
    }).encode()


def parse_payload(data: bytes) -> Payload:
    """Read signed bytes, strictly. Raises :class:`InvalidArgument`."""
    try:
        document = jsontext.loads(data)
        if set(document) != {"critical", "optional"} or not isinstance(document["optional"], (dict, type(None))):
            raise ValueError
        critical = document["critical"]
        if set(critical) != {"type", "image", "identity"}:
            raise ValueError
        image, identity = critical["image"], critical["identity"]
        if set(image) != {"docker-manifest-digest"} or set(identity) != {"docker-reference"}:
            raise ValueError
        found = (critical["type"], identity["docker-reference"], image["docker-manifest-digest"])
        if not all(isinstance(text, str) for text in found):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidArgument("the signature's payload is malformed") from None
    return Payload(kind=found[0], identity=found[1], digest=found[2])


def encode(signature: SigstoreSignature) -> bytes:
    """*signature* as it is stored."""
    document: dict[str, Any] = {
        "mimeType": signature.media_type, "payload": base64.b64encode(signature.payload).decode(),
        "annotations": dict(signature.annotations),
    }
    return _SIGSTORE_BLOB + jsontext.dumps(document).encode()


def decode(blob: bytes) -> SigstoreSignature | None:
    """The signature of sigstore *blob* holds, None when it holds a simple one. Raises :class:`InvalidArgument`."""
    if not blob.startswith(b"\0"):
        return None
    if not blob.startswith(_SIGSTORE_BLOB):
        name = blob[1:].partition(b"\n")[0][:40].decode(errors="replace")
        raise InvalidArgument(f"unrecognized signature format {name!r}")
    try:
        document = jsontext.loads(blob[len(_SIGSTORE_BLOB):])
        payload = base64.b64decode(document["payload"], validate=True)
        return SigstoreSignature(
            payload=payload, annotations=dict(document.get("annotations") or {}), media_type=str(document["mimeType"])
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise InvalidArgument("a stored sigstore signature is damaged") from None
