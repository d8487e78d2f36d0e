"""Telling somebody: a command that gets the report on its input, an address it is posted to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wherry.config.environment import environ
from wherry.errors import RegistryError, WherryError
from wherry.model.jsontext import dumps
from wherry.model.timestamps import now
from wherry.sys import log

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.update.report import Result

#: Seconds either may take.
TIMEOUT = 60.0


def notify(runtime: Runtime, result: Result) -> None:
    """Tell those the settings name. A problem with that is a warning: the updates are done."""
    settings = runtime.settings.auto_update
    if not (settings.notify_command or settings.notify_url):
        return
    text = message(result).encode()
    for what, tell in ((settings.notify_command, _run), (settings.notify_url, _post)):
        if what:
            try:
                tell(runtime, text)
            except (WherryError, OSError) as error:
                log.warning(f"telling of auto-update: {error}")


def message(result: Result) -> str:
    """The report: host, time, a row for every container that was not left alone, errors."""
    return dumps({
        "Host": os.uname().nodename,
        "Time": now(),
        "Updates": [row.to_tree() for row in result.rows if row.updated != "false"],
        "Errors": list(result.errors),
    })


def _run(runtime: Runtime, text: bytes) -> None:
    from wherry.sys.processes import run

    command = list(runtime.settings.auto_update.notify_command)
    done = run(command, input=text, env=environ(), timeout=TIMEOUT)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        log.warning(f"telling of auto-update: {command[0]} ended with exit code {done.returncode}: {said}")


def _post(runtime: Runtime, text: bytes) -> None:
    from wherry.registry.http import HTTPClient
    from wherry.registry.proxies import Proxies

    url = runtime.settings.auto_update.notify_url
    http = HTTPClient(proxies=Proxies.from_environment(runtime.settings.environment.proxies), read_timeout=TIMEOUT)
    try:
        response = http.request("POST", url, headers={"Content-Type": "application/json"}, body=text)
        status = response.status
        response.close()
        if not 200 <= status < 300:
            raise RegistryError(f"{url} answered with status {status}")
    finally:
        http.close()
