"""The storage settings: what storage.conf gave, with the command line over it."""

from __future__ import annotations

import os

from wherry.config.settings import StorageSettings
from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.config.options import GlobalOptions
    from wherry.config.places import Places

#: Driver options a file may give, by driver; also allowed directly under [storage.options] for overlay and vfs.
OPTIONS = {
    "overlay": (
        "ignore_chown_errors", "inodes", "size", "force_mask", "mount_program", "mountopt", "skip_mount_home",
        "use_composefs",
    ),
    "vfs": ("ignore_chown_errors",),
    "btrfs": ("min_space", "size"),
    "zfs": ("fsname", "mountopt", "size"),
}
_IMAGE_STORES = ("imagestore", "additionalimagestore")
_MASKS = {"shared": "0755", "private": "0700"}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("", "0", "f", "F", "FALSE", "false", "False")


def settings(document: dict[str, Any], options: GlobalOptions, places: Places) -> StorageSettings:
    """The document with the command line over it."""
    graph_root = os.path.realpath(options.root or document["graph_root"])
    run_root = os.path.realpath(options.runroot or document["run_root"])
    image_store = options.imagestore or document.get("image_store", "")
    if image_store and os.path.realpath(image_store) == graph_root:
        raise InvalidArgument(
            f"imagestore {image_store} must either be not set or be a different than graphroot"
        )
    driver = options.storage_driver or document["driver"]
    driver = "overlay" if driver == "overlay2" else driver or _choose_driver(graph_root, places)
    stores, chosen = _split_options(driver, _effective_options(document["opts"], options))
    overlay = {key.partition(".")[2]: value for key, value in chosen.items()}
    return StorageSettings(
        driver=driver,
        graph_root=graph_root,
        run_root=run_root,
        image_store=os.path.realpath(image_store) if image_store else "",
        transient_store=options.transient_store or document.get("transient_store", False),
        additional_image_stores=[*document.get("image_stores", ()), *stores],
        additional_layer_stores=document.get("layer_stores", ()),
        mount_options=[option for option in overlay.get("mountopt", "").split(",") if option],
        mount_program=overlay.get("mount_program", "") or _default_mount_program(driver, places),
        force_mask=_mask(overlay.get("force_mask", "")),
        ignore_chown_errors=parse_bool(f"{driver}.ignore_chown_errors", overlay.get("ignore_chown_errors", "")),
        disable_volatile=document.get("disable_volatile", False),
        skip_mount_home=parse_bool(f"{driver}.skip_mount_home", overlay.get("skip_mount_home", "")),
        use_composefs=parse_bool(f"{driver}.use_composefs", overlay.get("use_composefs", "")),
        size=overlay.get("size", ""),
        inodes=overlay.get("inodes", ""),
        pull_options=document["pull_options"],
        auto_userns_user=document.get("userns_user", ""),
        auto_userns_min_size=document.get("userns_min", 1024),
        auto_userns_max_size=document.get("userns_max", 65536),
        driver_options=chosen,
        config_file=document["config_file"],
        rootless=places.rootless,
    )


def _effective_options(configured: Sequence[str], options: GlobalOptions) -> list[str]:
    """The configured options unless ``--root`` or ``--storage-opt ""`` forget them, then those of the command line."""
    given = list(options.storage_opts)
    if options.root or given == [""]:
        configured = ()
    return [*configured, *(option for option in given if option)]


def _split_options(driver: str, given: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Image stores, and the options of *driver* as full name -> value.

    A name may lack the driver's prefix.  Options of other drivers are left out, unknown ones refused.
    """
    stores: list[str] = []
    chosen: dict[str, str] = {}
    for option in given:
        name, equals, value = option.partition("=")
        if not equals:
            raise InvalidArgument(f"unable to parse key/value option: {option}")
        prefix, dot, key = name.lower().rpartition(".")
        if dot and prefix and prefix != driver and not (prefix == "overlay2" and driver == "overlay"):
            continue
        if key in _IMAGE_STORES:
            stores += value.split(",")
        elif key in OPTIONS.get(driver, (key,)):
            chosen[f"{driver}.{key}"] = value
        else:
            raise InvalidArgument(f"{driver}: Unknown option {name}")
    return stores, chosen


def _mask(text: str) -> str:
    text = _MASKS.get(text, text)
    if text and not set(text) <= set("01234567"):
        raise InvalidArgument(f'force_mask: strconv.ParseUint: parsing "{text}": invalid syntax')
    return text


def _choose_driver(graph_root: str, places: Places) -> str:
    """An existing store keeps its driver; a new one gets overlay where the kernel or a mount program allows it."""
    for name in ("overlay", "vfs"):
        if os.path.isdir(f"{graph_root}/{name}-images"):
            return name
    from wherry.sys.features import has_filesystem, kernel_version

    if not places.rootless:
        return "overlay" if has_filesystem("overlay") else "vfs"
    native = kernel_version() >= (5, 13) and has_filesystem("overlay")
    return "overlay" if native or _fuse_overlayfs() else "vfs"


def _default_mount_program(driver: str, places: Places) -> str:
    """Before Linux 5.13 an ordinary user's overlay needs fuse-overlayfs."""
    if driver != "overlay" or not places.rootless:
        return ""
    from wherry.sys.features import kernel_version

    return "" if kernel_version() >= (5, 13) else _fuse_overlayfs()


def _fuse_overlayfs() -> str:
    from wherry.sys.processes import find_program

    return find_program("fuse-overlayfs")


def parse_bool(name: str, text: str) -> bool:
    """A boolean as Go's strconv reads it. Raises :class:`InvalidArgument`."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidArgument(f'{name}: strconv.ParseBool: parsing "{text}": invalid syntax')
