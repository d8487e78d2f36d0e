"""An image in a registry as an :class:`~wherry.registry.source.ImageSource`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from wherry.model.record import Record
from wherry.registry import manifests, platform
from wherry.registry.client import FetchedManifest, RegistryClient
from wherry.registry.downloads import Downloads
from wherry.registry.failures import Context
from wherry.registry.http import Response
from wherry.registry.manifests import ImageManifest, ManifestList
from wherry.registry.partial import PartialBlobs
from wherry.registry.platform import Platform
from wherry.registry.progress import Reporter
from wherry.registry.retry import RetryPolicy
from wherry.registry.source import ImageSource, LayerBlob
from wherry.registry.spool import Spool
from wherry.registry.streams import Stream

#: Asked with a layer's index and all diff IDs of the image: is that layer in the store already?
IsLayerPresent = Callable[[int, Sequence[str]], bool]


class RemoteImage(Record):
    """The documents of one image in a registry, checked against each other."""

    manifest: FetchedManifest = FetchedManifest()
    manifest_list: bytes = b""
    parsed: ImageManifest = ImageManifest()
    config: bytes = b""


def read_image(
    client: RegistryClient, repository: str, top: FetchedManifest, wanted: Platform, name: str
) -> RemoteImage:
    """The image *top* is, or the one for *wanted* in the list it is; *name* (``docker://...``) is for errors."""
    with Context(f"initializing image from source {name}"):
        parsed = manifests.parse(top.data, top.media_type)
    if not isinstance(parsed, ManifestList):
        return _read_config(client, repository, RemoteImage(manifest=top, parsed=parsed))
    with Context(f"choosing an image from manifest list {name}"):
        chosen = platform.choose(parsed, wanted)
    with Context("copying system image from manifest list"):
        with Context(f"determining manifest MIME type for {name}"):
            instance = client.manifest(repository, chosen.digest)
        with Context(f"initializing image from source {name}"):
            image = manifests.parse_image(instance.data, instance.media_type)
        found = RemoteImage(manifest=instance, manifest_list=top.data, parsed=image)
        return _read_config(client, repository, found)


def _read_config(client: RegistryClient, repository: str, image: RemoteImage) -> RemoteImage:
    with Context("parsing image configuration"):
        manifests.check_config_type(image.parsed)
        config = client.blob_bytes(repository, image.parsed.config, manifests.MAX_CONFIG)
    return image.replace(config=config)


class RegistrySource(ImageSource):
    """Layers come through a spool, or through *blob_dir* where they survive a pull that is cut short.

    All that *is_layer_present* does not know are fetched once one is opened.
    """

    def __init__(
        self,
        client: RegistryClient,
        repository: str,
        image: RemoteImage,
        *,
        reference: str,
        spool_parent: str,
        workers: int,
        retry: RetryPolicy,
        reporter: Reporter | None,
        is_layer_present: IsLayerPresent | None,
        blob_dir: str = "",
    ) -> None:
        super().__init__(
            reference=reference,
            names=[reference],
            manifest=image.manifest.data,
            manifest_media_type=image.parsed.media_type,
            manifest_digest=image.manifest.digest,
            manifest_list=image.manifest_list,
            config=image.config,
            layers=manifests.layer_blobs(image.parsed, image.config),
            reporter=reporter,
        )
        self._client = client
        self._repository = repository
        self._spool_parent = spool_parent
        self._workers = workers
        self._retry = retry
        self._is_layer_present = is_layer_present
        self._spool: Spool | None = None
        self._blob_dir = blob_dir
        self._kept: PartialBlobs | None = None
        self._downloads: Downloads | None = None

    def open_layer(self, index: int) -> Stream:
        if self._downloads is None:
            self._downloads = self._start()
        layer = self.layers[index]
        self._announced.add(layer.digest)
        return self._downloads.open(layer)

    def close(self) -> None:
        if self._downloads is not None:
            self._downloads.close(self._client.close)
        if self._spool is not None:
            self._spool.close()
        if self._kept is not None:
            self._kept.close()
        self._client.close()

    def access(self) -> tuple[RegistryClient, str]:
        """The client and repository the image is read with, for what is beside it (signatures)."""
        return self._client, self._repository

    def finished(self) -> None:
        if self._kept is not None:
            self._kept.forget_all()
            self._kept.close()
        if self._blob_dir:
            from wherry.registry.partial import remove_stored

            remove_stored(self._blob_dir, [layer.digest for layer in self.layers])

    def discard_suspect(self) -> bool:
        """Kept blobs that are not verified go; when an earlier pull began one, it may be that which is damaged."""
        return self._kept is not None and self._kept.forget_unverified()

    def _start(self) -> Downloads:
        diff_ids = [layer.diff_id for layer in self.layers]
        present = self._is_layer_present
        missing = [
            layer for index, layer in enumerate(self.layers)
            if present is None or not layer.diff_id or not present(index, diff_ids)
        ]
        self._announced.update(layer.digest for layer in missing)
        self._spool = Spool(self._spool_parent)
        if self._blob_dir:
            self._kept = PartialBlobs(self._blob_dir)
        return Downloads(
            self._fetch,
            missing,
            self._spool,
            workers=self._workers,
            retry=self._retry,
            reporter=self._reporter,
            cancelled=threading.Event(),
            kept=self._kept,
        )

    def _fetch(self, layer: LayerBlob, offset: int) -> tuple[Response, int]:
        if layer.urls:
            response = self._client.external_blob(layer.urls)
            if response is not None:
                return response, 0
        return self._client.blob(self._repository, layer.digest, offset)
