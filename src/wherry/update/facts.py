"""What is known before anything is decided: containers, images, units, memory. Plain values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.model.record import EMPTY, Record, field
from wherry.model.update import BadDigest


class ContainerFacts(Record):
    """A container that may have to be updated, as it is now."""

    id: str = ""
    name: str = ""
    image: str = ""                     # as the user wrote it when the container was created
    image_id: str = ""
    image_digests: Sequence[str] = ()   # every manifest digest the image is known by
    image_size: int = 0                 # bytes
    image_created: str = ""
    policy: str = ""                    # value of the label
    authfile: str = ""                  # of the label, or the one asked for
    unit: str = ""                      # the systemd unit that runs it, or its pod
    own_unit: str = ""                  # the one that runs it alone, which its pod's restarts with it
    pod: str = ""                       # id
    pod_name: str = ""
    platform: str = ""                  # os/architecture[/variant] of its image
    requires: Sequence[str] = ()        # ids of containers it depends on
    labels: Mapping[str, str] = EMPTY
    has_health_check: bool = False
    health_time: int = 0                # ns within which the health check has made up its mind


class ImageFacts(Record):
    """What an image reference stands for now, in its registry or in the store."""

    digest: str = ""                    # of the manifest or index
    platform_digest: str = ""           # of the image in it for the platform; empty: not looked at, or no index
    id: str = ""                        # in the store (policy local)
    created: str = ""
    size: int = 0                       # bytes of its (compressed) layers
    labels: Mapping[str, str] = EMPTY
    verdict: str = ""                   # accepted or rejected by policy.json; empty: not asked
    problem: str = ""                   # why there is no digest, or why it was rejected


class UnitFacts(Record):
    """A systemd unit that runs containers."""

    name: str = ""
    after: Sequence[str] = ()           # units that are started before it
    load: str = ""                      # loaded, not-found, ...


class Facts(Record):
    """Everything :func:`wherry.update.plan.plan` needs."""

    containers: Sequence[ContainerFacts] = field(default=(), records=ContainerFacts)
    images: Mapping[str, ImageFacts] = field(default=EMPTY, table=ImageFacts)       # by Lookup.key
    units: Mapping[str, UnitFacts] = field(default=EMPTY, table=UnitFacts)
    bad: Sequence[BadDigest] = field(default=(), records=BadDigest)
    retry_bad: bool = False
    window: int = -1                    # ns asked for; -1: by label, setting or health check
    default_window: int = -1            # ns of the settings; -1: by the health check
    allowed_restarts: int = 0
    problems: Sequence[str] = ()        # met while gathering


class Lookup(Record):
    """A question about an image: asked once in a run, whoever wants to know."""

    policy: str = ""                    # registry or local
    reference: str = ""                 # registry: fully qualified, with its tag; local: as written
    authfile: str = ""
    platform: str = ""

    @property
    def key(self) -> str:
        return "\n".join((self.policy, self.reference, self.authfile, self.platform))
