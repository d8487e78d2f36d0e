"""Proving who we are: challenges, Basic credentials, bearer tokens from a token service.

Sources: RFC 9110 section 11.6.1 (WWW-Authenticate), RFC 6750, and the CNCF distribution project's token and OAuth2
specifications.  Credentials come from the caller; nothing is read from files here.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from wherry.errors import RegistryError
from wherry.model import jsontext
from wherry.model.record import EMPTY, Record
from wherry.registry.failures import AccessRefused, Context, HTTPFailure, from_response, status_line
from wherry.registry.http import HTTPClient, Response

if TYPE_CHECKING:
    from wherry.config.auth import Credentials

#: Largest answer of a token service, in bytes.
MAX_TOKEN_BODY = 1 << 20
#: A token is used for this many seconds whatever its service says (older services give no life-time at all).
MIN_TOKEN_LIFE = 60

_TOKEN_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Challenge(Record):
    """One way the server wants requests authorized. Scheme and parameter names are in lower case."""

    scheme: str = ""
    parameters: Mapping[str, str] = EMPTY


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """The challenges in these ``WWW-Authenticate`` header values, in order. What makes no sense is left out."""
    found: list[Challenge] = []
    for header in headers:
        found.extend(_Header(header).challenges())
    return found


class _Header:
    """A cursor over one header value. A header may hold several challenges, separated like their parameters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def challenges(self) -> list[Challenge]:
        found: list[tuple[str, dict[str, str]]] = []
        while self._skip(" \t\r\n,="):      # "=" without a name: the padding of a token68, which nothing here uses
            word = self._token()
            if not word:
                break
            self._skip(" \t")
            if self._peek() == "=" and found:
                self.at += 1
                self._skip(" \t")
                found[-1][1].setdefault(word.lower(), self._value())
            else:
                found.append((word.lower(), {}))
        return [Challenge(scheme=scheme, parameters=parameters) for scheme, parameters in found]

    def _peek(self) -> str:
        return self.text[self.at:self.at + 1]

    def _skip(self, chars: str) -> bool:
        while self._peek() and self._peek() in chars:
            self.at += 1
        return self.at < len(self.text)

    def _token(self) -> str:
        start = self.at
        while self._peek() in _TOKEN_CHARS:     # the empty string at the end is not in it
            self.at += 1
        return self.text[start:self.at]

    def _value(self) -> str:
        if self._peek() != '"':
            return self._token()
        self.at += 1
        out: list[str] = []
        while self._peek() and self._peek() != '"':
            if self._peek() == "\\":
                self.at += 1
            out.append(self._peek())
            self.at += 1
        self.at += 1
        return "".join(out)


class _Token:
    def __init__(self, text: str, expires: float) -> None:
        self.text = text
        self.expires = expires      # time.monotonic()


class Authorizer:
    """``Authorization`` headers for one registry: knows its challenges, keeps a token per set of scopes."""

    def __init__(self, http: HTTPClient, credentials: Credentials | None) -> None:
        self._http = http
        self._credentials = credentials
        self._challenges: list[Challenge] = []
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._lock = threading.Lock()

    def set_challenges(self, challenges: Sequence[Challenge]) -> None:
        """What the registry asked for when it was pinged."""
        self._challenges = list(challenges)

    def header(self, scopes: tuple[str, ...]) -> str:
        """The header value for a request needing *scopes* (``repository:NAME:pull``); empty if none is needed.

        The first challenge of a kind we know decides.  Raises :class:`RegistryError` and its kin when a token is
        needed and not given.
        """
        for challenge in self._challenges:
            if challenge.scheme == "basic":
                return self._basic()
            if challenge.scheme == "bearer":
                return "Bearer " + self._bearer(challenge, scopes)
        return ""

    def forget(self, scopes: tuple[str, ...]) -> None:
        """Do not use the token for *scopes* again; the registry no longer takes it."""
        with self._lock:
            self._tokens.pop(scopes, None)

    def _basic(self) -> str:
        credentials = self._credentials
        if credentials is None or not (credentials.username or credentials.password):
            return ""
        pair = f"{credentials.username}:{credentials.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def _bearer(self, challenge: Challenge, scopes: tuple[str, ...]) -> str:
        # Under the lock: of several downloads that need a token one asks for it, the others wait for the answer.
        with self._lock:
            token = self._tokens.get(scopes)
            if token is None or time.monotonic() >= token.expires:
                token = self._tokens[scopes] = self._fetch(challenge, scopes)
            return token.text

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        realm = challenge.parameters.get("realm", "")
        if not realm:
            raise RegistryError("missing realm in bearer auth challenge")
        query = [("service", challenge.parameters["service"])] if challenge.parameters.get("service") else []
        query += [("scope", scope) for scope in scopes]
        if self._credentials is not None and self._credentials.identity_token:
            doing = "Trying to obtain access token"
            response = self._post(realm, query, self._credentials.identity_token)
        else:
            doing = "Requesting bearer token"
            response = self._get(realm, query)
        if response.status != 200:
            raise _token_refusal(response, doing)
        with Context("decoding bearer token"):
            return _parse_token(response.read_all(MAX_TOKEN_BODY), realm)

    def _get(self, realm: str, query: list[tuple[str, str]]) -> Response:
        if self._credentials is not None and self._credentials.username:
            query = [("account", self._credentials.username), *query]
        parts = urlsplit(realm)
        full = urlencode(parse_qsl(parts.query, keep_blank_values=True) + query)
        headers = {}
        basic = self._basic()
        if basic:
            headers["Authorization"] = basic
        return self._http.request("GET", urlunsplit(parts._replace(query=full)), headers=headers)

    def _post(self, realm: str, query: list[tuple[str, str]], identity_token: str) -> Response:
        form = [
            *query, ("grant_type", "refresh_token"), ("refresh_token", identity_token), ("client_id", "wherry"),
        ]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._http.request("POST", realm, headers=headers, body=urlencode(form).encode())


def _token_refusal(response: Response, doing: str) -> HTTPFailure:
    challenges = parse_challenges(response.header_values("WWW-Authenticate"))
    error = from_response(response.status, response.headers, response.read_error_body(), challenges)
    if isinstance(error, AccessRefused) and response.status == 401:
        error.message = f"unable to retrieve auth token: invalid username/password: {error.message}"
    else:
        error.message = f"{doing}: received unexpected HTTP status: {status_line(response.status)}"
    return error


def _parse_token(body: bytes, realm: str) -> _Token:
    try:
        answer: Any = jsontext.loads(body)
    except (jsontext.JSONError, RecursionError) as error:
        raise RegistryError(f"answer of {realm} is not JSON: {error}") from None
    text = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    if not isinstance(text, str) or not text.isprintable() or not text.isascii():
        raise RegistryError(f"answer of {realm} holds no token")
    life = answer.get("expires_in")
    seconds = life if isinstance(life, int) and life > MIN_TOKEN_LIFE else MIN_TOKEN_LIFE
    return _Token(text, time.monotonic() + seconds)
