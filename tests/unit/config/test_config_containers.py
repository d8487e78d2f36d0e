"""containers.conf: order of files, merging, defaults that depend on the host, errors."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from config_machine import Machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.config.containers_conf import SECTIONS
from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.config.settings import SubnetPool
from wherry.config.tables import InvalidConfiguration
from wherry.errors import InvalidArgument

APPEND = ", {append=true}"
STAY = ", {append=false}"


def conf(value: str, section: str = "containers", key: str = "tz") -> str:
    return f"[{section}]\n{key} = {value}\n"


def test_defaults_without_any_file(machine: Machine) -> None:
    found = load(places=machine.places)
    assert found.containers.shm_size == "65536k"
    assert found.containers.default_capabilities[0] == "CHOWN"
    assert found.containers.pids_limit == 2048
    assert found.containers.seccomp_profile == ""
    assert (found.containers.log_driver, found.engine.events_logger) == ("k8s-file", "file")
    assert found.engine.cgroup_manager == "cgroupfs"
    assert found.engine.image_copy_tmp_dir == "/var/tmp"
    assert found.engine.runtimes["crun"][0] == "/usr/bin/crun"
    assert found.engine.stop_timeout == 10
    assert found.network.network_config_dir == machine.path("etc/networks")
    assert found.network.default_subnet_pools[0] == SubnetPool(base="10.89.0.0/16", size=24)
    assert found.secrets.driver == "file"
    assert found.config_files == []


def test_every_key_is_documented_by_a_field_and_has_a_usable_type() -> None:
    known = {"str", "bool", "bool | None", "int", "int | None", "Sequence[str]", "Sequence[SubnetPool]"}
    for record in SECTIONS.values():
        for key, wanted in record.__annotations__.items():
            assert wanted in known or wanted.startswith("Mapping[str, "), (record, key, wanted)


ROOT_ORDER = ["share/containers.conf", "etc/containers.conf", "etc/containers.conf.d/10.conf",
              "etc/containers.conf.d/20.conf"]
USER_ORDER = [
    *ROOT_ORDER,
    "etc/containers.rootless.conf",
    "etc/containers.rootless.conf.d/a.conf",
    "etc/containers.rootless.conf.d/1000/a.conf",
    "home/.config/containers/containers.conf",
    "home/.config/containers/containers.conf.d/a.conf",
]


@pytest.mark.parametrize(("uid", "order"), [(0, ROOT_ORDER), (1000, USER_ORDER)])
def test_later_files_win(machine: Machine, uid: int, order: list[str]) -> None:
    machine.uid = uid
    for name in USER_ORDER:
        machine.write(name, conf(f'["{name}"{APPEND}]', key="annotations"))
    machine.write("etc/containers.conf.d/ignored.txt", "not even TOML")
    found = load(places=machine.places)
    assert list(found.containers.annotations) == order
    assert list(found.config_files) == [machine.path(name) for name in order]


def test_xdg_config_home_is_the_users_directory(machine: Machine) -> None:
    machine.uid = 1000
    machine.environ["XDG_CONFIG_HOME"] = machine.path("xdg")
    machine.write("xdg/containers/containers.conf", conf('"UTC"', key="log_tag"))
    machine.write("home/.config/containers/containers.conf", conf('"other"', key="log_tag"))
    assert load(places=machine.places).containers.log_tag == "UTC"


def test_containers_conf_replaces_all_but_modules_and_override(machine: Machine) -> None:
    machine.write("etc/containers.conf", conf('["etc"]', key="annotations"))
    machine.environ["CONTAINERS_CONF"] = machine.write("only.conf", conf(f'["only"{APPEND}]', key="annotations"))
    machine.write("etc/containers.conf.modules/m.conf", conf('["module"]', key="annotations"))
    machine.environ["CONTAINERS_CONF_OVERRIDE"] = machine.write("last.conf", conf('["last"]', key="annotations"))
    found = load(GlobalOptions(modules=["m.conf"]), places=machine.places)
    assert list(found.containers.annotations) == ["only", "module", "last"]


@pytest.mark.parametrize("variable", ["CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"])
def test_a_named_file_must_exist(machine: Machine, variable: str) -> None:
    machine.environ[variable] = machine.path("missing.conf")
    with pytest.raises(InvalidConfiguration, match=r"CONTAINERS_CONF file: stat .*missing.conf: no such file"):
        load(places=machine.places)


def test_modules_are_searched_and_absolute_ones_taken(machine: Machine) -> None:
    machine.uid = 1000
    machine.write("share/containers.conf.modules/a.conf", conf('"share"', key="log_tag"))
    machine.write("etc/containers.conf.modules/a.conf", conf('"etc"', key="log_tag"))
    assert load(GlobalOptions(modules=["a.conf"]), places=machine.places).containers.log_tag == "etc"
    machine.write("home/.config/containers/containers.conf.modules/a.conf", conf('"home"', key="log_tag"))
    assert load(GlobalOptions(modules=["a.conf"]), places=machine.places).containers.log_tag == "home"
    absolute = machine.write("x/b.conf", conf('"absolute"', key="log_tag"))
    assert load(GlobalOptions(modules=["a.conf", absolute]), places=machine.places).containers.log_tag == "absolute"
    with pytest.raises(InvalidConfiguration, match="could not resolve module"):
        load(GlobalOptions(modules=["missing.conf"]), places=machine.places)


STEPS = st.lists(
    st.tuples(st.lists(st.text("abc=/ é", max_size=4), max_size=3), st.sampled_from(["", APPEND, STAY])), max_size=5
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_lists_replace_or_append_and_appending_lasts(
    new_machine: Callable[[], Machine], steps: list[tuple[list[str], str]]
) -> None:
    """The attribute decides for its own file and all later ones until another file sets it."""
    machine = new_machine()
    expected = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    appending = False
    for number, (items, attribute) in enumerate(steps):
        text = ", ".join([*(f'"{item}"' for item in items), *([attribute[2:]] if attribute else [])])
        machine.write(f"etc/containers.conf.d/{number}.conf", conf(f"[{text}]", key="env"))
        if attribute:
            appending = attribute == APPEND
        expected = [*expected, *items] if appending else list(items)
    assert list(load(places=machine.places).containers.env) == expected


def test_maps_are_added_to_by_key(machine: Machine) -> None:
    machine.write("share/containers.conf", '[engine.runtimes]\ncrun = ["/a"]\nmine = ["/b", "/c"]\n')
    machine.write("etc/containers.conf", '[engine.runtimes]\nmine = ["/d"]\n[engine.volume_plugins]\np = "/s"\n')
    found = load(places=machine.places).engine
    assert list(found.runtimes["crun"]) == ["/a"]
    assert list(found.runtimes["mine"]) == ["/d"]
    assert found.runtimes["runc"][0] == "/usr/bin/runc"
    assert found.volume_plugins == {"p": "/s"}


def test_nested_tables(machine: Machine) -> None:
    machine.write("etc/containers.conf", """
[engine.service_destinations.one]
uri = "ssh://host/run/podman.sock"
is_machine = true
new_key = 3
[secrets.opts]
root = "/x"
[farms]
default = "f"
[farms.list]
f = ["one"]
[network]
default_subnet_pools = [{base = "10.100.0.0/16", size = 28}]
""")
    found = load(places=machine.places)
    assert found.engine.service_destinations["one"].uri == "ssh://host/run/podman.sock"
    assert found.engine.service_destinations["one"].is_machine
    assert found.secrets.opts == {"root": "/x"}
    assert found.farms.list == {"f": ["one"]}
    assert found.network.default_subnet_pools == [SubnetPool(base="10.100.0.0/16", size=28)]


def test_values_of_each_kind(machine: Machine) -> None:
    machine.write("etc/containers.conf", """
[containers]
default_capabilities = ["CAP_chown", "net_raw"]
oom_score_adj = -5
init = true
[engine]
events_logfile_max_size = "1m"
runtime_supports_nocgroups = ["crun"]
image_copy_tmp_dir = "storage"
""")
    found = load(places=machine.places)
    assert list(found.containers.default_capabilities) == ["CHOWN", "NET_RAW"]
    assert found.containers.oom_score_adj == -5
    assert found.containers.init is True
    assert found.engine.events_logfile_max_size == 1_000_000
    assert list(found.engine.runtime_supports_nocgroup) == ["crun"]
    assert found.engine.image_copy_tmp_dir == machine.path("var/lib/containers/storage/tmp")


def test_unknown_keys_and_sections_are_ignored(machine: Machine) -> None:
    machine.write("etc/containers.conf", 'x = 1\n[containers]\nnew = 1\nlog_tag = "t"\n[future]\na = 1\n')
    assert load(places=machine.places).containers.log_tag == "t"


def test_other_programs_files_are_ignored(machine: Machine) -> None:
    machine.write("etc/libpod.conf", "this is not [TOML")
    assert load(places=machine.places).config_files == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[containers\n", "decode configuration FILE: toml: "),
        (conf('"yes"', key="init"), 'FILE: toml: (last key "containers.init"): incompatible types: TOML value has type '
                                    "string; destination has type boolean"),
        (conf('"yes"', key="env"), 'last key "containers.env"): incompatible types: TOML value has type string; '
                                   "destination has type slice"),
        (conf('["a", 1]', key="env"), "TOML value has type int64; destination has type string"),
        (conf("true", key="pids_limit"), "TOML value has type bool; destination has type integer"),
        (conf('["a", {prepend=true}]', key="env"), "unsupported inline table in a string array"),
        (conf('["a", {append="yes"}]', key="env"), "unsupported inline table in a string array"),
        (conf('"x"', "engine", "runtimes"), 'last key "engine.runtimes"): incompatible types'),
        (conf('{crun = "x"}', "engine", "runtimes"), 'last key "engine.runtimes.crun"): incompatible types'),
        (conf('"9"', key="umask"), "FILE: umask: not a valid umask 9"),
        (conf('"Nowhere/X"', key="tz"), "FILE: tz: find timezone Nowhere/X in paths: /usr/share/zoneinfo"),
        (conf('["nofoo=1"]', key="default_ulimits"), "unrecognized ulimit nofoo=1: invalid ulimit type: nofoo"),
        (conf('["nofile=x"]', key="default_ulimits"), "unrecognized ulimit nofile=x"),
        (conf('["nofile=5:4"]', key="default_ulimits"), "must be less than or equal to hard limit"),
        (conf('["/dev/x:y"]', key="devices"), "invalid device mode: y"),
        (conf('["/dev/x:/dev/y:rwx"]', key="devices"), "invalid device mode: rwx"),
        (conf('["dev"]', key="devices"), "invalid device specification: dev"),
        (conf("100", key="log_size_max"), "log size max should be negative or >= 8192"),
        (conf('"abc"', key="shm_size"), """invalid --shm-size abc, "invalid size: 'abc'\""""),
        (conf('"logs"', key="log_path"), 'log_path must be an absolute path - instead got "logs"'),
        (conf('"x"', key="interface_name"), "invalid interface_name option x"),
        (conf('"abc"', "engine", "volume_path"), 'volume path must be an absolute path - instead got "abc"'),
        (conf('"abc"', "engine", "static_dir"), 'static directory must be an absolute path - instead got "abc"'),
        (conf('"abc"', "engine", "tmp_dir"), 'temporary directory must be an absolute path - instead got "abc"'),
        (conf('"abc"', "engine", "image_volume_mode"), 'invalid image volume mode "abc" required value: '),
        (conf('"abc"', "engine", "pull_policy"), 'from containers.conf "abc": unsupported pull policy "abc"'),
        (conf('"abc"', "engine", "database_backend"), 'unsupported database backend: "abc"'),
        (conf('"abc"', "engine", "events_logger"), "unknown event logger type: abc"),
        (conf('"abc"', "engine", "cgroup_manager"), "unsupported value 'abc'"),
        (conf('"abc"', "engine", "events_logfile_max_size"), "invalid size: 'abc'"),
        (conf('{nope = ["--x"]}', "engine", "runtimes_flags"), "runtimes_flags: the OCI runtime 'nope' is not defined"),
        (conf('"nonsense"', "network", "default_subnet"), "invalid CIDR address: nonsense"),
        (conf('[{base="nonsense",size=24}]', "network", "default_subnet_pools"), "invalid CIDR address: nonsense"),
        (conf('[{base="10.0.0.0/8",size=40}]', "network", "default_subnet_pools"), "must be between 0-32"),
        (conf('[{base="10.0.0.0/16",size=8}]', "network", "default_subnet_pools"), "size is bigger than subnet"),
        (conf('["10.0.0.0/16"]', "network", "default_subnet_pools"), "incompatible types"),
    ],
)
def test_errors_name_file_and_key(machine: Machine, text: str, message: str) -> None:
    machine.write("share/containers.conf", conf('"fine"', key="log_tag"))
    path = machine.write("etc/containers.conf", text)
    with pytest.raises(InvalidConfiguration) as caught:
        load(places=machine.places)
    assert message.replace("FILE", path) in str(caught.value)
    assert path in str(caught.value)
    assert caught.value.exit_code == 125


def test_the_last_file_that_set_a_bad_value_is_named(machine: Machine) -> None:
    machine.write("share/containers.conf", conf('"x"', key="umask"))
    machine.write("etc/containers.conf", conf('"0022"', key="umask"))
    assert load(places=machine.places).containers.umask == "0022"
    bad = machine.write("etc/containers.conf.d/z.conf", conf('"y"', key="umask"))
    with pytest.raises(InvalidConfiguration, match="not a valid umask y") as caught:
        load(places=machine.places)
    assert bad in str(caught.value)


@pytest.mark.parametrize("value", ['["nofile=1024:4096", "core=-1", "nproc=5:-1"]', "[]"])
def test_good_ulimits(machine: Machine, value: str) -> None:
    machine.write("etc/containers.conf", conf(value, key="default_ulimits"))
    assert isinstance(load(places=machine.places).containers.default_ulimits, (list, tuple))


def test_good_devices_and_sizes(machine: Machine) -> None:
    machine.write("etc/containers.conf", """
[containers]
devices = ["/dev/fuse", "/dev/a:/dev/b:rw", "/dev/c:rwm", "vendor.com/class=all"]
shm_size = "2.5GiB"
tz = "local"
umask = "027"
log_size_max = -1
""")
    assert load(places=machine.places).containers.shm_size == "2.5GiB"


def test_an_unreadable_file_is_an_error(machine: Machine) -> None:
    (machine.root / "etc" / "containers.conf").mkdir()
    with pytest.raises(Exception, match=r"reading configuration.*etc/containers\.conf"):
        load(places=machine.places)


def test_systemd_and_journal_are_used_where_they_run(machine: Machine) -> None:
    machine.write("run/systemd/system/x", "")
    assert load(places=machine.places).engine.cgroup_manager == "systemd"
    assert load(places=machine.places).containers.log_driver == "k8s-file"
    machine.write("run/systemd/journal/socket", "")
    found = load(places=machine.places)
    assert (found.containers.log_driver, found.engine.events_logger) == ("journald", "journald")
    machine.write("etc/containers.conf", '[containers]\nlog_driver = "none"\n[engine]\ncgroup_manager = "cgroupfs"\n')
    found = load(places=machine.places)
    assert (found.containers.log_driver, found.engine.cgroup_manager) == ("none", "cgroupfs")


def test_a_journal_socket_without_systemd_is_not_used(machine: Machine) -> None:
    machine.write("run/systemd/journal/socket", "")
    assert load(places=machine.places).containers.log_driver == "k8s-file"


def test_seccomp_profile_of_the_administrator_comes_first(machine: Machine) -> None:
    share = machine.write("share/seccomp.json", "{}")
    assert load(places=machine.places).containers.seccomp_profile == share
    etc = machine.write("etc/seccomp.json", "{}")
    assert load(places=machine.places).containers.seccomp_profile == etc
    machine.write("etc/containers.conf", conf('"/x.json"', key="seccomp_profile"))
    assert load(places=machine.places).containers.seccomp_profile == "/x.json"


def test_tmpdir_is_where_images_are_copied(machine: Machine) -> None:
    machine.environ["TMPDIR"] = "/scratch"
    assert load(places=machine.places).engine.image_copy_tmp_dir == "/scratch"


def test_rootless_without_delegation_has_no_pids_limit(machine: Machine) -> None:
    machine.uid = 1000
    found = load(places=machine.places)
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert found.containers.pids_limit == 0
    assert found.network.network_config_dir == machine.path("home/.local/share/containers/storage/networks")
    machine.write("etc/containers.conf", conf("7", key="pids_limit"))
    assert load(places=machine.places).containers.pids_limit == 7


def test_options_win_over_files(machine: Machine) -> None:
    machine.write("etc/containers.conf", """
[engine]
runtime = "runc"
cgroup_manager = "systemd"
events_logger = "none"
namespace = "conf"
conmon_path = ["/x/conmon"]
[network]
network_config_dir = "/conf"
""")
    found = load(places=machine.places)
    assert found.engine.runtime == "runc"
    assert found.options.namespace == "conf"
    options = GlobalOptions(
        runtime="crun", cgroup_manager="cgroupfs", events_backend="file", namespace="given", conmon="/y/conmon",
        network_config_dir="/given", network_backend="netavark", tmpdir="/t", volumepath="/v", hooks_dir=["/h"],
        cdi_spec_dir=["/c"],
    )
    found = load(options, places=machine.places)
    engine = found.engine
    assert (engine.runtime, engine.cgroup_manager, engine.events_logger) == ("crun", "cgroupfs", "file")
    assert (engine.tmp_dir, engine.volume_path) == ("/t", "/v")
    assert (list(engine.hooks_dir), list(engine.cdi_spec_dirs)) == (["/h"], ["/c"])
    assert list(engine.conmon_path) == ["/y/conmon"]
    assert (found.network.network_config_dir, found.network.network_backend) == ("/given", "netavark")
    assert (found.options.namespace, engine.namespace) == ("given", "given")


@pytest.mark.parametrize(
    "options",
    [GlobalOptions(cgroup_manager="x"), GlobalOptions(events_backend="x"), GlobalOptions(network_backend="cni")],
)
def test_options_are_checked(machine: Machine, options: GlobalOptions) -> None:
    with pytest.raises(InvalidArgument, match="unsupported value"):
        load(options, places=machine.places)


def test_tables_of_our_own(machine: Machine) -> None:
    machine.write("etc/containers.conf", '[wherry.auto_update]\nkeep_images = 5\nnotify_command = ["mail", "me"]\n')
    found = load(places=machine.places).auto_update
    assert (found.keep_images, list(found.notify_command)) == (5, ["mail", "me"])
    assert (found.host_hooks, found.window) == (False, "")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("keep_images = -1", "keep_images: must not be negative: -1"),
        ('window = "soon"', "window: "),
        ('window = "-3s"', "window: must not be negative"),
        ('notify_url = "ftp://x"', 'notify_url: must be an http or https URL - instead got "ftp://x"'),
    ],
)
def test_bad_values_of_our_own_tables(machine: Machine, line: str, complaint: str) -> None:
    machine.write("etc/containers.conf", f"[wherry.auto_update]\n{line}\n")
    with pytest.raises(InvalidConfiguration, match=f"validating wherry.auto_update config .*{complaint}"):
        load(places=machine.places)
