"""The id maps of a user namespace made for the container."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.container import IDMappings
from wherry.spec import idmaps
from wherry.spec.parse_values import quote, unsigned
from wherry.spec.resolve_namespaces import UserNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.model.mount import IDMap
    from wherry.spec.resolve_inputs import Inputs


def user_namespace(inputs: Inputs) -> UserNamespace:
    """The maps of the modes private, auto, keep-id and nomap."""
    mode, host = inputs.namespaces.user, inputs.host
    if mode.kind == "private":
        return UserNamespace(_private(inputs))
    if mode.kind == "keep-id":
        return _keep_id(inputs, mode.value)
    if mode.kind == "auto":
        idmaps.check_auto(mode.value, host.uid_map, host.gid_map)
        return UserNamespace(_mappings((), (), auto_userns=True))
    if not host.rootless:
        raise InvalidArgument("nomap is only supported in rootless mode")
    uids, gids = idmaps.no_map(host.uid_map), idmaps.no_map(host.gid_map)
    if not uids or not gids:
        raise InvalidArgument(
            "nomap requires additional UIDs or GIDs defined in /etc/subuid and /etc/subgid to function correctly"
        )
    return UserNamespace(_mappings(uids, gids))


def _mappings(uids: Sequence[IDMap], gids: Sequence[IDMap], auto_userns: bool = False) -> IDMappings:
    return IDMappings(
        host_uid_mapping=False, host_gid_mapping=False, uid_map=list(uids), gid_map=list(gids),
        auto_userns=auto_userns,
    )


def _private(inputs: Inputs) -> IDMappings:
    spec, host = inputs.spec, inputs.host
    uids: list[IDMap] = []
    gids: list[IDMap] = []
    if spec.sub_uid_name or spec.sub_gid_name:
        uids += _sub_ids(inputs, "uid", spec.sub_uid_name or spec.sub_gid_name or "")
        gids += _sub_ids(inputs, "gid", spec.sub_gid_name or spec.sub_uid_name or "")
    uid_words = spec.uid_map or spec.gid_map or ()
    gid_words = spec.gid_map or spec.uid_map or ()
    more_uids = idmaps.parse(uid_words, idmaps.UID, host.uid_map, rootless=host.rootless)
    more_gids = idmaps.parse(gid_words, idmaps.GID, host.gid_map, rootless=host.rootless)
    if host.rootless and more_uids and not more_gids:
        more_gids = idmaps.fill_gaps((), idmaps.available((), host.gid_map))
    elif host.rootless and more_gids and not more_uids:
        more_uids = idmaps.fill_gaps((), idmaps.available((), host.uid_map))
    uids += more_uids
    gids += more_gids
    if not uids and not gids:
        raise InvalidArgument("must provide at least one UID or GID mapping to configure a user namespace")
    return _mappings(uids, gids)


def _sub_ids(inputs: Inputs, kind: str, name: str) -> list[IDMap]:
    found = inputs.lookup.sub_ids(kind, name)
    if not found:
        raise InvalidArgument(f"no sub{kind} ranges found for user {quote(name)} in /etc/sub{kind}")
    return found


def _keep_id(inputs: Inputs, options: str) -> UserNamespace:
    """The caller's ids appear in the container as themselves, or as the ids the options name."""
    host = inputs.host
    words = idmaps.words_of(options, ("uid", "gid", "size"))
    numbers = {key: unsigned(values[-1], 32) for key, values in words.items()}
    if "size" in numbers and not host.rootless:
        raise InvalidArgument("cannot set max size for user namespace when not running rootless")
    uid = numbers.get("uid", host.uid if host.rootless else 0)
    gid = numbers.get("gid", host.gid if host.rootless else 0)
    if host.rootless:
        size = numbers.get("size", 0)
        mappings = _mappings(
            idmaps.keep_id(uid, host.uid_map, size), idmaps.keep_id(gid, host.gid_map, size)
        )
    else:
        mappings = _mappings(_identity(host.uid_map), _identity(host.gid_map))
    return UserNamespace(
        mappings, user=f"{uid}:{gid}", current_user_entry="uid" not in numbers and "gid" not in numbers
    )


def _identity(lines: Sequence[IDMap]) -> list[IDMap]:
    return [line.replace(host_id=line.container_id) for line in lines]
