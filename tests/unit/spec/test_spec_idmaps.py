"""User and group id maps."""

import pytest
from spec_world import ROOTLESS, WHOLE

from wherry.errors import InvalidArgument
from wherry.model.mount import IDMap
from wherry.spec import idmaps


def _lines(*rows):
    return [IDMap(container_id=container, host_id=host, size=size) for container, host, size in rows]


def _rows(lines):
    return [(line.container_id, line.host_id, line.size) for line in lines]


@pytest.mark.parametrize(("texts", "rows"), [
    (["0:1000:1"], [(0, 1000, 1)]),
    (["0:1000"], [(0, 1000, 1)]),
    (["0:1000:1", "1:2000:5"], [(0, 1000, 1), (1, 2000, 5)]),
    (["1:2000:5", "0:1999:1"], [(0, 1999, 6)]),                    # sorted, neighbours joined
    (["0:0:10:10:100:5"], [(0, 0, 10), (10, 100, 5)]),             # two triples in one word
    (["u0:1:1", "g0:9:9"], [(0, 1, 1)]),
    (["0:1:0", ""], []),
    (["0:0:100", "+10:500:10"], [(0, 0, 10), (10, 500, 10), (20, 20, 80)]),
    (["0:0:100", "+200:50:10"], [(0, 0, 50), (60, 60, 40), (200, 50, 10)]),
    (["0:0:100", "+10:50:10"], [(0, 0, 10), (10, 50, 10), (20, 20, 30), (60, 60, 40)]),
])
def test_parse(texts, rows):
    assert _rows(idmaps.parse(texts, idmaps.UID, WHOLE)) == rows


@pytest.mark.parametrize(("texts", "rows"), [
    (["0:@1000:1"], [(0, 0, 1)]),
    (["0:@100000:10"], [(0, 1, 10)]),
    (["+0:@1000:1"], [(0, 0, 65537)]),
    (["+100:@1000:1"], [(0, 1, 100), (100, 0, 1), (101, 101, 65436)]),
])
def test_parse_rootless(texts, rows):
    assert _rows(idmaps.parse(texts, idmaps.UID, ROOTLESS, rootless=True)) == rows


@pytest.mark.parametrize(("text", "message"), [
    ("0", 'initializing ID mappings: UID setting is malformed expected ["[+ug]uint32:[@]uint32[:uint32]"] : ["0"]'),
    ("0:1:2:3", 'initializing ID mappings: UID setting is malformed expected ["[+ug]uint32:[@]uint32[:uint32]"] : '
                '["0:1:2:3"]'),
    (":1:2", 'initializing ID mappings: UID setting is malformed expected ["[+ug]uint32:[@]uint32[:uint32]"] : '
             '[":1:2"]'),
    ("x0:1:2", "invalid mapping: [x0 1 2]. Unknown flag 120"),
    ("u:1:2", "invalid mapping: [u 1 2], parsing flags"),
    ("0::2", "invalid empty host id at UID map: [0  2]"),
    ("0:a:2", 'parsing id map value "a": strconv.ParseUint: parsing "a": invalid syntax'),
    ("0:1:-2", 'parsing id map value "-2": strconv.ParseUint: parsing "-2": invalid syntax'),
    ("4294967296:1:1", 'parsing id map value "4294967296": strconv.ParseUint: parsing "4294967296": '
                       "value out of range"),
    ("0:@5:1", "parent ID UID 5 is not mapped/delegated"),
])
def test_bad_parse(text, message):
    with pytest.raises(InvalidArgument) as caught:
        idmaps.parse([text], idmaps.UID, ROOTLESS)
    assert str(caught.value) == message


@pytest.mark.parametrize(("wanted", "maximum", "rows"), [
    (1000, 0, [(0, 1, 1000), (1000, 0, 1), (1001, 1001, 64536)]),
    (0, 0, [(0, 0, 1), (1, 1, 65536)]),
    (100000, 0, [(0, 1, 65536), (100000, 0, 1)]),
    (1000, 500, [(0, 1, 499), (1000, 0, 1)]),
    (10, 500, [(0, 1, 10), (10, 0, 1), (11, 11, 489)]),
])
def test_keep_id(wanted, maximum, rows):
    assert _rows(idmaps.keep_id(wanted, ROOTLESS, maximum)) == rows


def test_without_subordinate_ids():
    alone = ROOTLESS[:1]
    assert _rows(idmaps.keep_id(1000, alone)) == [(1000, 0, 1)]
    assert idmaps.no_map(alone) == []
    assert _rows(idmaps.no_map(ROOTLESS)) == [(0, 1, 65536)]


def test_available_and_fill():
    free = idmaps.available(_lines((0, 10, 5)), _lines((0, 0, 20)))
    assert free == [(0, 10), (15, 20)]
    assert _rows(idmaps.fill_gaps(_lines((3, 10, 5)), free)) == [(0, 0, 3), (3, 10, 5), (8, 3, 7), (15, 15, 5)]


def test_split():
    parent = _lines((0, 1000, 1), (1, 100000, 10))
    assert _rows(idmaps.split(_lines((0, 0, 11)), parent)) == [(0, 0, 1), (1, 1, 10)]
    assert _rows(idmaps.split(_lines((0, 5, 3)), parent)) == [(0, 5, 3)]
    beyond = _lines((0, 0, 12))
    assert idmaps.split(beyond, parent) == beyond


def test_to_oci():
    assert idmaps.to_oci(_lines((1, 2, 3))) == [{"containerID": 1, "hostID": 2, "size": 3}]


def test_options():
    assert idmaps.words_of("uid=1,gid=2,uid=3", ("uid", "gid")) == {"uid": ["1", "3"], "gid": ["2"]}
    for text, message in (("uid", 'invalid option specified: "uid"'), ("x=1", 'unknown option specified: "x"')):
        with pytest.raises(InvalidArgument) as caught:
            idmaps.words_of(text, ("uid",))
        assert str(caught.value) == message


def test_auto_options():
    idmaps.check_auto("size=10,uidmapping=0:@1000:1,gidmapping=5:5", ROOTLESS, ROOTLESS)
    for text in ("size=x", "uidmapping=1", "uidmapping=0:@7:1", "foo=1", "size"):
        with pytest.raises(InvalidArgument):
            idmaps.check_auto(text, ROOTLESS, ROOTLESS)
