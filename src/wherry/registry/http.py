"""HTTP for registries: connections, TLS, proxies, redirects; failures in words.

One :class:`HTTPClient` serves one registry, with the hosts it sends us to (token service, blob stores).  It keeps
connections open, never follows a redirect with credentials to another origin, and turns everything the network can do
into :class:`~wherry.registry.failures.ConnectionFailed`.  It is used by several threads at once.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from wherry import __version__
from wherry.errors import RegistryError
from wherry.registry import certificates, socket_errors
from wherry.registry.failures import MAX_ERROR_BODY, ConnectionFailed
from wherry.registry.proxies import Proxies

USER_AGENT = f"wherry/{__version__}"

#: Seconds to wait for a connection, and for the next bytes of an answer.
CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 60.0

#: What is sent: bytes, or pieces of known total length (``Content-Length`` given) that can be iterated again.
Body = bytes | Iterable[bytes]

_MAX_REDIRECTS = 10
_DRAINED = 1 << 16     # bytes
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


class Response:
    """An answer whose body has not been read yet. Close it, or read it to the end."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, method: str, url: str) -> None:
        self._raw = raw
        self._method = method
        self.url = url
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers

    def header_values(self, name: str) -> list[str]:
        """Every value of a header that may come more than once."""
        return list(self._raw.headers.getlist(name))

    @property
    def length(self) -> int:
        """Content-Length in bytes, -1 when the server did not say."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1

    def read(self, size: int) -> bytes:
        """Up to *size* bytes, none at the end. Raises :class:`ConnectionFailed` when the connection breaks."""
        try:
            return self._raw.read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def read_all(self, limit: int) -> bytes:
        """The whole body. Raises :class:`RegistryError` when it is longer than *limit* bytes."""
        parts: list[bytes] = []
        left = limit + 1
        while left > 0:
            data = self.read(min(left, 1 << 16))
            if not data:
                break
            parts.append(data)
            left -= len(data)
        if left <= 0:
            self.close()
            raise RegistryError(f"exceeded maximum allowed size of {limit} bytes")
        return b"".join(parts)

    def read_error_body(self) -> bytes:
        """What there is of an error document; a broken one is an empty one."""
        try:
            return self.read_all(MAX_ERROR_BODY)
        except RegistryError:
            return b""
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back; one with much unread data is cheaper to close than to use again."""
        if self._method == "HEAD" or 0 <= self.length <= _DRAINED:
            self._raw.drain_conn()
        else:
            self._raw.close()
        self._raw.release_conn()

    def _failed(self, error: Exception) -> ConnectionFailed:
        return socket_errors.translate(error, f"{self._method.title()} {_shown(self.url)}", urlsplit(self.url))


class HTTPClient:
    """Requests to one registry. *insecure*: certificates are not verified. *certificates_dir*: see certificates.py."""

    def __init__(
        self,
        *,
        proxies: Proxies | None = None,
        certificates_dir: str = "",
        insecure: bool = False,
        connections: int = 8,
        read_timeout: float | None = None,
    ) -> None:
        self.insecure = insecure
        self._proxies = proxies or Proxies()
        self._certificates_dir = certificates_dir
        self._connections = connections
        reading = READ_TIMEOUT if read_timeout is None else read_timeout
        self._timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=reading)
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._sockets = _Sockets()
        self._lock = threading.Lock()
        self._tls: Any = None

    def close(self) -> None:
        """Close all connections; what another thread waits for on one of them fails at once."""
        self._sockets.shut_down()
        with self._lock:
            for manager in self._managers.values():
                for key in manager.pools.keys():        # noqa: SIM118 - not a dict; iterating it is refused
                    manager.pools[key].close()

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Response:
        """Send one request, following redirects of GET and HEAD. Any final status is returned, not raised.

        ``Authorization`` goes along only while scheme, host and port stay the same (CVE-2020-15157 and its kin).
        Raises :class:`ConnectionFailed`, and :class:`RegistryError` for a redirect that cannot be followed.
        """
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
        response = self._send(method, url, sent, body)
        followed = 0
        while method in ("GET", "HEAD") and response.status in _REDIRECTS and response.headers.get("Location"):
            response.close()
            followed += 1
            if followed > _MAX_REDIRECTS:
                raise RegistryError(f"{method.title()} {_shown(url)}: stopped after {_MAX_REDIRECTS} redirects")
            target = urljoin(url, response.headers["Location"])
            if _origin(target) != _origin(url):
                sent.pop("Authorization", None)
            url = target
            response = self._send(method, url, sent, None)
        return response

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Response:
        doing = f"{method.title()} {_shown(url)}"
        parts = urlsplit(url)
        scheme, host, port = _origin(url)
        if scheme not in _PORTS or not host:
            raise RegistryError(f"{doing}: unsupported protocol scheme \"{scheme}\"")
        if not port:
            given = parts.netloc.rpartition(":")[2]
            raise ConnectionFailed(f"{doing}: dial tcp: address {given}: invalid port", transient=False)
        manager = self._manager(self._proxies.choose(scheme, host, port), scheme)
        try:
            raw = manager.urlopen(
                method, url, redirect=False, retries=False, headers=headers, body=body,
                preload_content=False, decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise socket_errors.translate(error, doing, parts) from error
        return Response(raw, method, url)

    def _manager(self, proxy: str, scheme: str) -> urllib3.PoolManager:
        with self._lock:
            key = f"{scheme} {proxy}"
            manager = self._managers.get(key)
            if manager is None:
                manager = self._managers[key] = self._new_manager(proxy, scheme)
            return manager

    def _new_manager(self, proxy: str, scheme: str) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": self._connections, "timeout": self._timeout}
        if scheme == "https" or proxy.startswith("https:"):
            if self._tls is None:
                self._tls = certificates.context(self._certificates_dir, insecure=self.insecure)
            options["ssl_context"] = self._tls
            if self.insecure:
                options["cert_reqs"] = "CERT_NONE"
                options["assert_hostname"] = False
        manager = self._new_proxy_manager(proxy, options) if proxy else urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = self._sockets.pool_classes
        return manager

    def _new_proxy_manager(self, proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
        parts = urlsplit(proxy)
        if parts.scheme not in _PORTS:
            raise RegistryError(f"proxy {_shown(proxy)}: unsupported protocol scheme \"{parts.scheme}\"")
        if parts.username:
            options["proxy_headers"] = urllib3.make_headers(
                proxy_basic_auth=f"{parts.username}:{parts.password or ''}"
            )
        return urllib3.ProxyManager(proxy, **options)


class _Sockets:
    """Every socket of a client, so that it can be shut down from outside whatever waits on it.

    A connection forgets its socket when the server wants it closed after the answer; hence both are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_shut = False
        self.pool_classes = self._make_pool_classes()

    def shut_down(self) -> None:
        """End every read and write now, and every connection made later."""
        with self._lock:
            self._is_shut = True
            sockets = {*self._sockets, *(one.sock for one in self._connections if one.sock is not None)}
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue    # it is closed already

    def _connect(self, connection: HTTPConnection, connect: Callable[[], None]) -> None:
        with self._lock:
            self._connections.add(connection)
        connect()
        with self._lock:
            if connection.sock is not None:
                self._sockets.add(connection.sock)
            if self._is_shut:
                connection.close()
                raise OSError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))

    def _make_pool_classes(self) -> dict[str, Any]:
        register = self._connect

        class Plain(HTTPConnection):
            def connect(self) -> None:
                register(self, super().connect)

        class Encrypted(HTTPSConnection):
            def connect(self) -> None:
                register(self, super().connect)
                # Whether to verify was the user's choice, and has been obeyed; a warning per request adds nothing.
                self.is_verified = True

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Encrypted

        return {"http": PlainPool, "https": EncryptedPool}


def same_origin(one: str, other: str) -> bool:
    """Do both URLs lead to the same scheme, host and port?"""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) with defaults filled in; an invalid port is 0."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    return parts.scheme, parts.hostname or "", _PORTS.get(parts.scheme, 0) if port is None else port


def _shown(url: str) -> str:
    """*url* in quotes, without a password."""
    parts = urlsplit(url)
    if parts.password:
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"{parts.username}:xxxxx@{host}"))
    return f'"{url}"'
