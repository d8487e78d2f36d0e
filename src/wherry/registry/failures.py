"""What goes wrong with registries, in the words of Podman's image library.

Scripts match on these texts (``manifest unknown``, ``connection refused``), so they follow Go's habits: contexts
joined by ``: ``, ``Get "URL": dial tcp HOST: connect: ...``.  Error documents and their codes: OCI distribution
specification, "Error Codes"; default messages: the CNCF distribution project.
"""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from wherry.errors import NOT_FOUND, UNAVAILABLE, RegistryError, Unauthorized, WherryError
from wherry.model import jsontext
from wherry.spec.parse_values import quote

#: Largest error document looked at, in bytes.
MAX_ERROR_BODY = 1 << 20

_DEFAULT_MESSAGES = {
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "DENIED": "requested access to the resource is denied",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_UNVERIFIED": "manifest failed signature verification",
    "NAME_INVALID": "invalid repository name",
    "NAME_UNKNOWN": "repository name not known to registry",
    "SIZE_INVALID": "provided length did not match content length",
    "TAG_INVALID": "manifest tag did not match URI",
    "TOOMANYREQUESTS": "too many requests",
    "UNAUTHORIZED": "authentication required",
    "UNAVAILABLE": "service unavailable",
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
}
_REFUSALS = {"UNAUTHORIZED", "DENIED"}
_UNKNOWN_THINGS = {"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"}
_SHOWN_BODY = 50


class HTTPFailure(RegistryError):
    """A registry answered, but not with success.

    ``status`` is the HTTP status, ``code`` the registry's error code or empty, ``retry_after`` the seconds the
    registry asked to wait, negative when it did not say.
    """

    def __init__(self, message: str, status: int, code: str = "", retry_after: float = -1.0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Is it worth asking again?"""
        return self.status == 429 or (self.status >= 500 and self.status != 501)


class AccessRefused(HTTPFailure, Unauthorized):
    """The registry or its token service did not accept who we are, or what we want to do."""


class UnknownToRegistry(HTTPFailure):
    """The registry has no such repository, manifest or blob."""

    kind = NOT_FOUND


class ConnectionFailed(RegistryError):
    """No answer, or not all of it. ``transient``: the next attempt may fare better."""

    kind = UNAVAILABLE

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class Context:
    """``with Context("reading manifest"):`` puts the words before the message of any wherry error raised inside.

    Empty words leave it as it is.
    """

    def __init__(self, words: str) -> None:
        self.words = words

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> Literal[False]:
        if self.words and isinstance(error, WherryError):
            error.message = f"{self.words}: {error.message}"
        return False


def is_transient(error: BaseException) -> bool:
    """May doing the same again succeed?"""
    return bool(getattr(error, "transient", False))


def refuses_type(error: WherryError) -> bool:
    """Did the registry refuse a manifest for its type, so that another may do (OCI error codes)?"""
    return isinstance(error, HTTPFailure) and error.kind != NOT_FOUND and (
        error.code in ("MANIFEST_INVALID", "UNSUPPORTED", "TAG_INVALID") or error.status == 415
    )


def from_response(status: int, headers: Mapping[str, str], body: bytes, challenges: Sequence[Any] = ()) -> HTTPFailure:
    """The error a registry's answer amounts to; *challenges* are those of its ``WWW-Authenticate`` headers."""
    retry_after = parse_retry_after(headers.get("Retry-After", ""))
    if not 400 <= status < 500:
        return HTTPFailure(f"received unexpected HTTP status: {status_line(status)}", status, "", retry_after)
    code, message = _scope_refusal(challenges) if status == 401 else ("", "")
    if not code:
        code, message = _first_error(status, body)
    if not code:
        shown = body[:_SHOWN_BODY].decode(errors="replace") + ("..." if len(body) > _SHOWN_BODY else "")
        message = f"StatusCode: {status}, {quote(shown)}"
    if status == 401 or code in _REFUSALS:
        return AccessRefused(message, status, code, retry_after)
    if status == 404 or code in _UNKNOWN_THINGS:
        return UnknownToRegistry(message, status, code, retry_after)
    return HTTPFailure(message, status, code, retry_after)


def status_line(status: int) -> str:
    """``404 Not Found``."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def parse_retry_after(value: str) -> float:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3: seconds or a date); negative when there is none."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    if not value:
        return -1.0
    import time
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return -1.0


def _scope_refusal(challenges: Sequence[Any]) -> tuple[str, str]:
    """What a bearer challenge says about the token that was sent (RFC 6750, section 3.1)."""
    codes = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}
    for challenge in challenges:
        code = codes.get(challenge.parameters.get("error", "")) if challenge.scheme == "bearer" else None
        if code:
            description = challenge.parameters.get("error_description", "")
            return code, f"{_code_text(code)}: {description or _DEFAULT_MESSAGES[code]}"
    return "", ""


def _first_error(status: int, body: bytes) -> tuple[str, str]:
    """(code, message) of an error document; ("", "") when *body* is none.

    The code's words come first, unless the message is the code's own default and says the same again; refusals keep
    them always ("unauthorized: authentication required").
    """
    fallback = ("UNAUTHORIZED", "unauthorized: authentication required") if status == 401 else ("", "")
    try:
        document = jsontext.loads(body)
    except (jsontext.JSONError, RecursionError):
        return fallback
    if not isinstance(document, dict):
        return fallback
    details = document.get("details")
    if isinstance(details, str) and details:
        code = {401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS"}.get(status, "UNKNOWN")
        return code, f"{_code_text(code)}: {details}"
    errors = document.get("errors")
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], dict):
        return fallback
    given = errors[0].get("code")
    code = given if isinstance(given, str) and given in _DEFAULT_MESSAGES else "UNKNOWN"
    message = errors[0].get("message")
    if not isinstance(message, str) or not message:
        message = _DEFAULT_MESSAGES[code]
    if message == _DEFAULT_MESSAGES[code] and code not in _REFUSALS:
        return code, message
    return code, f"{_code_text(code)}: {message}"


def _code_text(code: str) -> str:
    return code.lower().replace("_", " ")
