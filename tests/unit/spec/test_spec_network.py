"""The words of the network options."""

import pytest

from wherry.errors import InvalidArgument
from wherry.model.network import NetworkOptions
from wherry.spec import parse_network as words
from wherry.spec.addresses import ip, mac
from wherry.spec.container_spec import NetworkRequest


def _fail(function, *arguments):
    with pytest.raises(InvalidArgument) as caught:
        function(*arguments)
    return str(caught.value)


def _plain(request: NetworkRequest) -> dict:
    return request.to_json()


@pytest.mark.parametrize(("texts", "mode", "networks"), [
    (["none"], "none", []), (["host"], "host", []), (["private"], "private", []), (["default"], "private", []),
    ([""], "private", []), (["pod"], "pod", []), (["bridge"], "bridge", ["default"]), (["front"], "bridge", ["front"]),
    (["front,back"], "bridge", ["front", "back"]), (["front", "back"], "bridge", ["front", "back"]),
    (["container:web"], "container:web", []), (["ns:/run/netns/x"], "ns:/run/netns/x", []), (["pasta"], "pasta", []),
])
def test_network(texts, mode, networks):
    request = words.network(texts)
    assert request.mode == mode
    assert list(request.networks) == networks


def test_network_options():
    request = words.network([
        "front:ip=10.0.0.5,ip6=FD00::5,mac=AA-BB-CC-DD-EE-FF,alias=a,alias=b,interface_name=x,mtu=9"
    ])
    assert request.networks["front"] == NetworkOptions(
        static_ips=["10.0.0.5", "fd00::5"], aliases=["a", "b"], static_mac="aa:bb:cc:dd:ee:ff", interface_name="x",
        options={"mtu": "9"},
    )
    assert words.network(["bridge:alias=a"]).networks["default"].aliases == ["a"]
    assert words.network(["pasta:-t,80"]).options == {"pasta": ["-t", "80"]}
    assert words.network(["a", "b:alias=x"]).networks["b"].aliases == ["x"]


@pytest.mark.parametrize(("texts", "message"), [
    (["a", "none"], "can only set extra network names, selected mode none conflicts with bridge: invalid argument"),
    (["none", "a"], "cannot set multiple networks without bridge network mode, selected mode none: invalid argument"),
    (["ns:/x", "a"], "cannot set multiple networks without bridge network mode, selected mode path: invalid argument"),
    (["a", ":x"], "network name cannot be empty: invalid argument"),
    ([":ip=1.2.3.4"], "network name cannot be empty"),
    (["a:ip=x"], 'invalid option for network a: invalid ip address "x"'),
    (["bridge:ip=x"], 'invalid ip address "x"'),
    (["a:mac=x"], "invalid option for network a: address x: invalid MAC address"),
    (["a:alias="], "invalid option for network a: alias cannot be empty"),
    (["a:interface_name="], "invalid option for network a: interface_name cannot be empty"),
    (["container:"], "invalid config provided: namespace mode container requires a value"),
    (["ns:"], "invalid config provided: namespace mode path requires a value"),
])
def test_bad_network(texts, message):
    assert _fail(words.network, texts) == message


def test_dns():
    assert words.dns(["10.0.0.1", "FD00::1"]) == ["10.0.0.1", "fd00::1"]
    assert words.dns(["none"]) == ["none"]
    assert _fail(words.dns, ["x"]) == "x is not an ip address"
    assert _fail(words.dns, ["none", "1.1.1.1"]) == "none is not allowed to be specified with other DNS ip addresses"


@pytest.mark.parametrize("name", ["example.com", "a", "a-b.c1", "example.com.", "x" * 60 + ".org"])
def test_search_domain(name):
    assert words.dns_search([name]) == [name]


@pytest.mark.parametrize("name", ["1.2", "-a", "a-", "a..b", "a_b", "", "a b", "x." * 130 + "x"])
def test_bad_search_domain(name):
    assert _fail(words.dns_search, [name]) == f"{name} is not a valid domain"


def test_search_nothing():
    assert words.dns_search(["."]) == ["."]
    message = "cannot pass additional search domains when also specifying '.'"
    assert _fail(words.dns_search, [".", "a"]) == message


def test_hosts():
    given = ["web:10.0.0.1", "a;b:fd00::1", "host:host-gateway"]
    assert words.hosts(given) == given


@pytest.mark.parametrize(("text", "message"), [
    ("web", 'bad format for add-host: "web"'),
    (":1.2.3.4", 'bad format for add-host: ":1.2.3.4"'),
    ("a;;b:1.2.3.4", 'hostname in add-host "a;;b:1.2.3.4" is empty'),
    ("web:nowhere", 'invalid IP address in add-host: "nowhere"'),
])
def test_bad_hosts(text, message):
    assert _fail(words.hosts, [text]) == message


def test_addresses():
    assert words.address("10.0.0.1") == "10.0.0.1"
    assert _fail(words.address, "10.0.0.256") == '"10.0.0.256" is not an ip address'
    assert words.hardware_address("") == ""
    assert ip("fe80::1%eth0") == "" and ip("1.2.3") == "" and ip("a\0b") == ""


@pytest.mark.parametrize("text", ["aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF", "aabb.ccdd.eeff"])
def test_mac(text):
    assert mac(text) == "aa:bb:cc:dd:ee:ff"


@pytest.mark.parametrize("text", ["", "aa:bb", "aa:bb:cc:dd:ee:fg", "aabbccddeeff", "aa:bb:cc:dd-ee-ff"])
def test_bad_mac(text):
    assert _fail(mac, text) == f"address {text}: invalid MAC address"
