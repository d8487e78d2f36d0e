"""Auto-update: what was done to a container, which digests proved bad, which images are kept to go back to."""

from __future__ import annotations

from wherry.model.record import Record

#: Results of an update, as the table of ``auto-update`` shows them.
UPDATED = "true"
CURRENT = "false"
PENDING = "pending"
FAILED = "failed"
ROLLED_BACK = "rolled back"

#: Labels of a container.
POLICY_LABEL = "io.containers.autoupdate"
AUTHFILE_LABEL = "io.containers.autoupdate.authfile"
WINDOW_LABEL = "io.containers.autoupdate.window"
RESTARTS_LABEL = "io.containers.autoupdate.restarts"
#: A shell command run inside the container, before and after the update; ``.host`` runs it on the host.
PRE_HOOK_LABEL = "io.containers.autoupdate.pre"
POST_HOOK_LABEL = "io.containers.autoupdate.post"
PRE_HOST_LABEL = "io.containers.autoupdate.pre.host"
POST_HOST_LABEL = "io.containers.autoupdate.post.host"
UNIT_LABEL = "PODMAN_SYSTEMD_UNIT"


class Update(Record):
    """One container in one run of auto-update that changed something, or tried to. Times are ns since the epoch."""

    seq: int = 0
    time_ns: int = 0                # when it began
    finished_ns: int = 0
    container: str = ""             # name
    container_id: str = ""          # before
    new_container_id: str = ""      # after; the same where nothing came of it
    unit: str = ""
    pod: str = ""                   # name
    image: str = ""                 # the reference that was followed
    policy: str = ""                # registry, local; "rollback" when a person went back
    old_image: str = ""             # ids
    new_image: str = ""
    old_digest: str = ""
    new_digest: str = ""
    result: str = ""                # one of the results above
    reason: str = ""                # why it failed or was rolled back
    down_ns: int = 0                # between the end of the old process and the start of the new one, if known


class BadDigest(Record):
    """A digest that was rolled back: not tried again until the image changes or somebody insists."""

    image: str = ""                 # reference
    digest: str = ""
    reason: str = ""
    time_ns: int = 0
    container: str = ""             # name of the one that showed it


class KeptImage(Record):
    """An image that was replaced and is kept for a while, so that one can go back to it."""

    image: str = ""                 # the reference it had
    id: str = ""
    digest: str = ""
    time_ns: int = 0                # when it was replaced
