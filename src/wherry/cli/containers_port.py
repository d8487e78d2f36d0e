"""``wherry port``."""

from __future__ import annotations

from wherry.cli.containers_stop import ALL, LATEST
from wherry.cli.flags import UsageError
from wherry.errors import InvalidArgument, NotFound
from wherry.model.ids import short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.container import Container

PORT = (ALL, LATEST)


def port(call: Call) -> int:
    """Show where ports of a container are published."""
    flags, args = call.flags, call.args
    if flags.on("all") and args:
        raise UsageError("no arguments are needed with --all", see=False)
    if flags.on("all") and flags.on("latest"):
        raise UsageError("--all and --latest cannot be used together", see=False)
    if not (args or flags.on("all") or flags.on("latest")):
        raise UsageError("you must supply a running container name or id", see=False)
    if flags.on("all"):
        for summary in call.runtime.containers.list():
            _show(call, call.runtime.containers.get(summary.id), "", short(summary.id) + "\t")
        return 0
    if flags.on("latest"):
        from wherry.cli.targets import latest

        name, rest = latest(call.runtime), args
    else:
        name, rest = args[0], args[1:]
    _show(call, call.runtime.containers.get(name), _wanted(rest[0]) if rest else "", "")
    return 0


def _wanted(text: str) -> str:
    """``PORT[/PROTOCOL]`` with the protocol."""
    number, slash, protocol = text.partition("/")
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise InvalidArgument(f'strconv.Atoi: parsing "{number}": invalid syntax')
    return f"{int(number)}/{protocol if slash else 'tcp'}"


def _show(call: Call, container: Container, wanted: str, prefix: str) -> None:
    found = False
    for mapping in container.ports():
        for protocol in mapping.protocol.split(","):
            for step in range(mapping.range or 1):
                inner = f"{mapping.container_port + step}/{protocol}"
                outer = f"{mapping.host_ip or '0.0.0.0'}:{mapping.host_port + step}"
                if wanted == inner:
                    call.out(outer + "\n")
                    found = True
                elif not wanted:
                    call.out(f"{prefix}{inner} -> {outer}\n")
    if wanted and not found and container.ports():
        raise NotFound(f'failed to find published port "{wanted}"')
