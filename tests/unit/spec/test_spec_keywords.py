"""Keywords of the Python API: each shape gives what the flag gives."""

import pytest

from wherry.errors import InvalidArgument
from wherry.model.network import NetworkOptions, PortMapping
from wherry.spec.container_spec import ContainerSpec, MountRequest, NetworkRequest
from wherry.spec.parse import from_flags
from wherry.spec.parse_keywords import from_keywords


@pytest.mark.parametrize(("keywords", "flags"), [
    ({"memory": "512m"}, {"memory": "512m"}),
    ({"memory": 1 << 20}, {"memory": "1m"}),
    ({"cpus": 1.5}, {"cpus": "1.5"}),
    ({"cpus": 2}, {"cpus": "2"}),
    ({"remove": True, "read_only": False}, {"rm": True, "read-only": False}),
    ({"name": None}, {}),
    ({"entrypoint": ["sh", "-c"]}, {"entrypoint": '["sh", "-c"]'}),
    ({"entrypoint": "sh"}, {"entrypoint": "sh"}),
    ({"cap_add": ["CHOWN", "KILL"]}, {"cap-add": ["CHOWN", "KILL"]}),
    ({"cap_add": "CHOWN"}, {"cap-add": ["CHOWN"]}),
    ({"environment": {"A": 1, "B": "x=y"}}, {"env": ["A=1", "B=x=y"]}),
    ({"environment": ["A=1"]}, {"env": ["A=1"]}),
    ({"environment": "A=1"}, {"env": ["A=1"]}),
    ({"labels": {"a": "x,y"}}, {"label": ["a=x,y"]}),
    ({"labels": ["a=1"]}, {"label": ["a=1"]}),
    ({"annotations": {"a": "b"}}, {"annotation": ["a=b"]}),
    ({"sysctls": {"net.a": 1}}, {"sysctl": ["net.a=1"]}),
    ({"ports": {"80/tcp": 8080}}, {"publish": ["8080:80/tcp"]}),
    ({"ports": {80: ("127.0.0.1", 8080)}}, {"publish": ["127.0.0.1:8080:80"]}),
    ({"ports": {80: ("::1", 8080)}}, {"publish": ["[::1]:8080:80"]}),
    ({"ports": {80: None}}, {"publish": ["80"]}),
    ({"ports": {80: [8080, 8081]}}, {"publish": ["8080:80", "8081:80"]}),
    ({"ports": [(8080, 80), ("127.0.0.1", 90, 91)]}, {"publish": ["8080:80", "127.0.0.1:90:91"]}),
    ({"ports": ["8080:80", 81]}, {"publish": ["8080:80", "81"]}),
    ({"ports": 80}, {"publish": ["80"]}),
    ({"volumes": ["/a:/b:ro"]}, {"volume": ["/a:/b:ro"]}),
    ({"volumes": {"/a": "/b"}}, {"volume": ["/a:/b"]}),
    ({"volumes": {"/a": {"bind": "/b", "mode": "ro,z"}}}, {"volume": ["/a:/b:ro,z"]}),
    ({"volumes": {"cache": {"bind": "/b"}}}, {"volume": ["cache:/b"]}),
    ({"mounts": [{"type": "bind", "source": "/a", "target": "/b", "read_only": True}]},
     {"mount": ["type=bind,source=/a,target=/b,ro"]}),
    ({"mounts": {"type": "tmpfs", "target": "/b", "tmpfs_size": 5, "noexec": True, "nodev": False}},
     {"mount": ["type=tmpfs,target=/b,tmpfs-size=5,noexec"]}),
    ({"mounts": "type=tmpfs,target=/b"}, {"mount": ["type=tmpfs,target=/b"]}),
    ({"tmpfs": {"/t": "size=1m", "/u": ""}}, {"tmpfs": ["/t:size=1m", "/u"]}),
    ({"tmpfs": "/t"}, {"tmpfs": ["/t"]}),
    ({"network": "none"}, {"network": ["none"]}),
    ({"network": ["a", "b:alias=x"]}, {"network": ["a", "b:alias=x"]}),
    ({"network": {"a": {"ip": "10.0.0.5", "aliases": ["x", "y"]}, "b": None}},
     {"network": ["a:ip=10.0.0.5,alias=x,alias=y", "b"]}),
    ({"extra_hosts": {"web": "10.0.0.1"}}, {"add-host": ["web:10.0.0.1"]}),
    ({"ulimits": {"nofile": 1024, "core": (0, -1)}}, {"ulimit": ["nofile=1024", "core=0:-1"]}),
    ({"health_command": ["curl", "-f"]}, {"health-cmd": '["curl", "-f"]'}),
    ({"health_interval": "30s"}, {"health-interval": "30s"}),
    ({"preserve_fd": [3, 4]}, {"preserve-fd": ["3,4"]}),
    ({"stop_signal": 9}, {"stop-signal": "9"}),
])
def test_same_as_flags(keywords, flags):
    assert from_keywords("app", **keywords) == from_flags(flags, "app")


def test_command():
    assert from_keywords("app", "echo 'a b'").command == ["echo", "a b"]
    assert from_keywords("app", ["echo", 1]).command == ["echo", "1"]


def test_a_comma_in_a_value_is_kept():
    assert from_keywords("app", cap_add=["a,b"]).cap_add == ["a,b"]
    spec = from_keywords("app", mounts=[{"type": "bind", "source": '/a,"b', "target": "/c"}], labels={"a": "1,2"})
    assert spec.mounts is not None and spec.mounts[0].source == '/a,"b'


def test_a_colon_in_a_path_is_kept():
    spec = from_keywords("app", volumes={"/a:b": "/c"})
    assert spec.mounts == [MountRequest(type="bind", source="/a:b", destination="/c", options=[], via="volume")]


def test_records_are_taken_as_they_are():
    mapping = PortMapping(container_port=80, host_port=81)
    mount = MountRequest(type="tmpfs", source="tmpfs", destination="/t")
    network = NetworkRequest(mode="bridge", networks={"a": NetworkOptions(aliases=["x"])})
    spec = from_keywords("app", ports=[mapping], mounts=mount, network=network)
    assert (spec.ports, spec.mounts, spec.network) == ([mapping], [mount], network)
    assert from_keywords("app", network={"a": NetworkOptions(aliases=["x"])}).network == network


def test_files_come_before_values_given_directly():
    spec = from_keywords("app", environment={"A": "direct"}, environment_files=["/e"], reader={"/e": "A=1\nB=2"}.get)
    assert spec.environment == {"A": "direct", "B": "2"}


def test_variable_of_the_caller():
    assert from_keywords("app", environment={"A": None, "B": None}, environ={"A": "1"}).environment == {"A": "1"}


@pytest.mark.parametrize(("name", "hint"), [
    ("volume", "did you mean 'volumes'?"), ("enviroment", "did you mean 'environment'?"), ("zzzzzz", ""),
])
def test_unknown_keyword(name, hint):
    with pytest.raises(TypeError) as caught:
        from_keywords("app", **{name: 1})
    assert str(caught.value).startswith(f"unexpected keyword argument '{name}'")
    assert str(caught.value).endswith(hint)


@pytest.mark.parametrize("keywords", [
    {"name": {"a": 1}}, {"environment": {"a=b": 1}}, {"environment": {"": 1}}, {"ports": {"x": 1}},
    {"volumes": {"/a": "b"}}, {"memory": "x"}, {"remove": True, "restart": "always"},
])
def test_bad_value(keywords):
    with pytest.raises(InvalidArgument):
        from_keywords("app", **keywords)


def test_nothing_is_nothing():
    assert from_keywords("app") == ContainerSpec(image="app", command=[])
