"""The bundle: the directory with the ``config.json`` an OCI runtime reads (OCI runtime spec, "Filesystem Bundle")."""

from __future__ import annotations

import os

from wherry.errors import from_os_error
from wherry.model.jsontext import dumps
from wherry.sys.files import atomic_write, make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def write(bundle: str, spec: Mapping[str, Any]) -> str:
    """Write *spec* as ``config.json`` into the directory *bundle*, which is made if need be; returns the file's path.

    The file is not forced to disk: it is written anew for every start.  Raises a
    :class:`wherry.errors.WherryError`.
    """
    path = os.path.join(bundle, "config.json")
    data = dumps(dict(spec)).encode("utf-8", "surrogateescape")
    try:
        make_dirs(bundle)
        atomic_write(path, data, 0o600, sync=False)
    except OSError as error:
        raise from_os_error(error, "writing the OCI runtime spec") from error
    return path
