"""``wherry images --format``: JSON and templates."""

from __future__ import annotations

from wherry.cli.formatting import is_json, render_rows, title
from wherry.cli.gotemplate.gotime import GoTime
from wherry.cli.gotemplate.values import NilMap, View
from wherry.cli.images_list import Row
from wherry.engine.image_inspect import repo_digests
from wherry.model import jsontext
from wherry.model.timestamps import SECOND, format_ns, parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call

HEADINGS = {"ID": "image id", "CreatedSince": "created", "IsDangling": "dangling", "IsReadOnly": "read only"}


def render(call: Call, rows: Sequence[Row], text: str) -> str:
    """The listing as *text* (``--format``) asks for it."""
    used: dict[str, int] = {}
    for container in call.runtime.store.containers():
        used[container.image] = used.get(container.image, 0) + 1
    views = [ImageView(row, used.get(row.image.id, 0)) for row in rows]
    if is_json(text):
        return jsontext.dumps_pretty([view.json for view in views], 4) + "\n"
    headings = {name: HEADINGS.get(name, title(name)).upper() for name in ImageView.go_names}
    return render_rows("images", text, views, headings, heading=not call.flags.on("noheading"))


class ImageView(View):
    """What a template of ``images`` sees of one name of an image."""

    type_name = "images.imageReporter"
    go_names = {
        "Arch": "arch", "Containers": "containers", "Created": "created_since", "CreatedAt": "created_at",
        "CreatedSince": "created_since", "CreatedTime": "created_at", "Dangling": "dangling", "Digest": "digest",
        "History": "history", "ID": "id", "Id": "full_id", "IsDangling": "is_dangling",
        "IsManifestList": "is_manifest_list", "IsReadOnly": "is_read_only", "Labels": "labels", "Names": "names",
        "Os": "os", "ParentId": "parent_id", "ReadOnly": "is_read_only", "RepoDigests": "repo_digests",
        "RepoTags": "repo_tags", "Repository": "repository", "SharedSize": "shared_size", "Size": "size", "Tag": "tag",
        "VirtualSize": "virtual_size",
    }

    def __init__(self, row: Row, containers: int) -> None:
        self._row = row
        self._image = row.image
        self._config: dict[str, Any] | None = None
        self.containers = containers
        self.shared_size = 0

    def _document(self) -> dict[str, Any]:
        """The image's configuration, read when first needed; empty for manifest lists."""
        if self._config is None:
            self._config = self._image.config() if self._image.record.layer else {}
        return self._config

    @property
    def json(self) -> dict[str, Any]:
        """One element of ``images --format json``: what is empty is left out as Podman does."""
        image = self._image
        created = parse_ns(image.record.created)
        tree: dict[str, Any] = {
            "Id": image.id,
            "ParentId": self.parent_id,
            "RepoTags": None,
            "RepoDigests": self.repo_digests,
            "Size": image.size,
            "SharedSize": 0,
            "VirtualSize": image.size,
            "Labels": self.labels or None,
            "Containers": self.containers,
        }
        optional: dict[str, Any] = {
            "ReadOnly": image.record.read_only,
            "Dangling": not image.names,
            "Arch": self.arch,
            "Digest": image.digest,
            "History": list(image.record.names_history),
            "IsManifestList": self.is_manifest_list,
            "Names": image.names,
            "Os": self.os,
        }
        tree.update({key: value for key, value in optional.items() if value})
        tree["Created"] = created // SECOND
        tree["CreatedAt"] = format_ns(created // SECOND * SECOND)
        return tree

    def id(self) -> str:
        return self._row.id()

    def repository(self) -> str:
        return self._row.repository

    def tag(self) -> str:
        return self._row.tag

    def created_since(self) -> str:
        return self._row.created()

    def created_at(self) -> str:
        return str(GoTime(parse_ns(self._image.record.created) // SECOND * SECOND))

    def size(self) -> str:
        return self._row.size()

    def history(self) -> str:
        return self._row.history()

    def digest(self) -> str:
        return self._row.digest()

    def is_dangling(self) -> bool:
        return not self._image.names

    @property
    def dangling(self) -> bool:
        return not self._image.names

    @property
    def is_read_only(self) -> bool:
        return self._image.record.read_only

    @property
    def is_manifest_list(self) -> bool:
        return not self._image.record.layer and "manifest" in self._image.record.big_data_names

    @property
    def full_id(self) -> str:
        return self._image.id

    @property
    def names(self) -> list[str]:
        return self._image.names

    @property
    def repo_tags(self) -> list[str]:
        return [name for name in self._image.names if "@" not in name]

    @property
    def repo_digests(self) -> list[str]:
        return sorted(repo_digests(self._image.record))

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = (self._document().get("config") or {}).get("Labels") or {}
        return dict(labels) if labels else NilMap()

    @property
    def arch(self) -> str:
        return str(self._document().get("architecture") or "")

    @property
    def os(self) -> str:
        return str(self._document().get("os") or "")

    @property
    def parent_id(self) -> str:
        return ""

    @property
    def virtual_size(self) -> int:
        return self._image.size
