"""What others add to the OCI specification of a starting container: CDI devices, and hooks of hooks.d directories."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, RuntimeFailed, from_os_error
from wherry.model import jsontext
from wherry.sys import log
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.spec.cdi import CdiDocument

#: Seconds a precreate hook may take that does not say how long (libpod).
HOOK_TIMEOUT = 10.0


def edit(held: LockedContainer, spec: dict[str, Any]) -> dict[str, Any]:
    """*spec* with the container's CDI devices and the hooks meant for it. Raises ``InvalidArgument``."""
    if held.config.cdi_devices:
        from wherry.engine.host import EngineLookup
        from wherry.spec.cdi import inject

        lookup = EngineLookup(held.runtime)
        documents = cdi_documents(held.runtime)
        inject(spec, held.config.cdi_devices, documents, lambda path: lookup.devices(path)[0])
    files = _files(held.runtime.settings.engine.hooks_dir, (".json",))
    return _with_hooks(held, spec, files) if files else spec


def _files(directories: Sequence[str], endings: tuple[str, ...]) -> dict[str, str]:
    """name -> path of the files in *directories*; a later directory's file takes the place of an earlier one's."""
    found = {}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise from_os_error(error, "reading directory") from None
        found.update({name: f"{directory}/{name}" for name in names if name.endswith(endings)})
    return found


# -- hooks ---------------------------------------------------------------------------------------------------------

def _with_hooks(held: LockedContainer, spec: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    from wherry.spec.hooks import PRECREATE, Hook

    before: list[dict[str, Any]] = []
    bind_mounts = bool(held.config.user_volumes)
    for name in sorted(files, key=str.lower):
        text = try_read_text(files[name])
        if text is None:
            continue
        try:
            document = jsontext.loads(text)
        except jsontext.JSONError as error:
            raise InvalidArgument(f'parsing hook "{files[name]}": {error}') from None
        hook = Hook(document, files[name])
        if not hook.matches(spec, has_bind_mounts=bind_mounts):
            continue
        if not os.path.exists(hook.entry["path"]):
            raise InvalidArgument(f'hook "{files[name]}": stat {hook.entry["path"]}: no such file or directory')
        log.debug(f"hook {files[name]} is for container {held.id}: {', '.join(hook.stages)}")
        for stage in hook.stages:
            if stage == PRECREATE:
                before.append(hook.entry)
            else:
                spec.setdefault("hooks", {}).setdefault(stage, []).append(hook.entry)
    for entry in before:
        spec = _filtered(entry, spec)
    return spec


def _filtered(entry: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """The specification a precreate hook makes of *spec*."""
    import subprocess

    words = entry.get("args") or [entry["path"]]
    environment = dict(variable.partition("=")[::2] for variable in entry.get("env") or ())
    try:
        done = subprocess.run(
            words, executable=entry["path"], env=environment, input=jsontext.dumps(spec).encode(),
            capture_output=True, timeout=entry.get("timeout") or HOOK_TIMEOUT, check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeFailed(f"precreate hook {entry['path']} did not end in time") from None
    except OSError as error:
        raise from_os_error(error, "running precreate hook") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeFailed(f"precreate hook {entry['path']}: exit status {done.returncode}: {said}")
    try:
        changed = jsontext.loads(done.stdout) if done.stdout.strip() else spec
    except jsontext.JSONError as error:
        raise RuntimeFailed(f"precreate hook {entry['path']} wrote no JSON: {error}") from None
    return dict(changed)


# -- devices -------------------------------------------------------------------------------------------------------

def cdi_documents(runtime: Runtime) -> list[CdiDocument]:
    """The CDI specifications of this host, those of a directory named later behind; broken ones are warned of."""
    from wherry.spec.cdi import CdiDocument

    found = []
    for directory in runtime.settings.engine.cdi_spec_dirs:
        for _name, path in sorted(_files((directory,), (".json", ".yaml")).items()):
            try:
                found.append(CdiDocument(_load(path), path))
            except InvalidArgument as error:
                log.warning(str(error))
    return found


def _load(path: str) -> Any:
    text = try_read_text(path) or ""
    try:
        if path.endswith(".json"):
            return jsontext.loads(text)
        import yaml

        return yaml.safe_load(text)
    except ValueError as error:
        raise InvalidArgument(f"CDI specification {path}: {error}") from None
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise InvalidArgument(f"CDI specification {path}: {error}") from None
        raise
