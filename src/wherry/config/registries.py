"""registries.conf(5) at work: short names, rewritten locations, mirrors, blocked registries."""

from __future__ import annotations

from wherry.config import places as config_places
from wherry.config.cache import cached
from wherry.errors import InvalidArgument
from wherry.model.record import EMPTY, Record, field
from wherry.model.reference import Reference, normalize, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.config.cache import Watch
    from wherry.config.places import Places
    from wherry.config.settings import Settings


class Mirror(Record):
    """``[[registry.mirror]]``; *pull_from* is all, digest-only or tag-only."""

    location: str = ""
    insecure: bool = False
    pull_from: str = "all"


class Registry(Record):
    """``[[registry]]``. *prefix* may be ``*.host``; *location* is then empty unless names are to be rewritten."""

    prefix: str = ""
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirror_by_digest_only: bool = False
    mirrors: Sequence[Mirror] = field(default=(), records=Mirror)


class Endpoint(Record):
    """One place to try: *reference* is the image's name as that place knows it."""

    reference: Reference = Reference()
    insecure: bool = False
    mirror: bool = False


class Resolution(Record):
    """What a name may stand for. *description* says why, empty for a name that needed no resolving.

    *ambiguous*: Podman would ask which candidate was meant if it had a terminal.
    """

    candidates: Sequence[Reference] = ()
    description: str = ""
    ambiguous: bool = False


class Registries(Record):
    """The merged configuration."""

    config_file: str = field(default="", key="file")
    unqualified_search: Sequence[str] = field(default=(), key="search")
    search_origin: str = ""                            # the file unqualified_search is from
    short_name_mode: str = field(default="permissive", key="mode")
    credential_helpers: Sequence[str] = field(default=("containers-auth.json",), key="helpers")
    registries: Sequence[Registry] = field(default=(), records=Registry)
    aliases: Mapping[str, Sequence[str]] = EMPTY       # short name -> (full name, file it is from)

    def find(self, reference: Reference) -> Registry | None:
        """The registry table with the longest prefix that matches, None when none does."""
        name = reference.repository
        matching = [registry for registry in self.registries if _match(registry.prefix, name) >= 0]
        return max(matching, key=lambda registry: (len(registry.prefix), registry.prefix[0] != "*"), default=None)

    def blocked(self, reference: Reference) -> bool:
        """Is pulling *reference* forbidden?"""
        registry = self.find(reference)
        return registry is not None and registry.blocked

    def insecure(self, reference: Reference) -> bool:
        """May the registry of *reference* speak plain HTTP or have an unverified certificate?"""
        registry = self.find(reference)
        return registry is not None and registry.insecure

    def endpoints(self, reference: Reference) -> list[Endpoint]:
        """Where to pull a fully qualified *reference* from: the mirrors that serve it, in order, then the registry."""
        registry = self.find(reference)
        if registry is None:
            return [Endpoint(reference=reference)]
        without = "tag-only" if reference.digest else "digest-only"
        prefix = registry.prefix
        mirrors = [
            Endpoint(reference=_rewrite(reference, prefix, mirror.location), insecure=mirror.insecure, mirror=True)
            for mirror in registry.mirrors if mirror.pull_from != without
        ]
        own = Endpoint(reference=_rewrite(reference, prefix, registry.location), insecure=registry.insecure)
        return [*mirrors, own]

    def resolve_short_name(self, name: str, *, may_ask: bool = False) -> Resolution:
        """The references to try for *name*, each with its tag.

        An alias wins; otherwise every unqualified-search registry is a candidate.  With short-name mode *enforcing*
        several candidates are an error unless the caller *may_ask* which one is meant.  Raises
        :class:`InvalidArgument` also when nothing is known that *name* could stand for.
        """
        short = parse(name)
        if short.domain:
            return Resolution(candidates=[normalize(name).with_default_tag()])
        alias = self.aliases.get(short.path)
        if alias is not None:
            full, origin = alias
            return Resolution(
                candidates=[_with_tag_of(normalize(full), short)],
                description=f'Resolved "{short.path}" as an alias ({origin})',
            )
        if not self.unqualified_search:
            where = f'no unqualified-search registries are defined in "{self.search_origin}"'
            raise InvalidArgument(f'short-name "{name}" did not resolve to an alias and {where}')
        candidates = [_within(registry, short) for registry in self.unqualified_search]
        ambiguous = len(candidates) > 1 and self.short_name_mode != "disabled"
        if ambiguous and self.short_name_mode == "enforcing" and not may_ask:
            raise InvalidArgument("short-name resolution enforced but cannot prompt without a TTY")
        return Resolution(
            candidates=candidates,
            description=f'Resolving "{short.path}" using unqualified-search registries ({self.search_origin})',
            ambiguous=ambiguous,
        )

    def local_candidates(self, name: str) -> list[Reference]:
        """The names an image that is already here may have when asked for as *name*, most likely first."""
        short = parse(name)
        if short.domain:
            return [normalize(name).with_default_tag()]
        alias = self.aliases.get(short.path)
        found = [_with_tag_of(normalize(alias[0]), short)] if alias is not None else []
        hosts = dict.fromkeys(("localhost", *self.unqualified_search, "docker.io"))
        return found + [_within(host, short) for host in hosts]


def load(settings: Settings, *, places: Places | None = None) -> Registries:
    """Read registries.conf, drop-ins and the alias cache; remembered like containers.conf.

    Raises :class:`wherry.config.tables.InvalidConfiguration` naming the file.
    """
    where = places or config_places.current()
    chosen = settings.options.registries_conf

    def build(watch: Watch) -> dict[str, Any]:
        from wherry.config import registries_conf

        return registries_conf.build(watch, where, chosen)

    return Registries.from_json(cached(where, "registries", [chosen], build))


def _match(prefix: str, name: str) -> int:
    """How many characters of the repository *name* the *prefix* covers; -1 when it does not match.

    A prefix ends where a part of the name ends.  ``*.host`` covers the host, less the port, of any subdomain of *host*.
    """
    if prefix.startswith("*."):
        host = name.partition("/")[0].partition(":")[0]
        return len(host) if host.endswith(prefix[1:]) else -1
    if name == prefix or (name.startswith(prefix) and name[len(prefix)] in "/:@"):
        return len(prefix)
    return -1


def _rewrite(reference: Reference, prefix: str, location: str) -> Reference:
    """*reference* with what *prefix* covers replaced by *location*."""
    if not location:
        return reference
    name = location + reference.repository[_match(prefix, reference.repository):]
    return parse(name).replace(tag=reference.tag, digest=reference.digest)


def _with_tag_of(full: Reference, short: Reference) -> Reference:
    return full.replace(tag=short.tag, digest=short.digest).with_default_tag()


def _within(registry: str, short: Reference) -> Reference:
    return normalize(f"{registry}/{short.path}").replace(tag=short.tag, digest=short.digest).with_default_tag()
