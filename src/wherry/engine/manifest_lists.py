"""manifest lists made here: images for several platforms under one name (``podman manifest``)."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.engine.image import full_name
from wherry.engine.image_source import StoredImage, config_bytes, is_list, manifest_type
from wherry.errors import AlreadyExists, InvalidArgument, NoSuchImage, NotFound
from wherry.model import jsontext
from wherry.model.digest import is_digest, of_bytes
from wherry.model.ids import generate_id
from wherry.model.record import EMPTY, Record
from wherry.registry import mediatypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.manifest_artifacts import ArtifactOptions
    from wherry.engine.runtime import Runtime
    from wherry.registry.source import ImageSource
    from wherry.storage.records import ImageRecord

INSTANCES = "instances.json"


class Access(Record):
    """How to reach a registry; ``None`` for *tls_verify* follows registries.conf."""

    authfile: str = ""
    credentials: str = ""
    cert_dir: str = ""
    tls_verify: bool | None = None


_ANYONE = Access()


class Annotations(Record):
    """What is said of an entry besides its digest; empty: left as it is."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: Sequence[str] = ()
    features: Sequence[str] = ()
    annotations: Mapping[str, str] = EMPTY


class ListImage:
    """A manifest list of the store."""

    def __init__(self, runtime: Runtime, record: ImageRecord) -> None:
        self._runtime = runtime
        self.record = record
        self.document: dict[str, Any] = jsontext.loads(runtime.store.image_manifest(record.id))
        self.instances: dict[str, str] = {}
        if INSTANCES in record.big_data_names:
            self.instances = jsontext.loads(runtime.store.image_data(record.id, INSTANCES))

    @property
    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] | None = self.document.get("manifests")
        if found is None:       # Podman writes null for none
            found = self.document["manifests"] = []
        return found

    def data(self, key: str) -> bytes:
        """A document kept beside the list, empty when there is none."""
        return self._runtime.store.image_data(self.record.id, key) if key in self.record.big_data_names else b""

    def add_artifact(self, paths: Sequence[str], options: ArtifactOptions, said: Annotations) -> str:
        """Add the files *paths* as one artifact; returns the digest of its manifest."""
        from wherry.engine.manifest_artifacts import ARTIFACTS, artifacts_of

        artifacts = artifacts_of(self)
        entry = artifacts.add(paths, options)
        digest: str = entry["digest"]
        self.document["manifests"] = [one for one in self.entries if one["digest"] != digest] + [entry]
        self._runtime.store.set_image_data(self.record.id, ARTIFACTS, artifacts.text())
        if any((said.architecture, said.os, said.variant, said.os_version, said.os_features, said.features)):
            self.annotate(digest, said)
        elif said.annotations:
            entry["annotations"] = dict(said.annotations)
        self.save()
        return digest

    def add(self, text: str, said: Annotations, access: Access, *, all: bool = False) -> str:
        """Add the image *text* (with *all* every instance of a list); returns the digest added last."""
        digest = ""
        for entry, source in _entries_of(self._runtime, text, access, all):
            digest = entry["digest"]
            old = next((one for one in self.entries if one["digest"] == digest), None)
            if old is None:
                self.entries.append(entry)
            else:
                old |= entry
            self.instances[digest] = source
            self.annotate(digest, said)
        self.save()
        return digest

    def annotate(self, digest: str, said: Annotations) -> None:
        """Say more of the entry *digest*. Raises ``NotFound``."""
        entry = self._entry(digest)
        platform = entry.setdefault("platform", {"architecture": "", "os": ""})
        texts = (("architecture", said.architecture), ("os", said.os), ("variant", said.variant),
                 ("os.version", said.os_version), ("os.features", list(said.os_features)),
                 ("features", list(said.features)))
        platform |= {key: value for key, value in texts if value}
        if said.annotations:
            entry["annotations"] = {**entry.get("annotations", {}), **said.annotations}

    def annotate_index(self, annotations: Mapping[str, str]) -> None:
        """Annotations of the list itself."""
        self.document["annotations"] = {**self.document.get("annotations", {}), **annotations}

    def set_subject(self, descriptor: Mapping[str, Any]) -> None:
        """Say which image the list is about."""
        self.document["subject"] = dict(descriptor)

    def remove(self, digest: str) -> None:
        """Take an entry out. Raises ``NotFound``."""
        from wherry.engine.manifest_artifacts import ARTIFACTS, Artifacts

        self.entries.remove(self._entry(digest))
        self.instances.pop(digest, None)
        if kept := self.data(ARTIFACTS):
            artifacts = Artifacts(kept)
            artifacts.remove(digest)
            self._runtime.store.set_image_data(self.record.id, ARTIFACTS, artifacts.text())
        self.save()

    def save(self) -> None:
        """Store the list as it is now."""
        store = self._runtime.store
        store.set_image_data(self.record.id, INSTANCES, jsontext.dumps(self.instances).encode())
        self.record = store.set_image_data(self.record.id, "manifest", jsontext.dumps(self.document).encode())

    def _entry(self, digest: str) -> dict[str, Any]:
        for entry in self.entries:
            if entry["digest"] == digest:
                return entry
        raise NotFound(f'no instance matching digest "{digest}" found in manifest list')


def create(
    runtime: Runtime, name: str, images: Sequence[str] = (), *, amend: bool = False, all: bool = False,
    annotations: Mapping[str, str] = EMPTY, access: Access = _ANYONE,
) -> ListImage:
    """A new manifest list called *name* with *images*; *amend*: one that exists is added to."""
    full = full_name(name)
    try:
        record = image_lookup.find(runtime.store, full)[0]
    except NoSuchImage:
        identity = generate_id()
        document = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": []}
        record = runtime.store.add_manifest_list(identity, jsontext.dumps(document).encode(), [full])
        found = ListImage(runtime, record)
        found.instances = {"": identity}
    else:
        if not amend:
            raise AlreadyExists(
                f'creating image to hold manifest list: image name "{full}" is already associated with image '
                f'"{record.id}": that name is already in use'
            )
        found = find(runtime, full)
    if annotations:
        found.annotate_index(annotations)
    found.save()
    for text in images:
        found.add(text, Annotations(), access, all=all)
    return found


def find(runtime: Runtime, text: str) -> ListImage:
    """The list of this name or id. Raises ``NoSuchImage``, ``InvalidArgument`` when it is an image."""
    record = image_lookup.find(runtime.store, text)[0]
    if not is_list(runtime.store, record):
        raise InvalidArgument(f"{text}: image is not a manifest list")
    return ListImage(runtime, record)


def exists(runtime: Runtime, text: str) -> bool:
    """Is there a manifest list of this name?"""
    try:
        find(runtime, text)
    except (NoSuchImage, InvalidArgument):
        return False
    return True


def instance_digest(runtime: Runtime, found: ListImage, text: str) -> str:
    """The digest of the entry *text* names: a digest, or an image in the store that was added."""
    if is_digest(text):
        return text
    record = image_lookup.find(runtime.store, text)[0]
    for entry in found.entries:
        if entry["digest"] in record.digests():
            return str(entry["digest"])
    raise NotFound(f'no instance matching image "{text}" found in manifest list')


def open_source(runtime: Runtime, digest: str, source: str, access: Access) -> ImageSource:
    """The instance *digest*, from the store or the registry it was added from."""
    for record in runtime.store.images():
        if digest in record.digests() and record.layer:
            return StoredImage(runtime.store, record)
    if not source.startswith("docker://"):
        raise NoSuchImage(f"{digest}")
    from wherry.config.registries import load as load_registries
    from wherry.model.reference import normalize
    from wherry.registry.pull import open_image

    named = normalize(source.removeprefix("docker://")).replace(tag="", digest=digest)
    return open_image(
        runtime.settings, load_registries(runtime.settings), named, credentials=access.credentials,
        authfile=access.authfile, cert_dir=access.cert_dir, tls_verify=access.tls_verify,
    )


def remote_document(runtime: Runtime, text: str, access: Access) -> bytes:
    """The manifest or list *text* names in its registry, exact bytes; a short name is looked for as ``pull`` does."""
    from wherry.config.registries import load as load_registries
    from wherry.errors import RegistryError
    from wherry.model.reference import familiar
    from wherry.registry.failures import Context

    candidates = load_registries(runtime.settings).resolve_short_name(text.removeprefix("docker://")).candidates
    for candidate in candidates:
        try:
            with Context(f'reading image "docker://{familiar(str(candidate))}"'):
                return fetch_manifest(runtime, str(candidate), access)[0]
        except RegistryError:
            if candidate is candidates[-1]:
                raise
    raise NoSuchImage(text)


def fetch_manifest(runtime: Runtime, text: str, access: Access) -> tuple[bytes, str, str]:
    """Manifest bytes, their type and the full reference of an image in a registry."""
    from wherry.config import auth
    from wherry.config.registries import load as load_registries
    from wherry.model.reference import normalize
    from wherry.registry.connect import open_client
    from wherry.registry.pull import own_credentials

    registries = load_registries(runtime.settings)
    named = normalize(text.removeprefix("docker://")).with_default_tag()
    insecure = registries.insecure(named) if access.tls_verify is None else not access.tls_verify
    client = open_client(
        runtime.settings, named.domain, insecure=insecure, cert_dir=access.cert_dir,
        credentials=own_credentials(access.credentials) or auth.credentials(
            runtime.settings, named.domain, named.path, access.authfile, helpers=registries.credential_helpers
        ),
    )
    try:
        fetched = client.manifest(named.path, named.digest or named.tag)
    finally:
        client.close()
    return fetched.data, fetched.media_type, str(named)


def descriptor_of(runtime: Runtime, text: str, access: Access) -> dict[str, Any]:
    """Type, digest and size of the manifest or list *text* names, in the store or else in its registry."""
    if not text.startswith("docker://"):
        try:
            record = image_lookup.find(runtime.store, text.removeprefix("containers-storage:"))[0]
        except NoSuchImage:
            if text.startswith("containers-storage:"):
                raise
        else:
            manifest = runtime.store.image_manifest(record.id)
            return {"mediaType": manifest_type(manifest), "digest": of_bytes(manifest), "size": len(manifest)}
    data, media_type, _ = fetch_manifest(runtime, text, access)
    return {"mediaType": media_type, "digest": of_bytes(data), "size": len(data)}


def _entries_of(
    runtime: Runtime, text: str, access: Access, all: bool
) -> list[tuple[dict[str, Any], str]]:
    """List entries for the image *text*, each with where it is from."""
    local = text.removeprefix("containers-storage:")
    if not text.startswith("docker://"):
        try:
            record = image_lookup.find(runtime.store, local)[0]
        except NoSuchImage:
            if local != text:
                raise
        else:
            if is_list(runtime.store, record):
                theirs = ListImage(runtime, record)
                return [(entry, theirs.instances.get(entry["digest"], "")) for entry in theirs.entries]
            return [_local_entry(runtime, record)]
    from wherry.model.reference import familiar, normalize
    from wherry.registry.failures import Context

    named = normalize(text.removeprefix("docker://")).with_default_tag()
    with Context(f'setting up to read manifest and configuration from "docker://{familiar(str(named))}"'):
        return _remote_entries(runtime, text, access, all)


def _local_entry(runtime: Runtime, record: ImageRecord) -> tuple[dict[str, Any], str]:
    manifest = runtime.store.image_manifest(record.id)
    storage = runtime.settings.storage
    name = record.names[0] if record.names else f"@{record.id}"
    where = f"containers-storage:[{storage.driver}@{storage.graph_root}+{storage.run_root}]{name}"
    return _entry(manifest, manifest_type(manifest), config_bytes(runtime.store, record)), where


def _remote_entries(
    runtime: Runtime, text: str, access: Access, all: bool
) -> list[tuple[dict[str, Any], str]]:
    data, media_type, named = fetch_manifest(runtime, text, access)
    document = jsontext.loads(data)
    where = f"docker://{named}"
    if "manifests" in document:
        if all:
            return [(dict(entry), where) for entry in document["manifests"]]
        from wherry.registry import manifests, platform

        parsed = manifests.parse(data, media_type)
        assert isinstance(parsed, manifests.ManifestList)
        chosen = platform.choose(parsed, platform.host_platform()).digest
        return [(dict(entry), where) for entry in document["manifests"] if entry["digest"] == chosen]
    with open_source(runtime, of_bytes(data), where, access) as source:
        return [(_entry(source.manifest, source.manifest_media_type, source.config), where)]


def _entry(manifest: bytes, media_type: str, config: bytes) -> dict[str, Any]:
    document = jsontext.loads(config)
    platform = {"architecture": document.get("architecture") or "", "os": document.get("os") or ""}
    if document.get("variant"):
        platform["variant"] = document["variant"]
    return {"mediaType": media_type, "digest": of_bytes(manifest), "size": len(manifest), "platform": platform}
