"""Applying a layer: a tar stream, compressed or not, turned into files beneath a directory in one pass.

Semantics are those of containers/storage (the names, owners, modes, times and attributes on disk are the same ones, see
:mod:`wherry.archive.unpack`), the tar-split beside the layer included.  Decompression and hashing run in a second
thread while this one makes the files.
"""

from __future__ import annotations

from wherry.archive.readahead import ReadAhead, SizeLimitExceeded
from wherry.archive.tarentry import PAX_GLOBAL
from wherry.archive.tarsplit import TarSplitWriter
from wherry.archive.tarstream import TarReader
from wherry.archive.tree import Tree, named
from wherry.archive.unpack import OVERLAY, PLAIN, REMOVE, ExtractOptions, Unpacker
from wherry.archive.whiteout import PREFIX
from wherry.errors import Corrupt, from_os_error
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.archive.compression import Readable
    from wherry.archive.tarentry import TarEntry

__all__ = ["OVERLAY", "PLAIN", "REMOVE", "Applied", "ExtractOptions", "SizeLimitExceeded", "apply"]


#: Members of one layer. Real ones have some hundred thousand at most; more is an attempt at filling memory and inodes.
MAX_MEMBERS = 1 << 22


class Applied(Record):
    """What was learnt about a layer while it was applied."""

    diff_id: str = ""               # sha256 of the uncompressed stream, trailing bytes included
    size: int = 0                   # its length in bytes
    uids: Sequence[int] = ()        # sorted, distinct, as in the tar; those of whiteouts left out
    gids: Sequence[int] = ()
    compression: str = ""           # as compression.detect() names it


def apply(stream: Readable, root: str, options: ExtractOptions) -> Applied:
    """Apply the layer read from *stream* (to its end) to the existing directory *root*.

    Raises :class:`Corrupt` for what is no tar archive, has two members of one name, too many, or some that cannot be
    made; :class:`SizeLimitExceeded` beyond ``options.max_size``; :class:`Unsupported` for sparse files and unknown
    types; :class:`NoSpace`, :class:`PermissionRefused` and the like for what the file system refuses;
    :class:`InvalidArgument` for an owner no id map covers; whatever *stream* raises.
    After an error *root* holds part of the layer, and there is no tar-split file.
    """
    try:
        with Tree(root) as tree, ReadAhead(stream, options.max_size) as source:
            uids, gids = _apply(source, tree, options)
            return Applied(
                diff_id=source.digest, size=source.size, uids=sorted(uids), gids=sorted(gids),
                compression=source.compression,
            )
    except OSError as error:
        raise from_os_error(named(error), "unpacking layer") from error


def _apply(source: ReadAhead, tree: Tree, options: ExtractOptions) -> tuple[set[int], set[int]]:
    split = TarSplitWriter(options.tar_split_path) if options.tar_split_path else None
    unpacker = Unpacker(tree, options)
    uids: set[int] = set()
    gids: set[int] = set()
    try:
        reader = TarReader(source)
        for number, entry in enumerate(reader):
            if number >= MAX_MEMBERS:
                raise Corrupt(f"layer has more than {MAX_MEMBERS} members")
            _apply_entry(entry, reader, unpacker, split)
            if not entry.name.rstrip(b"/").rpartition(b"/")[2].startswith(PREFIX):
                uids.add(entry.uid)
                gids.add(entry.gid)
        unpacker.finish()
        for data in reader.trailing():
            if split:
                split.segment(data)
        if split:
            split.close()
    except BaseException:
        if split:
            split.abort()
        raise
    return uids, gids


def _apply_entry(entry: TarEntry, reader: TarReader, unpacker: Unpacker, split: TarSplitWriter | None) -> None:
    if split:
        split.segment(entry.raw)
    stored = False
    crc = 0
    if entry.type != PAX_GLOBAL:
        try:
            stored, crc = unpacker.unpack(entry, reader.content())
        except OSError as error:
            raise from_os_error(named(error, entry.name), "unpacking layer") from error
    if not split:
        return
    if stored:
        split.file(entry.name, entry.size, crc)
        return
    # Content nobody will find on disk again (that of a whiteout, say) goes into the tar-split itself.
    split.file(entry.name, 0, 0)
    for piece in reader.content():
        split.segment(bytes(piece))
