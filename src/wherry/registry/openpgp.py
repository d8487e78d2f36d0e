"""Simple signing (containers-signature(5)): OpenPGP messages, made by ``gpg`` and checked by ``gpgv``."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Sequence

from wherry.errors import InvalidArgument, Unavailable
from wherry.sys.files import read_bytes
from wherry.sys.processes import find_program, run

#: Status words of gpgv that make a signature worthless.
_BAD = {"EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG", "NO_PUBKEY"}


def verified(keys: Sequence[bytes], signature: bytes) -> bytes:
    """What *signature* signs, if exactly one of *keys* (key rings, armored or not) made it."""
    program = find_program("gpgv")
    if not program:
        raise Unavailable("OpenPGP signatures cannot be verified: gpgv is missing", hint="install the package gpgv")
    with tempfile.TemporaryDirectory(prefix="wherry-keys-") as directory:
        argv = [program, "--status-fd", "1", "--homedir", directory]
        for number, key in enumerate(keys):
            path = os.path.join(directory, f"{number}.gpg")
            _write(path, dearmored(key))
            argv += ["--keyring", path]
        signed, payload = os.path.join(directory, "signature"), os.path.join(directory, "payload")
        _write(signed, signature)
        done = run([*argv, "--output", payload, signed])
        words = [line.split()[1] for line in done.stdout.decode(errors="replace").splitlines()
                 if line.startswith("[GNUPG:] ") and len(line.split()) > 1]
        bad = _BAD & set(words)
        if done.returncode or bad or words.count("VALIDSIG") != 1 or "GOODSIG" not in words:
            raise InvalidArgument(f"Invalid GPG signature: {', '.join(sorted(bad)) or 'no valid signature'}")
        return read_bytes(payload)


def signed(payload: bytes, key: str, passphrase: str | None = None) -> bytes:
    """*payload* signed with the secret key *key* (a fingerprint, an address) of the user's key ring.

    *passphrase* None leaves it to gpg's agent to ask for one.  Raises :class:`InvalidArgument` with gpg's words.
    """
    program = find_program("gpg")
    if not program:
        raise Unavailable("OpenPGP signatures cannot be made: gpg is missing", hint="install the package gpg")
    argv = [program, "--batch", "--local-user", key, "--output", "-"]
    fds = {}
    reader = -1
    if passphrase is not None:
        reader, writer = os.pipe()
        os.write(writer, passphrase.encode() + b"\n")
        os.close(writer)
        fds[3] = reader
        argv += ["--pinentry-mode", "loopback", "--passphrase-fd", "3"]
    try:
        done = run([*argv, "--sign"], input=payload, fds=fds)
    finally:
        if reader >= 0:
            os.close(reader)
    if done.returncode or not done.stdout:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line]
        raise InvalidArgument(f"signing with key {key}: {said[-1] if said else 'gpg failed'}")
    return done.stdout


def has_secret_key(key: str) -> bool:
    """Has the user's key ring a secret key called *key*?"""
    program = find_program("gpg")
    if not program:
        raise Unavailable("OpenPGP signatures cannot be made: gpg is missing", hint="install the package gpg")
    return run([program, "--batch", "--list-secret-keys", key]).returncode == 0


def key_names(data: bytes) -> list[str]:
    """The addresses (else the names) of the owners of the public keys in *data*; empty when gpg is missing."""
    program = find_program("gpg")
    if not program:
        return []
    with tempfile.TemporaryDirectory(prefix="wherry-keys-") as directory:
        argv = [program, "--batch", "--homedir", directory, "--with-colons"]
        done = run([*argv, "--import-options", "show-only", "--import"], input=data)
    names: list[str] = []
    for line in done.stdout.decode(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] in ("uid", "pub") and len(fields) > 9 and fields[9]:
            address, less, _ = fields[9].rpartition("<")[2].partition(">")
            names.append(address if less else fields[9])
    return names


def dearmored(key: bytes) -> bytes:
    """An OpenPGP key without ASCII armor (RFC 9580, section 6)."""
    if not key.lstrip().startswith(b"-----BEGIN PGP"):
        return key
    out = b""
    for block in key.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        lines = [line.strip() for line in block.partition(b"-----END")[0].strip(b"\r\n").splitlines()]
        body = lines[lines.index(b"") + 1:] if b"" in lines else lines
        text = b"".join(line for line in body if line and not line.startswith(b"="))
        try:
            out += base64.b64decode(text, validate=True)
        except binascii.Error:
            raise InvalidArgument("the OpenPGP key is damaged") from None
    return out


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
