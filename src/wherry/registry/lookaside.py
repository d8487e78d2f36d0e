"""Simple signatures in a lookaside store (containers-registries.d(5), "signature-protocols" of containers/image).

Below the store's URL, ``PATH@ALGORITHM=HEX/signature-N`` holds the Nth signature of a manifest; PATH is the repository
without its registry.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from wherry.errors import InvalidArgument, RegistryError, from_os_error
from wherry.registry.failures import Context
from wherry.sys.files import atomic_write, make_dirs

if TYPE_CHECKING:
    from wherry.registry.http import HTTPClient
    from wherry.registry.proxies import Proxies

#: Signatures looked at for one image, and the bytes of one.
MOST = 128
MAX_SIGNATURE = 4 << 20


def read(base: str, path: str, digest: str, proxies: Proxies | None = None) -> list[bytes]:
    """The signatures of the manifest *digest* of the repository *path*, in the store at the URL *base*."""
    url = location(base, path, digest)
    found: list[bytes] = []
    with _Reader(proxies) as reader, Context("reading signatures"):
        while len(found) < MOST:
            data = reader.read(f"{url}/signature-{len(found) + 1}")
            if data is None:
                return found
            found.append(data)
    raise InvalidArgument(f"reading signatures: more than {MOST} below {url}")


def write(base: str, path: str, digest: str, signatures: Sequence[bytes]) -> None:
    """Make *signatures* the ones of the manifest; files of further ones are removed."""
    directory = directory_of(location(base, path, digest))
    try:
        make_dirs(directory, 0o755)
        for number, data in enumerate(signatures, 1):
            atomic_write(f"{directory}/signature-{number}", data, 0o644)
        number = len(signatures) + 1
        while os.path.exists(f"{directory}/signature-{number}"):
            os.unlink(f"{directory}/signature-{number}")
            number += 1
    except OSError as error:
        raise from_os_error(error, "writing signatures") from None


def add(directory: str, signature: bytes) -> str:
    """One more signature in *directory*, which is made if need be; returns its file."""
    try:
        make_dirs(directory, 0o751)
        number = 1
        while os.path.exists(f"{directory}/signature-{number}"):
            number += 1
        name = f"{directory}/signature-{number}"
        atomic_write(name, signature, 0o644)
    except OSError as error:
        raise from_os_error(error, "writing signature") from None
    return name


def location(base: str, path: str, digest: str) -> str:
    """Where the signatures of a manifest are."""
    algorithm, _, encoded = digest.partition(":")
    return f"{base.rstrip('/')}/{path}@{algorithm}={encoded}"


def directory_of(url: str) -> str:
    """The directory a ``file://`` URL stands for. Raises :class:`InvalidArgument` for any other."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        raise InvalidArgument(f"Writing directly to a {parts.scheme} lookaside {url} is not supported. Configure a "
                              "lookaside-staging: location")
    if parts.scheme != "file":
        raise InvalidArgument(f"Unsupported scheme when writing signature to {url}")
    return unquote(parts.path)


class _Reader:
    """Files and web pages; a page's connection is kept for the next."""

    def __init__(self, proxies: Proxies | None) -> None:
        self._proxies = proxies
        self._http: HTTPClient | None = None

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._http is not None:
            self._http.close()

    def read(self, url: str) -> bytes | None:
        """What is at *url*, None when there is nothing."""
        scheme = urlsplit(url).scheme
        if scheme == "file":
            return self._file(directory_of(url))
        if scheme not in ("http", "https"):
            raise InvalidArgument(f"Unsupported scheme when reading signature from {url}")
        if self._http is None:
            from wherry.registry.http import HTTPClient

            self._http = HTTPClient(proxies=self._proxies)
        response = self._http.request("GET", url)
        try:
            if response.status == 404:
                return None
            if response.status != 200:
                raise RegistryError(f"reading signature from {url}: status {response.status}")
            return response.read_all(MAX_SIGNATURE)
        finally:
            response.close()

    @staticmethod
    def _file(path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_SIGNATURE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, "reading signature") from None
        if len(data) > MAX_SIGNATURE:
            raise InvalidArgument(f"the signature {path} is larger than {MAX_SIGNATURE} bytes")
        return data
