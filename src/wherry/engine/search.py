"""search: repositories of a registry, or the tags of one."""

from __future__ import annotations

from wherry.errors import InvalidArgument, RegistryError, WherryError
from wherry.model import jsontext
from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.config.registries import Registries
    from wherry.engine.runtime import Runtime
    from wherry.registry.client import RegistryClient

_LIMIT = 25
_MAX_BODY = 16 << 20
_TRUNCATED = 44


class SearchOptions(Record):
    """How to search; *limit* 0 means 25; *filters*: is-official, is-automated, stars."""

    limit: int = 0
    filters: Mapping[str, str] = EMPTY
    list_tags: bool = False
    no_truncation: bool = False
    authfile: str = ""
    credentials: str = ""
    cert_dir: str = ""
    tls_verify: bool | None = None


class SearchResult(Record):
    """One repository (``tag`` empty) or one tag of one, with Podman's JSON keys."""

    index: str = field(default="", key="Index")
    name: str = field(default="", key="Name")
    description: str = field(default="", key="Description")
    stars: int = field(default=0, key="Stars")
    official: str = field(default="", key="Official")
    automated: str = field(default="", key="Automated")
    tag: str = field(default="", key="Tag")


def search(runtime: Runtime, term: str, options: SearchOptions) -> list[SearchResult]:
    """Look for *term* on the registry it names, or on all that are searched. Raises ``RegistryError`` and its kin."""
    from wherry.config.registries import load as load_registries

    _check_filters(options.filters)
    registries = load_registries(runtime.settings)
    first, slash, rest = term.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    if named:
        hosts: Sequence[str] = [first]
        term = rest
    else:
        hosts = registries.unqualified_search
    found: list[SearchResult] = []
    errors: list[WherryError] = []
    for host in hosts:
        client = _client(runtime, registries, host, term, options)
        try:
            if options.list_tags:
                found += _tags(client, host, term, options)
            else:
                found += [one for one in _repositories(client, host, term, options) if _wanted(one, options.filters)]
        except WherryError as error:
            doing = "getting repository tags" if options.list_tags else f'couldn\'t search registry "{host}"'
            error.message = f"{doing}: {error.message.removeprefix('fetching tags list: ')}"
            errors.append(error)
        finally:
            client.close()
    if errors and not found:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        lines = "".join(f"\n\t* {error}" for error in errors)
        raise RegistryError(f"{count} occurred:{lines}\n\n", kind=errors[0].kind)
    return found


def _check_filters(filters: Mapping[str, str]) -> None:
    for key, value in filters.items():
        if key == "stars" and not value.isdigit():
            raise InvalidArgument(
                f'incorrect value type for stars filter: strconv.Atoi: parsing "{value}": invalid syntax'
            )
        if key not in ("stars", "is-official", "is-automated"):
            raise InvalidArgument(f'invalid filter type "{key}"')


def _client(
    runtime: Runtime, registries: Registries, host: str, term: str, options: SearchOptions
) -> RegistryClient:
    from wherry.config import auth
    from wherry.model.reference import Reference
    from wherry.registry.connect import open_client
    from wherry.registry.pull import own_credentials

    insecure = registries.insecure(Reference(domain=host, path=term or "x"))
    credentials = own_credentials(options.credentials) or auth.credentials(
        runtime.settings, host, term if options.list_tags else "", options.authfile,
        helpers=registries.credential_helpers,
    )
    return open_client(
        runtime.settings, host, credentials=credentials, cert_dir=options.cert_dir,
        insecure=insecure if options.tls_verify is None else not options.tls_verify,
    )


def _tags(client: RegistryClient, host: str, term: str, options: SearchOptions) -> list[SearchResult]:
    from wherry.model.reference import normalize

    named = normalize(f"{host}/{term}")
    tags = client.tags(named.path)[: options.limit or _LIMIT]
    return [SearchResult(index=host, name=named.repository, tag=tag) for tag in tags]


def _repositories(client: RegistryClient, host: str, term: str, options: SearchOptions) -> list[SearchResult]:
    """The first version's search, which knows descriptions; else the catalog."""
    from urllib.parse import urlencode

    limit = options.limit or _LIMIT
    response = client.send("GET", "/v1/search?" + urlencode({"q": term, "n": limit}), ())
    if response.status == 200:
        listed = _decoded(response.read_all(_MAX_BODY)).get("results") or []
        return [_result(host, one, options) for one in listed if isinstance(one, dict)][:limit]
    response.close()
    response = client.send("GET", "/v2/_catalog?n=1000", ("registry:catalog:*",))
    if response.status != 200:
        from wherry.registry.client import failure

        raise failure(response)
    names = _decoded(response.read_all(_MAX_BODY)).get("repositories") or []
    return [SearchResult(index=host, name=f"{host}/{name}") for name in names if term in str(name)][:limit]


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = jsontext.loads(body)
    except jsontext.JSONError as error:
        raise RegistryError(f"decoding search results: {error}") from None
    return found if isinstance(found, dict) else {}


def _result(host: str, one: dict[str, Any], options: SearchOptions) -> SearchResult:
    description = str(one.get("description") or "").replace("\n", " ")
    if not options.no_truncation and len(description) > _TRUNCATED:
        description = description[:_TRUNCATED] + "..."
    name = str(one.get("name") or "")
    if host == "docker.io" and "/" not in name:
        name = "library/" + name
    stars = one.get("star_count")
    return SearchResult(
        index=host, name=f"{host}/{name}", description=description, stars=stars if isinstance(stars, int) else 0,
        official="[OK]" if one.get("is_official") else "", automated="[OK]" if one.get("is_automated") else "",
    )


def _wanted(one: SearchResult, filters: Mapping[str, str]) -> bool:
    for key, value in filters.items():
        if key == "stars":
            if one.stars < int(value):
                return False
        else:
            has = one.official if key == "is-official" else one.automated
            if bool(has) != (value.lower() in ("", "true", "1")):
                return False
    return True
