"""Exceptions of urllib3, ssl and socket in the words Go's net/http has for the same events."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult

from urllib3 import exceptions

from wherry.registry.failures import ConnectionFailed

#: A later attempt may succeed after these (the list of the containers projects' retry package).
_TRANSIENT = {
    errno.ECONNREFUSED, errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET,
    errno.ECONNABORTED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EPIPE,
}
#: How OpenSSL, by version, says that a plain HTTP server answered its handshake.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL",
}
_X509 = {
    10: "x509: certificate has expired or is not yet valid",
    9: "x509: certificate has expired or is not yet valid",
    18: "x509: certificate signed by unknown authority",
    19: "x509: certificate signed by unknown authority",
    20: "x509: certificate signed by unknown authority",
    21: "x509: certificate signed by unknown authority",
}


def translate(error: BaseException, doing: str, url: SplitResult) -> ConnectionFailed:
    """The failure *error* stands for, met while *doing* (``Get "URL"``)."""
    words, transient = _describe(error, url)
    if any(isinstance(one, exceptions.ProxyError) for one in _chain(error)):
        words = f"proxyconnect tcp: {words}"
    return ConnectionFailed(f"{doing}: {words}", transient=transient)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and the errors inside it: urllib3 wraps by attribute, by argument and by cause."""
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "original_error", None), *one.args]
        pending.extend(item for item in inner if isinstance(item, BaseException))


def _describe(error: BaseException, url: SplitResult) -> tuple[str, bool]:
    """Words, and whether trying again makes sense."""
    address = _address(error, url)
    for one in _chain(error):
        if isinstance(one, ssl.SSLError):
            return _tls(one, url)
        if isinstance(one, (exceptions.NameResolutionError, socket.gaierror)):
            return f"dial tcp: lookup {url.hostname}: {_lookup(one)}", False
        if isinstance(one, exceptions.ConnectTimeoutError) and not isinstance(one, exceptions.NewConnectionError):
            return f"dial tcp {address}: i/o timeout", True
        if isinstance(one, (exceptions.ReadTimeoutError, TimeoutError)):
            return "i/o timeout", True
        if isinstance(one, (http.client.RemoteDisconnected, ssl.SSLEOFError)):
            return "EOF", True
        if isinstance(one, http.client.IncompleteRead):
            return "unexpected EOF", True
        if isinstance(one, OSError) and one.errno:
            where = f"dial tcp {address}: connect" if _connecting(error) else f"read tcp {address}: read"
            return f"{where}: {os.strerror(one.errno).lower()}", one.errno in _TRANSIENT
        if isinstance(one, http.client.HTTPException):
            return f"net/http: malformed HTTP response: {one}", False
    return str(error), isinstance(error, exceptions.ProtocolError)


def _address(error: BaseException, url: SplitResult) -> str:
    """``host:port`` of who was to be reached, which with a proxy is not the host of *url*."""
    for one in _chain(error):
        peer = getattr(one, "conn", None)
        if isinstance(one, exceptions.NewConnectionError) and peer is not None:
            return f"{peer.host}:{peer.port}"
    address = url.netloc.rpartition("@")[2]
    if url.port is None:
        address += ":443" if url.scheme == "https" else ":80"
    return address


def _connecting(error: BaseException) -> bool:
    return any(isinstance(one, exceptions.NewConnectionError) for one in _chain(error))


def _lookup(error: BaseException) -> str:
    for one in _chain(error):
        if isinstance(one, socket.gaierror) and one.errno not in (socket.EAI_NONAME, socket.EAI_NODATA):
            return (one.strerror or "server misbehaving").lower()
    return "no such host"


def _tls(error: ssl.SSLError, url: SplitResult) -> tuple[str, bool]:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (62, 64):
            return f"tls: failed to verify certificate: x509: certificate is not valid for {url.hostname}", False
        found = _X509.get(error.verify_code, f"x509: {error.verify_message}")
        return f"tls: failed to verify certificate: {found}", False
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "EOF", True
    if error.reason in _NOT_TLS:
        return "http: server gave HTTP response to HTTPS client", False
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return f"remote error: tls: {reason}" if "ALERT" in (error.reason or "") else f"tls: {reason}", False
