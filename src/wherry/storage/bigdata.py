"""Big data: documents kept as files beside the records (``<driver>-images/<id>/<key>``).

File names follow containers/storage: a key of ``[a-z0-9.]`` is its own name, any other is ``=`` and its base64.
"""

from __future__ import annotations

import os
from binascii import b2a_base64

from wherry.errors import Corrupt, InvalidArgument, from_os_error
from wherry.model.digest import of_bytes
from wherry.sys.files import atomic_write, make_dirs, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.")


class Catalogue:
    """The three columns of a record that list its big data, ready to be changed."""

    def __init__(self, names: Sequence[str], sizes: Mapping[str, int], digests: Mapping[str, str]) -> None:
        self.names = list(names)
        self.sizes = dict(sizes)
        self.digests = dict(digests)

    def note(self, key: str, data: bytes) -> None:
        """List *key* with the size and digest of *data*; a new key goes to the end."""
        if key not in self.names:
            self.names.append(key)
        self.sizes[key] = len(data)
        self.digests[key] = of_bytes(data)


def file_name(key: str) -> str:
    """The file name for *key*; raises :class:`InvalidArgument` for a key that cannot be one."""
    if key and _PLAIN.issuperset(key) and key.strip("."):
        return key
    encoded = "=" + b2a_base64(key.encode(), newline=False).decode()
    if not key or "/" in encoded or len(encoded) > 255:
        raise InvalidArgument(f"{key!r} cannot be used as the name of a data item")
    return encoded


def write(directory: str, key: str, data: bytes) -> None:
    """Store *data* under *key* in *directory*, which is made if missing."""
    try:
        make_dirs(directory)
        atomic_write(os.path.join(directory, file_name(key)), data)
    except OSError as error:
        raise from_os_error(error, f"storing {key}") from None


def read(directory: str, key: str) -> bytes:
    """The data stored under *key*; raises :class:`Corrupt` when its file is missing."""
    try:
        return read_bytes(os.path.join(directory, file_name(key)))
    except FileNotFoundError:
        raise Corrupt(f"{key} of {os.path.basename(directory)} is missing from the store") from None
    except OSError as error:
        raise from_os_error(error, f"reading {key}") from None
