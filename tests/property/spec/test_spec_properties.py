"""Properties of the parsers: what is printed is read back, what is read is in range, nothing else escapes."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidArgument
from wherry.model.mount import IDMap
from wherry.model.network import PortMapping
from wherry.spec import idmaps, parse_environment, parse_values, users
from wherry.spec.expand import expand
from wherry.spec.mount_options import check_volume, complete
from wherry.spec.parse import from_flags
from wherry.spec.parse_mounts import mounts, tmpfs, volumes
from wherry.spec.parse_network import network
from wherry.spec.parse_ports import expose, publish
from wherry.spec.resolve_network import join


def holds(*strategies):
    """``given`` with a fixed number of examples and no clock: the machine may be busy."""
    return lambda check: settings(max_examples=150, deadline=None)(given(*strategies)(check))


WORDS = st.text(string.ascii_letters + string.digits + "_-./", min_size=1, max_size=12)
UNITS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "KiB": 1 << 10, "m": 1 << 20, "G": 1 << 30, "t": 1 << 40}
PORTS = st.integers(1, 65535)


def _refuses_or_returns(function, *arguments):
    """Whatever the text, the only failure is the one meant for users."""
    try:
        return function(*arguments)
    except InvalidArgument as error:
        assert str(error)
        return None


@holds(st.integers(0, 1 << 20), st.sampled_from(sorted(UNITS)))
def test_sizes_are_number_times_unit(number, unit):
    assert parse_values.size(f"{number}{unit}") == number * UNITS[unit]
    assert parse_values.size(f"{number} {unit}" if unit else str(number)) == number * UNITS[unit]


@holds(st.text(max_size=8))
def test_any_text_as_size_number_or_duration(text):
    size = _refuses_or_returns(parse_values.size, text)
    assert size is None or 0 <= size < 1 << 63
    _refuses_or_returns(parse_values.integer, text)
    _refuses_or_returns(parse_values.number, text)
    _refuses_or_returns(parse_values.duration, text)
    _refuses_or_returns(parse_values.boolean, text)


@holds(st.integers(-(1 << 63), (1 << 63) - 1))
def test_integers_are_read_back(value):
    assert parse_values.integer(str(value)) == value
    assert parse_values.integer(hex(value)) == value


@holds(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms", "us", "ns"])), min_size=1,
                max_size=4))
def test_durations_add_up(parts):
    scale = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_values.duration(text) == sum(number * scale[unit] for number, unit in parts)
    assert parse_values.duration("-" + text) == -parse_values.duration(text)


@holds(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=6), min_size=1, max_size=5))
def test_quoted_fields_are_read_back(fields):
    line = ",".join('"' + field.replace('"', '""') + '"' for field in fields)
    assert parse_values.split_commas(line) == fields


@holds(PORTS, PORTS, st.integers(1, 50), st.sampled_from(["tcp", "udp", "sctp"]),
       st.sampled_from(["", "10.0.0.1", "::1"]))
def test_ports_are_read_back(host, container, count, protocol, address):
    count = min(count, 65536 - max(host, container))
    last = "" if count == 1 else f"-{host + count - 1}"
    text = f"{host}{last}:{container}{'' if count == 1 else f'-{container + count - 1}'}/{protocol}"
    if address:
        text = f"[{address}]:{text}" if ":" in address else f"{address}:{text}"
    assert publish([text]) == [PortMapping(
        host_ip=address, host_port=host, container_port=container, range=count, protocol=protocol
    )]


@holds(st.text("0123456789-:/[].abct", max_size=14))
def test_any_text_as_port(text):
    for mapping in _refuses_or_returns(publish, [text]) or ():
        assert 1 <= mapping.container_port <= 65535
        assert mapping.container_port + mapping.range - 1 <= 65535
    for port in _refuses_or_returns(expose, [text]) or ():
        assert 1 <= int(port) <= 65535


@holds(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60), st.integers(1, 5)), max_size=8))
def test_joined_ports_publish_the_same(rows):
    asked = [PortMapping(host_port=host, container_port=container, range=count) for host, container, count in rows]
    fixed = {
        (mapping.host_port + shift, mapping.container_port + shift)
        for mapping in asked if mapping.host_port for shift in range(mapping.range)
    }
    by_host: dict[int, set[int]] = {}
    for host, container in fixed:
        by_host.setdefault(host, set()).add(container)
    try:
        joined = join(asked)
    except InvalidArgument:
        assert any(len(containers) > 1 for containers in by_host.values())
        return
    assert all(len(containers) == 1 for containers in by_host.values())
    found = [
        (mapping.host_port + shift, mapping.container_port + shift)
        for mapping in joined if mapping.host_port for shift in range(mapping.range)
    ]
    assert sorted(found) == sorted(fixed)       # the same pairs, each once
    free = {mapping.container_port + shift for mapping in asked if not mapping.host_port
            for shift in range(mapping.range)}
    kept = [mapping.container_port + shift for mapping in joined if not mapping.host_port
            for shift in range(mapping.range)]
    assert sorted(kept) == sorted(free)


@holds(st.text(":/.,=abozZUrw", max_size=16))
def test_any_text_as_volume_or_mount(text):
    for function in (volumes, mounts, tmpfs):
        for request in _refuses_or_returns(function, [text]) or ():
            assert request.destination.startswith("/") or request.type == "glob"


@holds(st.lists(st.sampled_from("ro rw exec noexec suid dev z Z U bind rbind private rslave shared nocopy".split()),
                unique=True, max_size=5))
def test_options_that_pass_the_check_are_completed_once(options):
    try:
        words = check_volume(options)
        done = complete(words, tmpfs=False)
    except InvalidArgument:
        return
    assert done[: len(words)] == words
    assert len(set(done)) == len(done)
    assert {"bind", "rbind"} & set(done)
    assert len(set(done) & {"private", "rprivate", "shared", "rslave"}) == 1


@holds(st.text("abhost:,=.ip0123 ", max_size=20))
def test_any_text_as_network(text):
    request = _refuses_or_returns(network, [text])
    assert request is None or request.mode


@holds(st.dictionaries(WORDS.filter(lambda word: not word.startswith("#")), st.text(
    st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=10), max_size=6))
def test_env_files_are_read_back(table):
    text = "# variables\n\n" + "".join(f"{name}={value}\n" for name, value in table.items())
    assert parse_environment.parse_file(text, {}) == table


@holds(st.text(max_size=30))
def test_any_text_as_env_file(text):
    _refuses_or_returns(parse_environment.parse_file, text, {"A": "1"})


@holds(st.text("$A{}:-+'\"\\ x", max_size=12))
def test_any_text_expanded(text):
    _refuses_or_returns(expand, text, {"A": "1"})


@holds(st.lists(st.tuples(WORDS.filter(lambda word: not word.lstrip("+-").isdigit() and word[0] not in "#"),
                          st.integers(0, 100), st.integers(0, 100)), max_size=6),
       st.integers(0, 100))
def test_users_are_found_by_name_and_by_id(rows, wanted):
    passwd = "".join(f"{name}:x:{uid}:{gid}::/home/{name}:/bin/sh\n" for name, uid, gid in rows)
    for name, *_ in rows:
        first = next(row for row in rows if row[0] == name)
        found = users.resolve(name, passwd, "")
        assert (found.uid, found.gid, found.home) == (first[1], first[2], f"/home/{name}")
    found = users.resolve(str(wanted), passwd, "")
    assert found.uid == wanted
    listed = next((row for row in rows if row[1] == wanted), None)
    assert found.gid == (listed[2] if listed else 0)


@holds(st.text(max_size=60), st.text(max_size=60), st.text(max_size=8))
def test_any_text_as_passwd_and_group(passwd, group, spec):
    try:
        found = users.resolve(spec, passwd, group)
    except (users.UserNotFound, InvalidArgument):
        return
    if not spec:
        assert found.uid == 0


LINES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 10)), max_size=5)


@holds(LINES)
def test_replacing_map_lines_never_collide(rows):
    parent = [IDMap(container_id=0, host_id=0, size=1000)]
    words = [f"+{container}:{host}:{size}" for container, host, size in rows]
    lines = idmaps.parse(words, idmaps.UID, parent)
    inside = [line.container_id + shift for line in lines for shift in range(line.size)]
    outside = [line.host_id + shift for line in lines for shift in range(line.size)]
    assert len(set(inside)) == len(inside) and len(set(outside)) == len(outside)
    if rows:
        container, host, size = rows[-1]        # the last word holds in full
        table = dict(zip(inside, outside, strict=True))
        assert all(table[container + shift] == host + shift for shift in range(size))


@holds(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(0, 60))
def test_keep_id_uses_every_id_once(sizes, wanted):
    parent, at = [IDMap(container_id=0, host_id=1000, size=1)], 1
    for size in sizes:
        parent.append(IDMap(container_id=at, host_id=100000 + at, size=size))
        at += size
    lines = idmaps.keep_id(wanted, parent)
    outside = sorted(line.host_id + shift for line in lines for shift in range(line.size))
    assert outside == list(range(at))
    assert any(line.container_id == wanted and line.host_id == 0 and line.size == 1 for line in lines)


@holds(LINES.filter(bool), st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_split_maps_the_same(rows, sizes):
    parent, at = [], 0
    for size in sizes:
        parent.append(IDMap(container_id=at, host_id=1000 * (at + 1), size=size))
        at += size
    lines = [IDMap(container_id=container, host_id=host, size=size) for container, host, size in rows]
    done = idmaps.split(lines, parent)
    assert [(one.container_id + shift, one.host_id + shift) for one in done for shift in range(one.size)] == [
        (one.container_id + shift, one.host_id + shift) for one in lines for shift in range(one.size)
    ]


@holds(st.dictionaries(st.sampled_from(["memory", "publish", "env", "volume", "network", "ulimit", "restart", "user"]),
                       st.text(max_size=8), max_size=4))
def test_any_flags_give_a_request_or_an_error(values):
    given_values = {
        name: [text] if name in ("publish", "env", "volume", "network", "ulimit") else text
        for name, text in values.items()
    }
    _refuses_or_returns(from_flags, given_values, "image")
