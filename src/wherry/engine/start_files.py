"""Files made for a starting container: passwd and group with added lines, time zone, .containerenv."""

from __future__ import annotations

import os

from wherry.engine import rootfs_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.locked import LockedContainer
    from wherry.model.container import ContainerConfig
    from wherry.spec.users import User

ZONES = "/usr/share/zoneinfo"


def passwd_and_group(held: LockedContainer, root: str) -> tuple[str, str, dict[str, str]]:
    """Text of passwd and group as the container will see them, and the files to mount if lines were added."""
    from wherry.spec import users

    config = held.config
    passwd = rootfs_files.read_text(root, "etc/passwd")
    group = rootfs_files.read_text(root, "etc/group")
    files: dict[str, str] = {}
    own = config.add_current_user_passwd_entry
    if not config.passwd or not (config.user or config.host_users or own):
        return passwd, group, files
    new_users, new_groups = _host_lines(held, passwd, group) if config.host_users or own else ("", "")
    workdir = config.spec["process"].get("cwd") or "/"
    if config.user:
        known = _ended(passwd) + new_users
        new_users += users.passwd_line(config.user, known, group, workdir=workdir, template=config.passwd_entry)
        new_groups += users.group_line(config.user, _ended(group) + new_groups, template=config.group_entry)
    if new_users and passwd:
        passwd = _ended(passwd) + new_users
        files["/etc/passwd"] = _write(held, "passwd", passwd)
    if new_groups and group:
        group = _ended(group) + new_groups
        files["/etc/group"] = _write(held, "group", group)
    return passwd, group, files


def _host_lines(held: LockedContainer, passwd: str, group: str) -> tuple[str, str]:
    """Lines for the host's users the container is to know: those of ``--hostuser`` and, with keep-id, the caller."""
    from wherry.errors import RuntimeFailed
    from wherry.spec import users
    from wherry.sys.files import try_read_text

    config = held.config
    host_passwd = try_read_text("/etc/passwd") or ""
    lines = group_lines = ""
    for name in config.host_users:
        user = users.find_user(host_passwd, name)
        if user is None:
            raise RuntimeFailed(
                f"creating temporary passwd file for container {held.id}: user: unknown user {name}"
            )
        lines += users.host_user_line(
            user, _ended(passwd) + lines, home=_home(config, user), template=config.passwd_entry
        )
    if config.add_current_user_passwd_entry:
        user = users.find_user(host_passwd, str(os.getuid()))
        if user is not None:
            lines += users.host_user_line(
                user, _ended(passwd) + lines, home=_home(config, user), template=config.passwd_entry
            )
            own_group = users.find_group(try_read_text("/etc/group") or "", str(os.getgid()))
            if own_group is not None:
                group_lines = users.host_group_line(own_group, user.name, group)
    return lines, group_lines


def _home(config: ContainerConfig, user: User) -> str:
    """The user's home directory if it, or one above it, is mounted in the container; else the working directory."""
    mounted = {mount["destination"] for mount in config.spec.get("mounts") or ()} | set(config.user_volumes)
    place = user.home
    while place not in ("", "/"):
        if place in mounted:
            return user.home
        place = os.path.dirname(place)
    return config.spec["process"].get("cwd") or "/"


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _write(held: LockedContainer, name: str, text: str) -> str:
    path = f"{held.state.run_dir}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode(errors="surrogateescape"))
    finally:
        os.close(fd)
    return path


def give_to_root(held: LockedContainer, files: Mapping[str, str]) -> None:
    """In a user namespace of its own, the container's root owns the files made for it."""
    from wherry.engine.volume_mounts import host_ids
    from wherry.spec.users import ExecUser

    config = held.config
    if not (config.id_mappings.uid_map or config.id_mappings.gid_map):
        return
    uid, gid = host_ids(config, ExecUser())
    for path in files.values():
        if path.startswith(held.state.run_dir + "/"):
            os.chown(path, uid, gid, follow_symlinks=False)


def _relays_notifications(held: LockedContainer) -> bool:
    if not (held.config.sdnotify_socket or held.runtime.settings.environment.notify_socket):
        return False
    from wherry.engine.notify import relays_to

    return bool(relays_to(held))


def bind_mounts(held: LockedContainer) -> dict[str, str]:
    """destination -> file on the host for everything but name resolution."""
    config = held.config
    files = {"/run/.containerenv": _write(held, ".containerenv", _container_env(held))}
    if config.timezone:
        zone = "/etc/localtime" if config.timezone == "local" else f"{ZONES}/{config.timezone}"
        with open(os.path.realpath(zone), "rb") as file:
            data = file.read()
        path = f"{held.state.run_dir}/localtime"
        with open(path, "wb") as file:
            file.write(data)
        files["/etc/localtime"] = path
    if _relays_notifications(held):
        from wherry.sys.files import make_dirs

        make_dirs(f"{config.static_dir}/notify")
        files["/run/notify"] = f"{config.static_dir}/notify"
    if config.secrets:
        from wherry.engine import secret_mounts

        files.update(secret_mounts.bind_mounts(config))
    return files


def _container_env(held: LockedContainer) -> str:
    """What privileged programs want to know of the engine around them; empty for ordinary containers, as Podman's."""
    config = held.config
    if not config.privileged:
        return ""
    import wherry

    rootless = 1 if held.runtime.settings.rootless else 0
    return (
        f'engine="wherry-{wherry.__version__}"\nname="{config.name}"\nid="{config.id}"\n'
        f'image="{config.rootfs_image_name}"\nimageid="{config.rootfs_image_id}"\nrootless={rootless}\n'
    )
