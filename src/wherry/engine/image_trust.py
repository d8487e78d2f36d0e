"""Trust: the policy is asked before anything of an image is stored."""

from __future__ import annotations

from wherry.config.policy import ACCEPT, file_scopes, load_policy, scopes
from wherry.config.registries_d import signature_store
from wherry.model.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.config.places import Places
    from wherry.config.settings import StorageSettings
    from wherry.engine.runtime import Runtime
    from wherry.registry.pull import RemoteArtifact
    from wherry.registry.remote import RegistrySource
    from wherry.storage.records import ImageRecord
    from wherry.storage.store import Store


def check_pull(
    runtime: Runtime, source: RegistrySource | RemoteArtifact, reference: Reference, *, policy: str = "",
    places: Places | None = None,
) -> Sequence[bytes]:
    """Raise :class:`Rejected` unless the policy allows the image; returns its signatures, to be kept with it.

    *policy* is a file used instead of the host's.
    """
    requirements = load_policy(policy, places).requirements("docker", scopes(reference))
    signatures = signatures_of(runtime, source, reference, places)
    _check(requirements, f"docker://{reference}", reference, source.manifest_digest, signatures)
    return signatures


def signatures_of(
    runtime: Runtime, source: RegistrySource | RemoteArtifact, reference: Reference, places: Places | None = None
) -> list[bytes]:
    """The signatures of the image's manifest: those of the lookaside store, then those attached in the registry."""
    from wherry.registry import attachments, lookaside, signature_formats
    from wherry.registry.proxies import Proxies

    client, repository = source.access()
    # Where the image is really read from: a mirror has its own entry in registries.d.
    physical = reference.replace(domain=client.domain, path=repository)
    store = signature_store(physical, places)
    proxies = Proxies.from_environment(runtime.settings.environment.proxies)
    found = lookaside.read(store.lookaside, physical.path, source.manifest_digest, proxies)
    if store.attachments:
        attached = attachments.read(client, repository, source.manifest_digest)
        found += [signature_formats.encode(one) for one in attached]
    return found


def check_file(
    transport: str, path: str, *, name: str = "", policy: str = "", places: Places | None = None,
    digest: str = "", signatures: Sequence[bytes] = (),
) -> None:
    """The same for an image in a file, which has no reference. Only ``dir:`` directories hold signatures."""
    requirements = load_policy(policy, places).requirements(transport, file_scopes(transport, path))
    _check(requirements, name or f"{transport}:{path}", None, digest, signatures)


def check_stored(
    runtime: Runtime, record: ImageRecord, *, policy: str = "", places: Places | None = None,
    store: Store | None = None, storage: StorageSettings | None = None,
) -> None:
    """The same for an image of the store (or of another *store* with the settings *storage*) that is copied."""
    store = store or runtime.store
    storage = storage or runtime.settings.storage
    where = f"{storage.driver}@{storage.graph_root}"
    names = [f"[{where}]{name}" for name in record.names]
    requirements = load_policy(policy, places).requirements(
        "containers-storage", [*names, f"[{where}]@{record.id}", f"[{where}]", f"[{storage.graph_root}]"]
    )
    name = f"containers-storage:[{where}+{storage.run_root}]@{record.id}"
    reference = None
    if record.names:
        from wherry.model.reference import parse

        reference = parse(record.names[0])
    _check(requirements, name, reference, record.digest, store.image_signatures(record.id))


def _check(
    requirements: Sequence[Mapping[str, Any]], name: str, reference: Reference | None, digest: str,
    signatures: Sequence[bytes],
) -> None:
    if {requirement["type"] for requirement in requirements} != {ACCEPT}:
        from wherry.registry.signatures import Candidate, check

        check(requirements, Candidate(name=name, reference=reference, digest=digest, signatures=signatures))
