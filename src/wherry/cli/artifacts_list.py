"""``wherry artifact ls`` and ``artifact inspect``."""

from __future__ import annotations

import time

from wherry.cli.flags import Flag
from wherry.model.digest import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.artifact import Artifact

INSPECT = (Flag("format", "f", default="json", metavar="format", help="Show as json or through a Go template"),)
LS = (
    Flag("format", help="Show through a Go template"),
    Flag("no-trunc", kind="bool", help="Show whole digests"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
)
_DESCRIPTOR = """MediaType=mediaType:str, Digest=digest:str, Size=size:int, URLs=urls:[]str,
    Annotations=annotations:map[str], Data=data:str, ArtifactType=artifactType:str"""
SHAPE = f"""*libartifact.Artifact{{Manifest:*manifest.OCI1{{SchemaVersion=schemaVersion:int, MediaType=mediaType:str,
    ArtifactType=artifactType:str, Config=config:v1.Descriptor{{{_DESCRIPTOR}}},
    Layers=layers:[]v1.Descriptor{{{_DESCRIPTOR}}}, Annotations=annotations:map[str]}}, Name:str, Digest:str,
    TotalSizeBytes:int}}"""
ROW = """artifact.artifactListOutput{Created:str, CreatedAt:str, Digest:str, Repository:str, Size:str, Tag:str,
    VirtualSize:str}"""
HEADINGS = {"CreatedAt": "CREATED AT", "VirtualSize": "VIRTUAL SIZE"}
_SHORT = 12


def inspect(call: Call) -> int:
    """Show everything about an artifact."""
    from wherry.cli.formatting import is_json
    from wherry.cli.listings import show_inspect
    from wherry.model.jsontext import dumps_pretty

    found = call.runtime.artifacts.get(call.args[0])
    text = call.flags.text("format")
    if not text.strip() or is_json(text):
        call.out(dumps_pretty(found.inspect(), 5) + "\n")
    else:
        show_inspect(call, "inspect", SHAPE, [{**found.inspect(), "TotalSizeBytes": found.size}])
    return 0


def ls(call: Call) -> int:
    """List artifacts."""
    from wherry.cli.listings import show_list
    from wherry.cli.tables import table

    moment = time.time_ns()
    rows = [_row(call, one, moment) for one in call.runtime.artifacts.list()]
    if call.flags.text("format"):
        show_list(call, "list", ROW, rows, HEADINGS)
        return 0
    columns = ("Repository", "Tag", "Digest", "Created", "Size")
    headings = () if call.flags.on("noheading") else tuple(map(str.upper, columns))
    call.out(table([tuple(row[name] for name in columns) for row in rows], headings))
    return 0


def _row(call: Call, artifact: Artifact, moment: int) -> dict[str, Any]:
    from wherry.cli.units import human_duration, human_size
    from wherry.errors import InvalidArgument
    from wherry.model import reference
    from wherry.model.timestamps import parse_ns

    try:
        named = reference.parse(artifact.name)
    except InvalidArgument:
        named = reference.Reference(path="<none>", tag="<none>")
    number = encoded(artifact.digest)
    created = artifact.created
    return {
        "Repository": named.repository,
        "Tag": named.tag,
        "Digest": number if call.flags.on("no-trunc") else number[:_SHORT],
        "Created": human_duration(moment - parse_ns(created)) + " ago" if created else "",
        "CreatedAt": created,
        "Size": human_size(artifact.size),
        "VirtualSize": str(artifact.size),
    }
