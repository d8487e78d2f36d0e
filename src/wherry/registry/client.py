"""One registry: ping, manifests, blobs, tags (OCI distribution specification)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from wherry.errors import Corrupt, RegistryError
from wherry.model import jsontext
from wherry.model.digest import check_digest, is_digest
from wherry.model.record import Record
from wherry.registry import mediatypes
from wherry.registry.auth import Authorizer, Challenge, parse_challenges
from wherry.registry.failures import AccessRefused, Context, from_response
from wherry.registry.http import Body, HTTPClient, Response, same_origin
from wherry.registry.manifests import MAX_MANIFEST, Descriptor
from wherry.registry.verify import digest_of
from wherry.spec.parse_values import quote
from wherry.sys import log

if TYPE_CHECKING:
    from wherry.config.auth import Credentials

#: Largest answer to a question for tags, in bytes of one page.
MAX_TAGS_BODY = 16 << 20

_DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"


class FetchedManifest(Record):
    """A manifest as the registry sent it. ``digest`` is that of ``data``, in the algorithm it was asked for by."""

    data: bytes = b""
    media_type: str = ""
    digest: str = ""


class RegistryClient:
    """Speaks to the registry *domain* (``host[:port]``, ``docker.io``) with *credentials*, if any.

    Nothing is sent before the first question; that one pings the registry to learn scheme and authentication.  May be
    used by several threads.
    """

    def __init__(self, http: HTTPClient, domain: str, credentials: Credentials | None = None) -> None:
        self.domain = domain
        self.host = _DOCKER_HUB_API if domain == _DOCKER_HUB else domain
        self._http = http
        self._auth = Authorizer(http, credentials)
        self._lock = threading.Lock()
        self._base = ""

    def close(self) -> None:
        """Close all connections; questions still open in other threads fail at once."""
        self._http.close()

    def ping(self) -> None:
        """Find out scheme and authentication; done once. An insecure registry may answer on plain HTTP.

        Raises ``pinging container registry HOST: ...``.
        """
        with self._lock:
            if self._base:
                return
            with Context(f"pinging container registry {self.host}"):
                try:
                    self._ping("https")
                except RegistryError:
                    if not self._http.insecure:
                        raise
                    self._ping("http")

    def check_credentials(self) -> None:
        """Are the credentials accepted (``login``)? Raises :class:`AccessRefused` when they are not."""
        response = self._request("GET", "/v2/", ())
        if response.status == 200:
            response.close()
            return
        error = failure(response)
        if isinstance(error, AccessRefused):
            error.message = f"unable to retrieve auth token: invalid username/password: {error.message}"
        raise error

    def manifest(self, repository: str, name: str) -> FetchedManifest:
        """The manifest or list tagged *name*, or with the digest *name*.

        Raises :class:`RegistryError` kinds: ``reading manifest NAME in REPOSITORY: ...``, over 4 MiB, and
        :class:`Corrupt` when the bytes do not have the digest asked for.
        """
        response = self._ask_manifest("GET", repository, name)
        try:
            data = response.read_all(MAX_MANIFEST)
        finally:
            response.close()
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if not is_digest(name):
            return FetchedManifest(data=data, media_type=media_type, digest=digest_of(data))
        if digest_of(data, name) != name:
            raise Corrupt(f"Manifest does not match provided manifest digest {name}")
        return FetchedManifest(data=data, media_type=media_type, digest=name)

    def manifest_digest(self, repository: str, name: str) -> str:
        """The digest of the manifest tagged *name*, without downloading it where the registry tells."""
        response = self._ask_manifest("HEAD", repository, name)
        digest = response.headers.get("Docker-Content-Digest", "")
        response.close()
        return digest if is_digest(digest) else self.manifest(repository, name).digest

    def head_digest(self, repository: str, name: str) -> str:
        """The same with one request in all where no token is needed: it stands for the ping as well."""
        if not self._base:
            path = f"/v2/{repository}/manifests/{name}"
            with self._lock, Context(f"pinging container registry {self.host}"):
                if not self._base:
                    response = self._first("HEAD", path, {"Accept": ", ".join(mediatypes.ACCEPTED)})
                    digest = response.headers.get("Docker-Content-Digest", "")
                    if response.status == 200 and is_digest(digest):
                        return digest
        return self.manifest_digest(repository, name)

    def _first(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """The first question to the registry, which tells scheme and authentication whatever the answer is."""
        scheme = "https"
        sent = {**_VERSION, **headers}
        try:
            response = self._http.request(method, f"https://{self.host}{path}", headers=sent)
        except RegistryError:
            if not self._http.insecure:
                raise
            scheme = "http"
            response = self._http.request(method, f"http://{self.host}{path}", headers=sent)
        self._auth.set_challenges(_challenges(response))
        response.close()
        self._base = f"{scheme}://{self.host}"
        return response

    def blob(self, repository: str, digest: str, offset: int = 0) -> tuple[Response, int]:
        """The blob from byte *offset* on, and the offset the answer really begins at: *offset* or 0.

        Raises ``fetching blob: ...``.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        path = f"/v2/{repository}/blobs/{check_digest(digest)}"
        response = self._request("GET", path, (_pull(repository),), headers)
        if response.status == 200:
            return response, 0
        with Context("fetching blob"):
            if response.status == 206 and offset:
                _check_range(response, offset)
                return response, offset
            raise failure(response)

    def external_blob(self, urls: Sequence[str]) -> Response | None:
        """A foreign layer from the first of *urls* that has it; None when none of them is HTTP.

        Credentials never go to these addresses, which come from the manifest (CVE-2020-15157).
        """
        errors: list[str] = []
        for url in urls:
            if urlsplit(url).scheme not in ("http", "https"):
                continue
            try:
                response = self._http.request("GET", url)
                if response.status == 200:
                    return response
                raise failure(response)
            except RegistryError as error:
                errors.append(f"fetching external blob from {quote(url)}: {error}")
        if not errors:
            return None
        raise RegistryError(f"failed fetching external blob from all urls: {', '.join(errors)}")

    def blob_bytes(self, repository: str, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob in one piece: digest verified, at most *limit* bytes."""
        response, _ = self.blob(repository, descriptor.digest)
        try:
            data = response.read_all(limit)
        finally:
            response.close()
        found = digest_of(data, descriptor.digest)
        if found != descriptor.digest:
            raise Corrupt(f"digest mismatch, expected {quote(descriptor.digest)}, got {quote(found)}")
        return data

    def tags(self, repository: str) -> list[str]:
        """Every tag of *repository*, in the registry's order. Raises ``fetching tags list: ...``."""
        tags: list[str] = []
        path = f"/v2/{repository}/tags/list"
        seen: set[str] = set()
        with Context("fetching tags list"):
            while path and path not in seen:
                seen.add(path)
                response = self._request("GET", path, (_pull(repository),))
                if response.status != 200:
                    raise failure(response)
                tags.extend(_parse_tags(response.read_all(MAX_TAGS_BODY)))
                path = _next_page(path, response.headers.get("Link", ""))
        return tags

    def _ping(self, scheme: str) -> None:
        base = f"{scheme}://{self.host}"
        response = self._http.request("GET", f"{base}/v2/", headers=_VERSION)
        if response.status not in (200, 401):
            raise failure(response)
        self._auth.set_challenges(_challenges(response))
        response.close()
        self._base = base

    def _ask_manifest(self, method: str, repository: str, name: str) -> Response:
        headers = {"Accept": ", ".join(mediatypes.ACCEPTED)}
        response = self._request(method, f"/v2/{repository}/manifests/{name}", (_pull(repository),), headers)
        if response.status != 200:
            doing = "manifest" if method == "GET" else "digest"
            with Context(f"reading {doing} {name} in {self.domain}/{repository}"):
                raise failure(response)
        return response

    def send(
        self, method: str, path: str, scopes: tuple[str, ...], headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Response:
        """Any request to the registry; the answer is returned whatever its status.

        *path* may be a URL the registry gave (an upload's location); another origin than the registry's gets no
        credentials.  *body* is sent again when the first try is refused for want of a token.
        """
        return self._request(method, path, scopes, headers, body)

    def _request(
        self, method: str, path: str, scopes: tuple[str, ...], headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Response:
        """Send with authorization, once more if the registry tells what the token lacks."""
        self.ping()
        response = self._send(method, path, scopes, headers, body)
        if response.status == 401:
            more = self._better_scopes(_challenges(response), scopes)
            if more:
                response.close()
                response = self._send(method, path, more, headers, body)
        for warning in response.header_values("Warning"):
            _report_warning(warning, response.url)
        return response

    def _send(
        self, method: str, path: str, scopes: tuple[str, ...], headers: Mapping[str, str] | None,
        body: Body | None = None,
    ) -> Response:
        sent = {**_VERSION, **(headers or {})}
        url = urljoin(self._base + "/", path)
        authorization = self._auth.header(scopes) if same_origin(url, self._base) else ""
        if authorization:
            sent["Authorization"] = authorization
        return self._http.request(method, url, headers=sent, body=body)

    def _better_scopes(self, challenges: Sequence[Challenge], scopes: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes to ask a new token for; empty when the refusal is final."""
        for challenge in challenges:
            if challenge.scheme != "bearer":
                continue
            problem = challenge.parameters.get("error", "")
            wanted = challenge.parameters.get("scope", "")
            if problem == "insufficient_scope" and wanted and wanted not in scopes:
                return (*scopes, wanted)
            if problem == "invalid_token" and scopes:
                self._auth.forget(scopes)
                return scopes
        return ()


_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _challenges(response: Response) -> list[Challenge]:
    return parse_challenges(response.header_values("WWW-Authenticate"))


def failure(response: Response) -> RegistryError:
    """The error a refusal amounts to; reads and closes *response*."""
    return from_response(response.status, response.headers, response.read_error_body(), _challenges(response))


def _check_range(response: Response, offset: int) -> None:
    """Does the partial answer begin where we asked it to (RFC 9110, section 14.4)?"""
    value = response.headers.get("Content-Range", "")
    if not value.startswith(f"bytes {offset}-"):
        response.close()
        raise RegistryError(f"asked for bytes from {offset}, got Content-Range {quote(value)}")


def _report_warning(header: str, url: str) -> None:
    """Show ``299 - "text"`` (the only form the distribution specification allows) once."""
    text = header.removeprefix('299 - "').removesuffix('"')
    if len(text) == len(header) - 8 and text.isprintable():
        plain = text.replace('\\"', '"').replace("\\\\", "\\")
        log.once("warning", f"Warning from registry (first encountered at {quote(url)}): {quote(plain)}")


def _parse_tags(body: bytes) -> list[str]:
    try:
        answer: Any = jsontext.loads(body)
    except (jsontext.JSONError, RecursionError) as error:
        raise RegistryError(f"decoding tags list: {error}") from None
    tags = answer.get("tags") if isinstance(answer, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _next_page(path: str, link: str) -> str:
    """The path of the next page from a ``Link`` header. A host in it is ignored: pages come from the same registry."""
    target, closing, rest = link.partition(">")
    if not closing or not target.startswith("<") or 'rel="next"' not in rest.replace("rel=next", 'rel="next"'):
        return ""
    parts = urlsplit(urljoin(path, target[1:]))
    if not parts.path.endswith("/tags/list"):
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
