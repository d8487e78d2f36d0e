"""``wherry image scp``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.cli.progress import reporter
from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

SCP = (Flag("quiet", "q", "bool", "Show no progress"),)


def scp(call: Call) -> int:
    """Copy an image to or from the store of another user or machine."""
    from wherry.engine import image_scp

    places = [image_scp.parse(text) for text in call.args]
    source = places[0]
    if len(places) == 1 and not source.host and not source.user:
        raise InvalidArgument("must specify a destination: invalid argument")
    target = places[1] if len(places) > 1 else image_scp.Place()
    if len(places) > 1 and not any(place.host or place.user for place in places):
        raise InvalidArgument(f'"{call.args[1]}" is neither USER@localhost:: nor HOST::')
    loaded = image_scp.transfer(call.runtime, source, target, reporter(quiet=call.flags.on("quiet")))
    call.out(f"Loaded image: {loaded}\n")
    return 0
