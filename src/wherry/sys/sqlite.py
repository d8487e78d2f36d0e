"""SQLite's C module, without what it imports.

``import sqlite3`` takes 3 ms, the C module below it half of that, nearly all for ``functools`` and what that pulls in
(``collections``, ``operator``, ``reprlib``), of which it uses one function: ``lru_cache``, for its cache of statements.
So while it is imported a module with just that function stands in for ``functools``.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor, Error, IntegrityError, connect
    from typing import Any
else:

    def _import() -> Any:
        if "functools" in sys.modules or "_sqlite3" in sys.modules:
            import _sqlite3

            return _sqlite3
        try:
            from _functools import _lru_cache_wrapper
        except ImportError:
            import _sqlite3

            return _sqlite3

        def lru_cache(maxsize: int = 128, typed: bool = False) -> Any:
            return lambda function: _lru_cache_wrapper(function, maxsize, typed, tuple)

        stand_in = type(sys)("functools")
        stand_in.lru_cache = lru_cache
        sys.modules["functools"] = stand_in
        try:
            import _sqlite3
        finally:
            if sys.modules.get("functools") is stand_in:
                del sys.modules["functools"]
        return _sqlite3

    _module = _import()
    Connection = _module.Connection
    Cursor = _module.Cursor
    Error = _module.Error
    IntegrityError = _module.IntegrityError
    connect = _module.connect

__all__ = ["Connection", "Cursor", "Error", "IntegrityError", "connect"]
