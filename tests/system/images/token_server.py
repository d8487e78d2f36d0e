"""A token service as docker-registry's ``auth: token`` wants one (distribution's "Token Authentication")."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

SERVICE = "tests"
ISSUER = "token-server"


class TokenServer:
    """Gives user ``me`` with the password ``secret`` what is asked for, and anybody the right to pull ``open/``."""

    def __init__(self, base: Path) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.certificate = certificate(ISSUER, self.key, self.key, ISSUER)
        self.bundle = base / "token.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self.http.server_port}/token"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        scopes = parse_qs(urlsplit(handler.path).query).get("scope", [])
        self.asked += scopes
        given = handler.headers.get("Authorization", "")
        known = given == "Basic " + base64.b64encode(b"me:secret").decode()
        if given and not known:
            body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}).encode()
            handler.send_response(401)
        else:
            body = json.dumps({"token": self.token(scopes, known), "expires_in": 300}).encode()
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def token(self, scopes: list[str], known: bool) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2)
            allowed = actions.split(",") if known else ["pull"] if name.startswith("open/") else []
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        head: dict[str, Any] = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {
            "iss": ISSUER, "sub": "me", "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": str(now), "access": access,
        }
        signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
        return f"{signed}.{_encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def certificate(subject: str, key: Any, signer: Any, issuer: str, *, address: str = "") -> x509.Certificate:
    """A certificate for *key* signed by *signer*; one with an *address* is a server's, else it is an authority."""
    import ipaddress

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(
        key.public_key()
    ).serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1)).not_valid_after(
        now + timedelta(hours=1)
    ).add_extension(x509.BasicConstraints(not address, None), True)
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, False)
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def private_authority(base: Path) -> Path:
    """A directory with ``ca.crt``, and ``server.cert`` and ``server.key`` for 127.0.0.1 by that authority."""
    authority, server = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    own = certificate("private CA", authority, authority, "private CA")
    leaf = certificate("registry", server, authority, "private CA", address="127.0.0.1")
    (base / "ca.crt").write_bytes(own.public_bytes(serialization.Encoding.PEM))
    (base / "server.cert").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (base / "server.key").write_bytes(server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    return base
