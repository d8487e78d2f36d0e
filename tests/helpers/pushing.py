"""Putting images into a registry, with nothing but HTTP."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from tests.helpers.images import MadeImage, digest_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Pusher:
    """Pushes to the plain registry at *host* (``127.0.0.1:5000``), as *user* (``name:password``) if it wants one."""

    def __init__(self, host: str, user: str = "") -> None:
        self._host = host
        token = base64.b64encode(user.encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"} if user else {}

    def push(self, name: str, image: MadeImage) -> str:
        """Push *image* as *name* (``repository:tag``); returns the digest of its manifest."""
        repository, _, tag = name.partition(":")
        self._blobs(repository, image)
        return self._manifest(repository, tag, image.manifest, MANIFEST)

    def push_index(self, name: str, entries: Sequence[tuple[str, MadeImage]]) -> str:
        """Push an index of images, each for an architecture; returns its digest."""
        repository, _, tag = name.partition(":")
        descriptors = []
        for architecture, image in entries:
            self._blobs(repository, image)
            self._manifest(repository, image.manifest_digest, image.manifest, MANIFEST)
            descriptors.append({
                "mediaType": MANIFEST, "digest": image.manifest_digest, "size": len(image.manifest),
                "platform": {"os": "linux", "architecture": architecture},
            })
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}).encode()
        return self._manifest(repository, tag, index, INDEX)

    def _blobs(self, repository: str, image: MadeImage) -> None:
        for digest, data in image.blobs.items():
            if data == image.manifest or self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
                continue
            status, headers = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
            assert status == 202, status
            place = urlsplit(headers["Location"])
            status, _headers = self._ask("PUT", f"{place.path}?{place.query}&digest={digest}", data)
            assert status == 201, status

    def _manifest(self, repository: str, tag: str, data: bytes, kind: str) -> str:
        status, _headers = self._ask("PUT", f"/v2/{repository}/manifests/{tag}", data, {"Content-Type": kind})
        assert status == 201, status
        return digest_of(data)

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str]]:
        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            connection.request(method, path, body or None, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            response.read()
            return response.status, dict(response.getheaders())
        finally:
            connection.close()
