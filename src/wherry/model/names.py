"""Random names for containers and pods that were given none: an adjective and a boatman's word."""

from __future__ import annotations

import os

_FIRST = (
    "able agile amber ample azure bold brave breezy bright brisk calm candid clear clever coastal cosy crisp daring "
    "deep deft eager early easy even fair fast fine firm fleet fond frank fresh gentle glad golden good grand green "
    "hardy hearty honest jolly keen kind large late level light lively loyal lucky mellow merry mild modest neat new "
    "nimble noble north novel open patient plain polite proud quick quiet rapid ready rich ripe rosy round royal "
    "salty sandy serene sharp silent silver simple sleek smooth snug sober solid south spry stable stark steady still "
    "stout sturdy sunny sure swift tall tame tidy tidal trim true trusty upbeat vast vivid warm wide wild windy wise "
    "witty young zesty"
).split()
_SECOND = (
    "albatross anchor ballast barge barque beacon berth boom bosun bow brig buoy cable canal capstan captain caravel "
    "channel clipper cockle compass coracle crew current cutter davit deck dhow dinghy dock dory ebb estuary fathom "
    "felucca ferry fjord flotilla frigate galley gannet gull halyard harbour haven hawser heron hull inlet jetty jib "
    "junk kayak keel ketch kittiwake lagoon lantern launch lighter lock longship lugger mast mooring narrows oar "
    "osprey otter outrigger packet paddle pennant petrel pier pilot plover port prow punt quay raft reef regatta "
    "rigging river rower rudder sail sampan schooner scull seal shallop shoal shore skiff skipper sloop sounding spar "
    "stern strait swell tack tender tern tide tiller trawler tug wake warp waterway wharf whaler wherry yacht yawl"
).split()


def random_name() -> str:
    """``adjective_noun``; the caller checks that it is free and draws again if not."""
    a, b, c, d = os.urandom(4)
    return f"{_FIRST[(a << 8 | b) % len(_FIRST)]}_{_SECOND[(c << 8 | d) % len(_SECOND)]}"
