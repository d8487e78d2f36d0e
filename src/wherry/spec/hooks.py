"""OCI hooks of hooks.d directories: which of them a container gets.

Format: oci-hooks(5), schema version 1.0.0.
"""

from __future__ import annotations

import re

from wherry.errors import InvalidArgument
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSION = "1.0.0"
#: A stage of libpod's: the hook gets the specification on standard input and writes the one to be used.
PRECREATE = "precreate"
_STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", PRECREATE)


class Hook:
    """One file of a hooks directory. Raises ``InvalidArgument`` for one that is not as the format wants it."""

    def __init__(self, document: Any, path: str) -> None:
        self._file = path
        if not isinstance(document, dict):
            raise self._bad("not a JSON object")
        if document.get("version") != VERSION:
            raise self._bad(f"unrecognized hook version: {quote(str(document.get('version', '')))}")
        hook, stages = document.get("hook"), document.get("stages")
        if not isinstance(hook, dict) or not hook.get("path"):
            raise self._bad("missing required property: hook.path")
        if not stages:
            raise self._bad("missing required property: stages")
        unknown = [stage for stage in stages if stage not in _STAGES]
        if unknown:
            raise self._bad(f"unknown stage {quote(str(unknown[0]))}")
        #: The entry of the OCI specification.
        self.entry: dict[str, Any] = {key: hook[key] for key in ("path", "args", "env", "timeout") if hook.get(key)}
        self.stages: list[str] = list(stages)
        self._when: Mapping[str, Any] = document.get("when") or {}

    def matches(self, spec: Mapping[str, Any], *, has_bind_mounts: bool) -> bool:
        """Is it for the container with this OCI specification? Every condition that is given must hold."""
        when = self._when
        held = 0
        if when.get("always") is not None:
            if not when["always"]:
                return False
            held += 1
        if when.get("hasBindMounts") is not None:
            if not (when["hasBindMounts"] and has_bind_mounts):
                return False
            held += 1
        annotations = spec.get("annotations") or {}
        for key, value in (when.get("annotations") or {}).items():
            if not any(self._search(key, name) and self._search(value, text) for name, text in annotations.items()):
                return False
            held += 1
        commands = when.get("commands") or ()
        if commands:
            command = ((spec.get("process") or {}).get("args") or [""])[0]
            return any(self._search(pattern, command) for pattern in commands)
        return held > 0

    def _search(self, pattern: str, text: str) -> bool:
        try:
            return re.search(pattern, text) is not None
        except re.error as error:
            raise self._bad(f"invalid pattern {quote(pattern)}: {error}") from None

    def _bad(self, text: str) -> InvalidArgument:
        return InvalidArgument(f"parsing hook {quote(self._file)}: {text}")
