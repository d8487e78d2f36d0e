"""Writing to a registry: is a blob there, mounting, uploading, manifests (OCI distribution specification, "Push")."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from wherry.errors import Corrupt, RegistryError, WherryError, from_os_error
from wherry.model.digest import is_digest
from wherry.registry.client import RegistryClient, failure
from wherry.registry.failures import Context, is_transient
from wherry.registry.http import Response
from wherry.registry.retry import RetryPolicy

_PIECE = 1 << 20
_OCTETS = "application/octet-stream"
#: A break after so many more bytes has earned a fresh set of attempts.
_PROGRESS = 1 << 20
_TOO_LARGE = 413
_LARGEST_PIECE = 16 << 20
_SMALLEST_PIECE = 64 << 10
#: Error codes after which an upload cannot be continued, but can be begun again.
_LOST = frozenset(("BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "RANGE_INVALID", "SIZE_INVALID"))


class FileBody:
    """The bytes of the open file *fd* from *start* to *end*, in pieces; may be iterated more than once."""

    def __init__(self, fd: int, start: int, end: int, report: Callable[[int], object]) -> None:
        self._fd = fd
        self._start = start
        self._end = end
        self._report = report

    def __iter__(self) -> Iterator[bytes]:
        at = self._start
        while at < self._end:
            try:
                data = os.pread(self._fd, min(_PIECE, self._end - at), at)
            except OSError as error:
                raise from_os_error(error, "reading blob") from error
            if not data:
                raise Corrupt("reading blob: unexpected EOF")
            yield data
            at += len(data)
            self._report(at)


class Uploader:
    """Uploads to one repository."""

    def __init__(self, client: RegistryClient, repository: str, retry: RetryPolicy) -> None:
        self._client = client
        self._repository = repository
        self._retry = retry
        self._scopes = (f"repository:{repository}:pull,push",)
        #: Set to end pauses between attempts.
        self.cancelled = threading.Event()

    def size_of(self, digest: str) -> int:
        """Bytes of the blob *digest* in the repository, -1 when it is not there (or its size is not told)."""
        response = self._ask("HEAD", f"/v2/{self._repository}/blobs/{digest}")
        with Context(f"checking whether a blob {digest} exists in {self._client.domain}/{self._repository}"):
            if response.status == 200:
                response.close()
                return response.length
            if response.status == 404:
                response.close()
                return -1
            raise failure(response)

    def mount(self, digest: str, origin: str) -> bool:
        """Make the blob of the repository *origin* of the same registry one of ours; False when that cannot be."""
        query = urlencode({"mount": digest, "from": origin})
        scopes = (*self._scopes, f"repository:{origin}:pull")
        response = self._client.send(
            "POST", f"/v2/{self._repository}/blobs/uploads/?{query}", scopes, {"Content-Length": "0"}
        )
        if response.status == 201:
            response.close()
            return True
        if response.status == 202:      # an upload was begun instead; it is not wanted
            location = _location(response)
            response.close()
            self._client.send("DELETE", location, self._scopes).close()
            return False
        if response.status in (401, 403, 404):
            response.close()
            return False
        with Context(f"mounting blob {digest} from {origin}"):
            raise failure(response)

    def upload(self, fd: int, digest: str, size: int, report: Callable[[int], object]) -> None:
        """Upload the *size* bytes of the file *fd*.

        A broken transfer goes on where the registry says it stopped, or begins again where it has forgotten it.  A
        registry that finds a request too large (413) gets it in pieces.
        """
        with Context(f"writing blob: {digest}"):
            attempt = 0
            location, offset, piece = "", 0, 0
            while True:
                try:
                    if not location:
                        location, offset = self._begin(), 0
                    self._send_file(fd, location, offset, size, piece, digest, report)
                    return
                except WherryError as error:
                    smaller = _smaller_piece(error, piece, size - offset)
                    if smaller:
                        location, piece = "", smaller
                        continue
                    if attempt >= self._retry.attempts or not _is_worth_repeating(error):
                        raise
                    self._retry.wait(attempt, error, self.cancelled)
                    before = offset
                    location, offset = ("", 0) if _is_lost(error) else self._where(location)
                    attempt = 0 if offset - before >= _PROGRESS else attempt + 1

    def put_manifest(self, name: str, data: bytes, media_type: str) -> None:
        """Store *data* as the manifest tagged *name* or with the digest *name*."""
        path = f"/v2/{self._repository}/manifests/{name}"

        def put() -> None:
            headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
            response = self._client.send("PUT", path, self._scopes, headers, data)
            if response.status not in (200, 201, 202):
                with Context(f"uploading manifest {name} to {self._client.domain}/{self._repository}"):
                    raise failure(response)
            response.close()

        self._retry.run(put, self.cancelled)

    def delete_manifest(self, digest: str) -> None:
        """Remove the manifest with this digest from the registry."""
        response = self._client.send("DELETE", f"/v2/{self._repository}/manifests/{digest}", (
            f"repository:{self._repository}:*",))
        if response.status not in (200, 202):
            with Context(f"deleting {self._client.domain}/{self._repository}@{digest}"):
                raise failure(response)
        response.close()

    def _ask(self, method: str, path: str) -> Response:
        return self._retry.run(lambda: self._client.send(method, path, self._scopes), self.cancelled)

    def _begin(self) -> str:
        with Context("initiating layer upload"):
            response = self._client.send(
                "POST", f"/v2/{self._repository}/blobs/uploads/", self._scopes, {"Content-Length": "0"}
            )
            if response.status != 202:
                raise failure(response)
            location = _location(response)
            response.close()
            return location

    def _send_file(
        self, fd: int, location: str, offset: int, size: int, piece: int, digest: str,
        report: Callable[[int], object],
    ) -> None:
        """Send the file from *offset* on, *piece* bytes at a time (0: all at once), and have the registry check it."""
        while True:
            end = min(offset + piece, size) if piece else size
            headers = {"Content-Type": _OCTETS, "Content-Length": str(end - offset)}
            if offset or end < size:
                headers["Content-Range"] = f"{offset}-{end - 1}"
            with Context("uploading layer chunked"):
                body = FileBody(fd, offset, end, report)
                response = self._client.send("PATCH", location, self._scopes, headers, body)
                if response.status not in (201, 202, 204):
                    raise failure(response)
            location = _location(response)
            response.close()
            offset = end
            if end == size:
                break
        with Context("uploading layer to finish"):
            response = self._client.send(
                "PUT", _with_digest(location, digest), self._scopes,
                {"Content-Type": _OCTETS, "Content-Length": "0"},
            )
            if response.status != 201:
                raise failure(response)
        found = response.headers.get("Docker-Content-Digest", "")
        response.close()
        if is_digest(found) and found != digest and found.startswith(digest.partition(":")[0]):
            raise Corrupt(f"registry stored {found} instead of {digest}")

    def _where(self, location: str) -> tuple[str, int]:
        """Where a broken upload goes on, and from which byte; ("", 0) when it must begin again."""
        if not location:
            return "", 0
        try:
            response = self._client.send("GET", location, self._scopes)
        except WherryError:
            return "", 0
        response.close()
        if response.status != 204:
            return "", 0
        first, _, last = response.headers.get("Range", "").removeprefix("bytes=").partition("-")
        # "0-0" is what registries send for nothing as well as for one byte: begin again then.
        count = int(last) + 1 if first == "0" and last.isascii() and last.isdigit() and last != "0" else 0
        return (_location(response) or location, count) if count else ("", 0)


def _is_lost(error: WherryError) -> bool:
    """Has the registry forgotten the upload, or taken in something else than was sent?"""
    return getattr(error, "code", "") in _LOST


def _is_worth_repeating(error: WherryError) -> bool:
    # The file has the digest it should: what came out different was damaged on the way.
    return is_transient(error) or _is_lost(error)


def _smaller_piece(error: WherryError, piece: int, left: int) -> int:
    """How much to send at a time when all at once, or *piece* bytes, were too much; 0 when that is not the problem."""
    if getattr(error, "status", 0) != _TOO_LARGE:
        return 0
    smaller = (piece or min(left, 4 * _LARGEST_PIECE)) // 4
    return min(smaller, _LARGEST_PIECE) if smaller >= _SMALLEST_PIECE else 0


def _location(response: Response) -> str:
    target = response.headers.get("Location", "")
    if not target:
        raise RegistryError("determining upload URL: the registry gave no Location")
    return urljoin(response.url, target)


def _with_digest(location: str, digest: str) -> str:
    parts = urlsplit(location)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("digest", digest)]
    return urlunsplit(parts._replace(query=urlencode(query)))
