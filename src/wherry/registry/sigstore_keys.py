"""Keys of sigstore: public ones in PEM, private ones as cosign keeps them, encrypted with a passphrase.

Format of the encrypted key: PEM around a JSON object that says how (scrypt and NaCl's secretbox, as in go-tuf's
``encrypted`` package), around a PKCS #8 key in DER.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import TYPE_CHECKING, Any

from wherry.errors import AlreadyExists, InvalidArgument, Unavailable, from_os_error
from wherry.model import jsontext
from wherry.sys.files import atomic_write, read_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_LABELS = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_N, _R, _P = 65536, 8, 1
_MAX_MEMORY = 1 << 30


def load_public(data: bytes) -> Any:
    """The public key in PEM *data*. Raises :class:`InvalidArgument`."""
    serialization = _cryptography().serialization
    try:
        return serialization.load_pem_public_key(data)
    except ValueError as error:
        raise InvalidArgument(f"loading public key: {error}") from None


def load_private(data: bytes, passphrase: str) -> Any:
    """The private key in *data*: cosign's encrypted form. Raises :class:`InvalidArgument`."""
    label, body = _unwrapped(data)
    if label not in _LABELS:
        raise InvalidArgument(f"unsupported pem type: {label or 'no PEM block found'}")
    der = _decrypted(body, passphrase)
    try:
        key = _cryptography().serialization.load_der_private_key(der, None)
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"parsing private key: {error}") from None
    _check_kind(key)
    return key


def generate(passphrase: str) -> tuple[bytes, bytes]:
    """A new key pair, ECDSA on P-256: the private key as :func:`load_private` takes it, the public one in PEM."""
    return wrapped(ephemeral(), passphrase)


def write_pair(
    prefix: str, passphrase: str, *, imported_from: str = "", old_passphrase: str = ""
) -> tuple[str, str]:
    """Write a key pair to ``PREFIX.private`` and ``PREFIX.pub``, which must not exist; returns the names.

    With *imported_from* it is that of an existing private key's file, else a new one.
    """
    names = prefix + ".private", prefix + ".pub"
    for name in names:
        if os.path.exists(name):
            raise AlreadyExists(f"Refusing to overwrite existing {name}")
    try:
        pair = (
            imported(read_bytes(imported_from), passphrase, old_passphrase) if imported_from else generate(passphrase)
        )
        for name, data, mode in zip(names, pair, (0o600, 0o644), strict=True):
            atomic_write(name, data, mode)
    except OSError as error:
        raise from_os_error(error, "writing key pair") from None
    return names


def ephemeral() -> Any:
    """A new private key, ECDSA on P-256."""
    ec = _cryptography().ec
    return ec.generate_private_key(ec.SECP256R1())


def imported(data: bytes, passphrase: str, old_passphrase: str = "") -> tuple[bytes, bytes]:
    """The key pair of an existing private key in PEM (RSA, EC or PKCS #8), as ``cosign import-key-pair`` makes it."""
    try:
        key = _cryptography().serialization.load_pem_private_key(data, old_passphrase.encode() or None)
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"loading private key: {error}") from None
    _check_kind(key)
    return wrapped(key, passphrase)


def wrapped(key: Any, passphrase: str) -> tuple[bytes, bytes]:
    """Encrypted private and public key of *key*."""
    serialization = _cryptography().serialization
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _pem(_LABELS[0], _encrypted(der, passphrase)), public


def sign(key: Any, data: bytes) -> bytes:
    """The signature of *data* with the private *key*, with SHA-256."""
    crypto = _cryptography()
    if isinstance(key, crypto.ec.EllipticCurvePrivateKey):
        return bytes(key.sign(data, crypto.ec.ECDSA(crypto.hashes.SHA256())))
    if isinstance(key, crypto.rsa.RSAPrivateKey):
        return bytes(key.sign(data, crypto.padding.PKCS1v15(), crypto.hashes.SHA256()))
    return bytes(key.sign(data))


def is_signed_by(key: Any, data: bytes, signature: bytes) -> bool:
    """Did the owner of the public *key* sign *data*? Raises :class:`InvalidArgument` for a kind of key not known."""
    crypto = _cryptography()
    try:
        if isinstance(key, crypto.ec.EllipticCurvePublicKey):
            key.verify(signature, data, crypto.ec.ECDSA(crypto.hashes.SHA256()))
        elif isinstance(key, crypto.ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, crypto.rsa.RSAPublicKey):
            key.verify(signature, data, crypto.padding.PKCS1v15(), crypto.hashes.SHA256())
        else:
            raise InvalidArgument("the public key is of a kind that is not supported")
    except crypto.InvalidSignature:
        return False
    return True


def public_pem(key: Any) -> bytes:
    """The public half of a private key, in PEM."""
    serialization = _cryptography().serialization
    return bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ))


def pem_blocks(data: bytes, label: str) -> Sequence[bytes]:
    """The PEM blocks called *label* in *data*, each as PEM again."""
    begin, end = f"-----BEGIN {label}-----".encode(), f"-----END {label}-----".encode()
    found = []
    for part in data.split(begin)[1:]:
        body, mark, _ = part.partition(end)
        if mark:
            found.append(begin + body + end + b"\n")
    return found


class _Crypto:
    """What is used of the ``cryptography`` package, imported when first needed."""

    def __init__(self) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

        self.InvalidSignature = InvalidSignature
        self.hashes, self.serialization = hashes, serialization
        self.ec, self.ed25519, self.padding, self.rsa = ec, ed25519, padding, rsa


_loaded: _Crypto | None = None


def _cryptography() -> _Crypto:
    global _loaded
    if _loaded is None:
        try:
            _loaded = _Crypto()
        except ImportError:
            raise Unavailable(
                "sigstore signatures are not possible", hint="install the Python package cryptography"
            ) from None
    return _loaded


def _check_kind(key: Any) -> None:
    crypto = _cryptography()
    if not isinstance(key, (
        crypto.ec.EllipticCurvePrivateKey, crypto.rsa.RSAPrivateKey, crypto.ed25519.Ed25519PrivateKey
    )):
        raise InvalidArgument("unsupported key type: use RSA, ECDSA or Ed25519")


def _box(key: bytes) -> Any:
    try:
        from nacl.secret import SecretBox
    except ImportError:
        raise Unavailable(
            "encrypted sigstore keys are not possible", hint="install the Python package PyNaCl"
        ) from None
    return SecretBox(key)


def _derived(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _encrypted(der: bytes, passphrase: str) -> bytes:
    salt, nonce = os.urandom(32), os.urandom(24)
    sealed = _box(_derived(passphrase, salt, _N, _R, _P)).encrypt(der, nonce).ciphertext
    return jsontext.dumps({
        "kdf": {"name": "scrypt", "params": {"N": _N, "r": _R, "p": _P}, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(sealed).decode(),
    }).encode()


def _decrypted(body: bytes, passphrase: str) -> bytes:
    try:
        document = jsontext.loads(body)
        kdf, cipher = document["kdf"], document["cipher"]
        if kdf["name"] != "scrypt" or cipher["name"] != "nacl/secretbox":
            raise InvalidArgument(f"decrypt: unknown kdf or cipher: {kdf['name']}, {cipher['name']}")
        n, r, p = (kdf["params"][name] for name in ("N", "r", "p"))
        salt, nonce, sealed = (
            base64.b64decode(text, validate=True) for text in (kdf["salt"], cipher["nonce"], document["ciphertext"])
        )
        box = _box(_derived(passphrase, salt, n, r, p))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise InvalidArgument(f"decrypt: the key file is damaged: {error}") from None
    from nacl.exceptions import CryptoError

    try:
        return bytes(box.decrypt(sealed, nonce))
    except (CryptoError, ValueError):
        raise InvalidArgument("decrypt: decryption failed", hint="is the passphrase right?") from None


def _pem(label: str, body: bytes) -> bytes:
    text = base64.b64encode(body).decode()
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _unwrapped(data: bytes) -> tuple[str, bytes]:
    """Label and content of the first PEM block; empty ones when there is none."""
    _, begin, rest = data.partition(b"-----BEGIN ")
    label, dashes, body = rest.partition(b"-----")
    body, end, _ = body.partition(b"-----END " + label + b"-----")
    if not (begin and dashes and end):
        return "", b""
    try:
        return label.decode(), base64.b64decode(b"".join(body.split()), validate=True)
    except (UnicodeDecodeError, binascii.Error):
        raise InvalidArgument("the PEM block of the private key is damaged") from None
