"""storage.conf: which file, expansion, driver options, command line and environment, choice of driver."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_machine import Machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.config import storage_options
from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.config.settings import StorageSettings
from wherry.config.tables import InvalidConfiguration
from wherry.errors import InvalidArgument
from wherry.sys import features


def storage(machine: Machine, **options: Any) -> StorageSettings:
    return load(GlobalOptions(**options), places=machine.places).storage


@pytest.fixture(autouse=True)
def modern_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "kernel_version", lambda: (6, 1))
    monkeypatch.setattr(features, "has_filesystem", lambda name: True)


def test_defaults_for_root(machine: Machine) -> None:
    found = storage(machine)
    assert found.graph_root == machine.path("var/lib/containers/storage")
    assert found.run_root == machine.path("run/containers/storage")
    assert (found.driver, found.rootless, found.mount_program) == ("overlay", False, "")
    settings = load(places=machine.places)
    assert settings.state_dir == found.graph_root + "/wherry"
    assert settings.run_dir == found.run_root + "/wherry"


def test_defaults_for_a_user(machine: Machine) -> None:
    machine.uid = 1000
    found = storage(machine)
    assert found.graph_root == machine.path("home/.local/share/containers/storage")
    assert found.run_root == machine.path("user-run/containers")
    assert found.rootless


def conf(root: str, extra: str = "") -> str:
    return f'[storage]\ngraphroot = "{root}"\nrunroot = "{root}-run"\n{extra}'


def test_the_first_file_is_the_only_one(machine: Machine) -> None:
    machine.write("share/storage.conf", conf("/share", 'driver = "vfs"\n'))
    assert (storage(machine).graph_root, storage(machine).driver) == ("/share", "vfs")
    path = machine.write("etc/storage.conf", conf("/etc-one"))
    found = storage(machine)
    assert (found.graph_root, found.run_root, found.driver) == ("/etc-one", "/etc-one-run", "overlay")
    assert found.config_file == path
    machine.write("home/.config/containers/storage.conf", conf("/mine"))
    assert storage(machine).graph_root == "/etc-one"
    machine.environ["CONTAINERS_STORAGE_CONF"] = machine.write("named.conf", conf("/named"))
    assert storage(machine).graph_root == "/named"


def test_a_named_file_must_exist(machine: Machine) -> None:
    machine.environ["CONTAINERS_STORAGE_CONF"] = machine.path("missing")
    with pytest.raises(InvalidConfiguration, match="missing: no such file or directory"):
        storage(machine)


def test_a_user_inherits_little_from_the_system_file(machine: Machine) -> None:
    machine.uid = 1000
    machine.write("etc/storage.conf", conf("/system", """
driver = "vfs"
transient_store = true
[storage.options]
additionalimagestores = ["/shared"]
pull_options = {enable_partial_images = "true"}
[storage.options.vfs]
ignore_chown_errors = "true"
"""))
    found = storage(machine)
    assert found.graph_root == machine.path("home/.local/share/containers/storage")
    assert found.run_root == machine.path("user-run/containers")
    assert (found.driver, found.ignore_chown_errors, found.transient_store) == ("vfs", True, False)
    assert list(found.additional_image_stores) == []
    assert found.pull_options == {"enable_partial_images": "true"}


def test_a_users_own_file_replaces_the_system_file(machine: Machine) -> None:
    machine.uid = 1000
    machine.write("etc/storage.conf", conf("/system", 'driver = "vfs"\n'))
    machine.write("home/.config/containers/storage.conf", '[storage]\nrunroot = "/my-run"\n')
    found = storage(machine)
    assert (found.driver, found.run_root) == ("overlay", "/my-run")
    assert found.graph_root == machine.path("home/.local/share/containers/storage")


def test_rootless_storage_path_is_expanded(machine: Machine) -> None:
    machine.uid = os.getuid() or 65534
    user = pwd.getpwuid(machine.uid).pw_name
    machine.write("etc/storage.conf", '[storage]\nrootless_storage_path = "/srv/$USER/${UID}$HOME/x"\n')
    assert storage(machine).graph_root == f"/srv/{user}/{machine.uid}{machine.path('home')}/x"


NAMES = st.text("ABC_z09", min_size=1, max_size=3).filter(lambda name: name not in ("UID", "HOME", "USER"))
PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.text("abc/-.é}", max_size=4)),
        st.tuples(st.just("plain"), NAMES),
        st.tuples(st.just("braces"), NAMES),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES, environ=st.dictionaries(NAMES, st.text("xyz/", max_size=4)))
def test_variables_in_paths(
    new_machine: Callable[[], Machine], pieces: list[tuple[str, str]], environ: dict[str, str]
) -> None:
    from wherry.config.cache import Watch
    from wherry.config.storage_conf import expand

    machine = new_machine()
    machine.environ = environ
    written, expected, previous = "", "", ""
    for kind, value in pieces:
        if kind == "text":
            value = "/" + value if previous == "plain" else value     # what follows $NAME must end the name
            written, expected = written + value, expected + value
        else:
            written += f"${{{value}}}" if kind == "braces" else f"${value}"
            expected += environ.get(value, "")
        previous = kind
    watch = Watch(machine.places)
    assert expand(watch, written, machine.places) == expected
    assert {value for kind, value in pieces if kind != "text"} == set(watch.variables)


def test_driver_options_and_their_old_place(machine: Machine) -> None:
    machine.write("etc/storage.conf", conf("/g", """
driver = "overlay2"
imagestore = "/images"
transient_store = true
[storage.options]
additionalimagestores = ["/a", "/b"]
additionallayerstores = ["/l:ref"]
mountopt = "old"
size = "5G"
disable-volatile = true
root-auto-userns-user = "sub"
auto-userns-min-size = 2048
[storage.options.overlay]
mountopt = "nodev,metacopy=on"
force_mask = "shared"
mount_program = "/usr/bin/fuse-overlayfs"
skip_mount_home = "true"
ignore_chown_errors = false
[storage.options.vfs]
ignore_chown_errors = "true"
"""))
    found = storage(machine)
    assert found.driver == "overlay"
    assert list(found.mount_options) == ["nodev", "metacopy=on"]
    assert (found.force_mask, found.mount_program) == ("0755", "/usr/bin/fuse-overlayfs")
    assert (found.skip_mount_home, found.ignore_chown_errors, found.size) == (True, False, "5G")
    assert (found.disable_volatile, found.transient_store, found.image_store) == (True, True, "/images")
    assert (list(found.additional_image_stores), list(found.additional_layer_stores)) == (["/a", "/b"], ["/l:ref"])
    assert (found.auto_userns_user, found.auto_userns_min_size, found.auto_userns_max_size) == ("sub", 2048, 65536)
    assert found.driver_options["overlay.mountopt"] == "nodev,metacopy=on"
    assert not any(key.startswith("vfs.") for key in found.driver_options)


OVERLAY_CONF = conf("/g", '[storage.options.overlay]\nmountopt = "nodev"\nforce_mask = "private"\n')


def test_storage_opts_add_and_win(machine: Machine) -> None:
    machine.write("etc/storage.conf", OVERLAY_CONF)
    machine.environ["STORAGE_OPTS"] = "overlay.mountopt=noexec,size=1G"
    found = storage(machine)
    assert (list(found.mount_options), found.size, found.force_mask) == (["noexec"], "1G", "0700")
    found = storage(machine, storage_opts=["mountopt=a", "overlay2.mountopt=b,c", "imagestore=/i,/j", "vfs.x=1"])
    assert (list(found.mount_options), found.size) == (["b", "c"], "1G")
    assert list(found.additional_image_stores) == ["/i", "/j"]


def test_an_empty_storage_opt_or_another_root_forgets_the_configured_ones(machine: Machine) -> None:
    machine.write("etc/storage.conf", OVERLAY_CONF)
    assert storage(machine, storage_opts=[""]).driver_options == {}
    found = storage(machine, root="/other", storage_opts=["mountopt=x"])
    assert found.driver_options == {"overlay.mountopt": "x"}
    assert (found.graph_root, found.run_root) == ("/other", "/g-run")


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["overlay.foo=bar"], "overlay: Unknown option overlay.foo"),
        (["nonsense"], "unable to parse key/value option: nonsense"),
        (["force_mask=rwx"], 'parsing "rwx": invalid syntax'),
        (["ignore_chown_errors=maybe"], 'strconv.ParseBool: parsing "maybe": invalid syntax'),
    ],
)
def test_bad_options(machine: Machine, opts: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        storage(machine, storage_opts=opts)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[storage\n", "decode configuration FILE: toml: "),
        ("storage = 3\n", 'last key "storage"): incompatible types'),
        ("[storage]\ndriver = 1\n", 'last key "storage.driver"): incompatible types: TOML value has type int64'),
        ("[storage.options]\nadditionalimagestores = 1\n", "storage.options.additionalimagestores"),
        ("[storage.options.overlay]\nmountopt = 3\n", "storage.options.overlay.mountopt"),
        ("[storage.options]\noverlay = 3\n", "storage.options.overlay"),
        ("[storage.options]\npull_options = 3\n", "storage.options.pull_options"),
        ('[storage]\ntransient_store = "maybe"\n', 'parsing "maybe": invalid syntax'),
        ('[storage.options]\nauto-userns-min-size = "1"\n', "storage.options.auto-userns-min-size"),
    ],
)
def test_errors_name_file_and_key(machine: Machine, text: str, message: str) -> None:
    path = machine.write("etc/storage.conf", text)
    with pytest.raises(InvalidArgument) as caught:
        storage(machine)
    assert message.replace("FILE", path) in str(caught.value)


def test_environment_and_option_choose_the_driver(machine: Machine) -> None:
    machine.write("etc/storage.conf", conf("/g", 'driver = "overlay"\n'))
    machine.environ["STORAGE_DRIVER"] = "vfs"
    assert storage(machine).driver == "vfs"
    assert storage(machine, storage_driver="overlay2").driver == "overlay"
    assert storage(machine, storage_driver="btrfs").driver == "btrfs"


def test_an_existing_store_keeps_its_driver(machine: Machine) -> None:
    root = Path(machine.path("g"))
    (root / "vfs-images").mkdir(parents=True)
    assert storage(machine, root=str(root)).driver == "vfs"
    (root / "overlay-images").mkdir()
    assert storage(machine, root=str(root)).driver == "overlay"


@pytest.mark.parametrize(
    ("uid", "kernel", "known", "program", "driver"),
    [
        (0, (5, 4), True, "", "overlay"),
        (0, (6, 1), False, "/usr/bin/fuse-overlayfs", "vfs"),
        (1000, (5, 13), True, "", "overlay"),
        (1000, (5, 12), True, "", "vfs"),
        (1000, (5, 12), True, "/usr/bin/fuse-overlayfs", "overlay"),
    ],
)
def test_a_new_store_gets_what_the_host_can_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, uid: int, kernel: tuple[int, int], known: bool, program: str,
    driver: str,
) -> None:
    machine.uid = uid
    monkeypatch.setattr(features, "kernel_version", lambda: kernel)
    monkeypatch.setattr(features, "has_filesystem", lambda name: known)
    monkeypatch.setattr(storage_options, "_fuse_overlayfs", lambda: program)
    found = storage(machine)
    assert found.driver == driver
    assert found.mount_program == (program if uid and driver == "overlay" and kernel < (5, 13) else "")


def test_paths_are_without_links_and_absolute(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.root / "real"
    real.mkdir()
    (machine.root / "link").symlink_to(real)
    monkeypatch.chdir(machine.root)
    found = storage(machine, root="link/root", runroot="relative", imagestore="link/images")
    assert found.graph_root == str(real / "root")
    assert found.run_root == str(machine.root / "relative")
    assert found.image_store == str(real / "images")


def test_image_store_must_be_another_directory(machine: Machine) -> None:
    with pytest.raises(InvalidArgument, match="must either be not set or be a different than graphroot"):
        storage(machine, root="/r", imagestore="/r/")
    assert storage(machine, root="/r", transient_store=True).transient_store


@pytest.mark.parametrize("text", ["1", "t", "TRUE", "True"])
def test_true(text: str) -> None:
    assert storage_options.parse_bool("x", text) is True
    assert storage_options.parse_bool("x", "") is False
