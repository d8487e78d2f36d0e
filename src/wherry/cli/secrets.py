"""``wherry secret``."""

from __future__ import annotations

import sys
import time

from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import filters, finish
from wherry.errors import NotFound, WherryError, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.secret import Secret

CREATE = (
    Flag("driver", "d", default="file", metavar="driver", help="Where the data is kept: file, pass or shell"),
    Flag("driver-opts", many=True, split=True, metavar="key1=val1,key2=val2", help="Options of the driver"),
    Flag("env", kind="bool", help="The second argument is an environment variable, not a file"),
    Flag("ignore", kind="bool", help="Do not fail if a secret of that name exists"),
    Flag("label", "l", many=True, metavar="key=val1,key2=val2", help="Attach a label to the secret"),
    Flag("replace", kind="bool", help="Replace a secret of that name"),
)
INSPECT = (
    Flag("format", "f", metavar="format", help="Show as json or through a Go template"),
    Flag("pretty", kind="bool", help="Show as text"),
    Flag("showsecret", kind="bool", help="Show the data too"),
)
LS = (
    Flag("filter", "f", many=True, metavar="filter=value", help="Show secrets that match this condition"),
    Flag("format", metavar="format", help="Show through a Go template"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    Flag("quiet", "q", "bool", "Show ids only"),
)
RM = (
    Flag("all", "a", "bool", "Remove all secrets"),
    Flag("ignore", "i", "bool", "Missing secrets are no error"),
)
SHAPE = """*entities.SecretInfoReport{ID:str, CreatedAt:time, UpdatedAt:time, Spec:entities.SecretSpec{Name:str,
    Driver:entities.SecretDriverSpec{Name:str, Options:map[str]}, Labels:map[str]}, SecretData:str}"""
ROW = "*secrets.secretListReport{ID:str, Name:str, Driver:str, CreatedAt:str, UpdatedAt:str}"
HEADINGS = {"CreatedAt": "CREATED", "UpdatedAt": "UPDATED"}


def create(call: Call) -> int:
    """Store a secret and print its id."""
    from wherry.spec.parse_environment import labels
    from wherry.spec.parse_values import pairs

    flags = call.flags
    if flags.on("replace") and flags.on("ignore"):
        raise UsageError("--replace and --ignore cannot be used together", see=False)
    options = flags.many("driver-opts")
    secret = call.runtime.secrets.create(
        call.args[0],
        _data(call, call.args[1]),
        driver=flags.text("driver") if flags.given("driver") else "",
        driver_options=pairs(options, "must be formatted as key=value") if options else None,
        labels=labels(flags.many("label")),
        replace=flags.on("replace"),
        exist_ok=flags.on("ignore"),
    )
    call.out(secret.id + "\n")
    return 0


def _data(call: Call, source: str) -> bytes:
    if call.flags.on("env"):
        from wherry.config.environment import environ

        value = environ().get(source)
        if value is None:
            raise NotFound(f"cannot create store secret data: environment variable {source} is not set")
        return value.encode(errors="surrogateescape")
    if source == "-":
        if sys.stdin.isatty():
            raise UsageError("if `-` is used, data must be passed into stdin", see=False)
        return sys.stdin.buffer.read()
    try:
        with open(source, "rb") as file:
            return file.read()
    except OSError as error:
        raise from_os_error(OSError(error.errno, error.strerror), f"open {source}") from None


def exists(call: Call) -> int:
    """0 when there is such a secret, 1 when not."""
    return 0 if call.runtime.secrets.exists(call.args[0]) else 1


def _tree(call: Call, secret: Secret) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "ID": secret.id,
        "CreatedAt": secret.created_time,
        "UpdatedAt": secret.updated_time,
        "Spec": {
            "Name": secret.name,
            "Driver": {"Name": secret.driver, "Options": dict(secret.driver_options)},
            "Labels": dict(secret.labels),
        },
    }
    if call.flags.on("showsecret"):
        tree["SecretData"] = secret.data().decode(errors="replace")
    return tree


def inspect(call: Call) -> int:
    """Show everything about secrets but, unless it is asked for, the data."""
    from wherry.cli.listings import show_inspect

    trees = []
    errors: list[WherryError] = []
    for name in call.args:
        try:
            trees.append(_tree(call, call.runtime.secrets.get(name)))
        except NotFound as error:
            errors.append(NotFound(f"inspecting secret: {error}"))
        except WherryError as error:
            errors.append(error)
    if call.flags.on("pretty"):
        for tree in trees:
            call.out(_pretty(tree))
    else:
        show_inspect(call, "inspect", SHAPE, trees, 4)
    return finish(errors)


def _pretty(tree: dict[str, Any]) -> str:
    spec = tree["Spec"]
    lines = [
        ("ID", tree["ID"]),
        ("Name", spec["Name"]),
        ("Labels", "".join(f"\n - {key}={value}" for key, value in spec["Labels"].items())),
        ("Driver", spec["Driver"]["Name"]),
        ("Created at", tree["CreatedAt"]),
        ("Updated at", tree["UpdatedAt"]),
    ]
    if "SecretData" in tree:
        lines.append(("Data", tree["SecretData"]))
    return "".join(f"{name + ':':<19}{value}\n" for name, value in lines)


def ls(call: Call) -> int:
    """List secrets."""
    from wherry.cli.listings import show_list
    from wherry.cli.tables import table

    found = call.runtime.secrets.list(filters(call))
    if call.flags.on("quiet"):
        call.out("".join(secret.id + "\n" for secret in found))
        return 0
    moment = time.time_ns()
    rows = [_row(secret, moment) for secret in found]
    if call.flags.text("format"):
        show_list(call, "list", ROW, rows, HEADINGS)
        return 0
    headings = () if call.flags.on("noheading") else ("ID", "NAME", "DRIVER", "CREATED", "UPDATED")
    call.out(table([tuple(row.values()) for row in rows], headings))
    return 0


def _row(secret: Secret, moment: int) -> dict[str, str]:
    from wherry.cli.units import human_duration
    from wherry.model.timestamps import parse_ns

    return {
        "ID": secret.id,
        "Name": secret.name,
        "Driver": secret.driver,
        "CreatedAt": human_duration(moment - parse_ns(secret.created_time)) + " ago",
        "UpdatedAt": human_duration(moment - parse_ns(secret.updated_time)) + " ago",
    }


def rm(call: Call) -> int:
    """Remove secrets and print their ids."""
    everything = call.flags.on("all")
    if not call.args and not everything:
        raise UsageError(f"`{call.command}` requires one argument, or the --all flag", see=False)
    if call.args and everything:
        raise UsageError(f"`{call.command}` requires one argument, or the --all flag", see=False)
    collection = call.runtime.secrets
    errors: list[WherryError] = []
    for name in [secret.id for secret in collection.list()] if everything else call.args:
        try:
            call.out(collection.remove(name).id + "\n")
        except NotFound as error:
            if not call.flags.on("ignore"):
                errors.append(error)
        except WherryError as error:
            errors.append(error)
    return finish(errors)
