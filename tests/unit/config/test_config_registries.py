"""registries.conf: files, merging, matching, mirrors, short names, errors."""

from __future__ import annotations

from typing import Any

import pytest
from config_machine import Machine
from hypothesis import given
from hypothesis import strategies as st

from wherry.config.load import load as load_settings
from wherry.config.options import GlobalOptions
from wherry.config.registries import Mirror, Registries, Registry, Resolution, load
from wherry.config.tables import InvalidConfiguration
from wherry.errors import InvalidArgument
from wherry.model.reference import Reference, parse

DIGEST = "sha256:" + "a" * 64


def registries(machine: Machine, text: str | None = None, **options: Any) -> Registries:
    if text is not None:
        machine.write("etc/registries.conf", text)
    return load(load_settings(GlobalOptions(**options), places=machine.places), places=machine.places)


def test_without_any_file(machine: Machine) -> None:
    found = registries(machine)
    assert list(found.unqualified_search) == []
    assert found.short_name_mode == "permissive"
    assert list(found.credential_helpers) == ["containers-auth.json"]
    assert [e.reference for e in found.endpoints(parse("a.example/b:1"))] == [parse("a.example/b:1")]
    assert not found.blocked(parse("a.example/b"))


def test_drop_ins_replace_scalars_and_merge_tables(machine: Machine) -> None:
    machine.write("etc/registries.conf", """
unqualified-search-registries = ["one.example", "two.example"]
short-name-mode = "enforcing"
[[registry]]
location = "r.example"
insecure = true
[[registry]]
location = "s.example"
blocked = true
[aliases]
"a" = "one.example/a"
"b" = "one.example/b"
""")
    machine.write("etc/registries.conf.d/1.conf", """
unqualified-search-registries = ["three.example"]
credential-helpers = ["secretservice"]
[[registry]]
location = "r.example"
[aliases]
"a" = "three.example/a"
"b" = ""
""")
    machine.write("home/.config/containers/registries.conf.d/1.conf", 'short-name-mode = "disabled"\n')
    found = registries(machine)
    assert list(found.unqualified_search) == ["three.example"]
    assert found.search_origin == machine.path("etc/registries.conf.d/1.conf")
    assert found.short_name_mode == "disabled"
    assert list(found.credential_helpers) == ["secretservice"]
    assert [registry.prefix for registry in found.registries] == ["r.example", "s.example"]
    assert not found.insecure(parse("r.example/x")) and found.blocked(parse("s.example/x"))
    assert set(found.aliases) == {"a"}
    assert found.aliases["a"][0] == "three.example/a"


def test_a_users_file_hides_the_systems(machine: Machine) -> None:
    machine.write("etc/registries.conf", 'unqualified-search-registries = ["system.example"]\n')
    machine.write("etc/registries.conf.d/1.conf", 'short-name-mode = "disabled"\n')
    mine = machine.write("home/.config/containers/registries.conf", 'unqualified-search-registries = ["my.example"]\n')
    machine.write("home/.config/containers/registries.conf.d/1.conf", '[aliases]\n"a" = "my.example/a"\n')
    found = registries(machine)
    assert list(found.unqualified_search) == ["my.example"]
    assert (found.config_file, found.short_name_mode) == (mine, "permissive")
    assert "a" in found.aliases


def test_named_files(machine: Machine) -> None:
    machine.write("etc/registries.conf", 'unqualified-search-registries = ["system.example"]\n')
    env = machine.write("env.conf", 'unqualified-search-registries = ["env.example"]\n')
    flag = machine.write("flag.conf", 'unqualified-search-registries = ["flag.example"]\n')
    machine.environ["CONTAINERS_REGISTRIES_CONF"] = env
    assert list(registries(machine).unqualified_search) == ["env.example"]
    assert list(registries(machine, registries_conf=flag).unqualified_search) == ["flag.example"]
    with pytest.raises(InvalidConfiguration, match=r"missing.conf: no such file"):
        registries(machine, registries_conf=machine.path("missing.conf"))


def test_version_1_is_translated(machine: Machine) -> None:
    found = registries(machine, """
[registries.search]
registries = ["a.example", "b.example/"]
[registries.insecure]
registries = ["i.example"]
[registries.block]
registries = ["x.example"]
""")
    assert list(found.unqualified_search) == ["a.example", "b.example"]
    assert found.insecure(parse("i.example/x")) and not found.blocked(parse("i.example/x"))
    assert found.blocked(parse("x.example/x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[registries.search]\nregistries=["a"]\n[[registry]]\nlocation="b.c"\n', "mixing sysregistry v1/v2"),
        ('unqualified-search-registries=[]\n[registries.block]\nregistries=[]\n', "mixing sysregistry v1/v2"),
        ("[registries\n", "toml: "),
        ("registries = 3\n", 'TOML value has type int64; destination has type struct'),
        ('[[registry]]\nlocation="b.c"\ninsecure=3\n', 'last key "registry.insecure"): incompatible types: TOML value'),
        ("registry = 3\n", 'last key "registry"): incompatible types'),
        ("[[registry]]\ninsecure=true\n", "both location and prefix are unset"),
        ('[[registry]]\nprefix="b.c"\n', "location is unset and prefix is not in the format: *.example.com"),
        ('[[registry]]\nprefix="*.b.c/d"\n', "invalid prefix '*.b.c/d'"),
        ('[[registry]]\nlocation="https://b.c"\n', "invalid location 'https://b.c': URI schemes are not supported"),
        ('[[registry]]\nlocation="b.c"\n[[registry.mirror]]\ninsecure=true\n', "invalid location: cannot be empty"),
        ('[[registry]]\nlocation="b.c"\n[[registry.mirror]]\nlocation="m"\npull-from-mirror="x"\n',
         'unsupported pull-from-mirror value "x" for mirror "m"'),
        ('[[registry]]\nlocation="b.c"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="m"\n'
         'pull-from-mirror="all"\n', "at the same time"),
        ('short-name-mode="x"\n', 'invalid short-name mode: "x"'),
        ('unqualified-search-registries=["a.b/c"]\n', 'Invalid unqualified-search-registries entry "a.b/c"'),
        ('[aliases]\n"foo"="bar"\n', 'invalid alias "bar": must contain registry and repository'),
        ('[aliases]\n"foo:1"="a.b/bar"\n', 'invalid short name "foo:1": must not contain tag'),
        ('[aliases]\n"x.y/foo"="a.b/bar"\n', "must not contain registry"),
        ('[aliases]\n"foo"="a.b/bar:1"\n', 'invalid alias "a.b/bar:1": must not contain tag'),
        ('[aliases]\n"FOO"="a.b/bar"\n', 'invalid short name "FOO": '),
        ("aliases = 3\n", 'last key "aliases"): incompatible types'),
    ],
)
def test_errors_name_the_file(machine: Machine, text: str, message: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        registries(machine, text)
    start = f'loading registries configuration "{machine.path("etc/registries.conf")}": '
    assert str(caught.value).startswith(start)
    assert message in str(caught.value)


def test_version_1_is_refused_in_drop_ins(machine: Machine) -> None:
    path = machine.write("etc/registries.conf.d/1.conf", '[registries.block]\nregistries = ["a"]\n')
    with pytest.raises(InvalidConfiguration, match="version 1 format is not supported in drop-in") as caught:
        registries(machine)
    assert path in str(caught.value)


HOST = st.sampled_from(["a.example", "b.a.example", "c.b.a.example", "ba.example", "a.example:5000"])
PATH = st.lists(st.sampled_from(["x", "xy", "z"]), min_size=1, max_size=3).map("/".join)
PREFIX = st.one_of(HOST, st.builds("{}/{}".format, HOST, PATH), st.sampled_from(["*.a.example", "*.b.a.example"]))


def covers(prefix: str, name: str) -> bool:
    """Matching by parts of the name instead of by characters."""
    host, *path = name.split("/")
    if prefix.startswith("*."):
        return host.split(":")[0].split(".")[-len(prefix[2:].split(".")):] == prefix[2:].split(".") and (
            len(host.split(":")[0].split(".")) > len(prefix[2:].split("."))
        )
    wanted_host, *wanted_path = prefix.split("/")
    same_host = host == wanted_host or (not wanted_path and host.split(":")[0] == wanted_host)
    return same_host and path[: len(wanted_path)] == wanted_path


@given(prefixes=st.lists(PREFIX, max_size=6, unique=True), host=HOST, path=PATH)
def test_the_longest_matching_prefix_wins(prefixes: list[str], host: str, path: str) -> None:
    name = f"{host}/{path}"
    found = Registries(registries=[Registry(prefix=prefix) for prefix in prefixes]).find(parse(name))
    matching = [prefix for prefix in prefixes if covers(prefix, name)]
    if found is None:
        assert matching == []
    else:
        assert found.prefix in matching
        assert len(found.prefix) == max(map(len, matching))


@given(prefix=PREFIX, path=PATH, tag=st.sampled_from(["", "1", "latest"]), digest=st.sampled_from(["", DIGEST]))
def test_rewriting_keeps_what_the_prefix_does_not_cover(prefix: str, path: str, tag: str, digest: str) -> None:
    host = prefix.replace("*", "sub")
    reference = parse(f"{host}/{path}").replace(tag=tag, digest=digest)
    found = Registries(registries=[Registry(prefix=prefix, location="new.example/base")])
    (endpoint,) = found.endpoints(reference)
    assert endpoint.reference == Reference(domain="new.example", path=f"base/{path}", tag=tag, digest=digest)


def test_a_wildcard_keeps_the_port_and_without_location_the_name() -> None:
    found = Registries(registries=[Registry(prefix="*.a.example", location="m.example", insecure=True)])
    (endpoint,) = found.endpoints(parse("x.y.a.example:5000/z"))
    assert (str(endpoint.reference), endpoint.insecure) == ("m.example:5000/z", True)
    assert [str(e.reference) for e in found.endpoints(parse("a.example/z"))] == ["a.example/z"]
    found = Registries(registries=[Registry(prefix="*.a.example", insecure=True)])
    assert [str(e.reference) for e in found.endpoints(parse("b.a.example/z"))] == ["b.a.example/z"]


def test_mirrors_in_order_and_by_kind_of_reference(machine: Machine) -> None:
    found = registries(machine, """
[[registry]]
prefix = "r.example/team"
location = "real.example/t"
[[registry.mirror]]
location = "m1.example/r"
insecure = true
[[registry.mirror]]
location = "m2.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m3.example"
pull-from-mirror = "tag-only"
""")
    tagged = found.endpoints(parse("r.example/team/app:1"))
    assert [(str(e.reference), e.insecure, e.mirror) for e in tagged] == [
        ("m1.example/r/app:1", True, True), ("m3.example/app:1", False, True), ("real.example/t/app:1", False, False),
    ]
    digested = found.endpoints(parse(f"r.example/team/app@{DIGEST}"))
    assert [e.reference.domain for e in digested] == ["m1.example", "m2.example", "real.example"]
    assert [str(e.reference) for e in found.endpoints(parse("r.example/other:1"))] == ["r.example/other:1"]


def test_mirror_by_digest_only(machine: Machine) -> None:
    found = registries(machine, """
[[registry]]
location = "r.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.example"
""")
    assert found.registries[0].mirrors == [Mirror(location="m.example", pull_from="digest-only")]
    assert len(found.endpoints(parse("r.example/a:1"))) == 1
    assert len(found.endpoints(parse(f"r.example/a@{DIGEST}"))) == 2


def texts(resolution: Resolution) -> list[str]:
    return [str(candidate) for candidate in resolution.candidates]


SHORT = """
unqualified-search-registries = ["one.example", "docker.io"]
[aliases]
"tool" = "alias.example/x/tool"
"lib" = "docker.io/lib"
"""


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("a.example/b", ["a.example/b:latest"]),
        ("localhost/b:1", ["localhost/b:1"]),
        ("docker.io/b", ["docker.io/library/b:latest"]),
        ("tool:2", ["alias.example/x/tool:2"]),
        (f"tool@{DIGEST}", [f"alias.example/x/tool@{DIGEST}"]),
        ("lib", ["docker.io/library/lib:latest"]),
        ("b", ["one.example/b:latest", "docker.io/library/b:latest"]),
        ("x/b:1", ["one.example/x/b:1", "docker.io/x/b:1"]),
    ],
)
def test_what_names_stand_for(machine: Machine, name: str, candidates: list[str]) -> None:
    assert texts(registries(machine, SHORT).resolve_short_name(name)) == candidates


def test_resolution_says_why(machine: Machine) -> None:
    found = registries(machine, SHORT)
    origin = machine.path("etc/registries.conf")
    assert found.resolve_short_name("tool:2").description == f'Resolved "tool" as an alias ({origin})'
    searched = found.resolve_short_name("b")
    assert searched.description == f'Resolving "b" using unqualified-search registries ({origin})'
    assert searched.ambiguous
    assert found.resolve_short_name("a.example/b").description == ""


def test_nothing_to_resolve_with(machine: Machine) -> None:
    with pytest.raises(InvalidArgument) as caught:
        registries(machine).resolve_short_name("foo")
    assert str(caught.value) == (
        'short-name "foo" did not resolve to an alias and no unqualified-search registries are defined in '
        f'"{machine.path("etc/registries.conf")}"'
    )


@pytest.mark.parametrize(("mode", "refused", "ambiguous"), [
    ("permissive", False, True), ("disabled", False, False), ("enforcing", True, True),
])
def test_short_name_modes(machine: Machine, mode: str, refused: bool, ambiguous: bool) -> None:
    found = registries(machine, f'short-name-mode = "{mode}"\n' + SHORT)
    if refused:
        with pytest.raises(InvalidArgument, match="short-name resolution enforced but cannot prompt without a TTY"):
            found.resolve_short_name("b")
    else:
        assert len(found.resolve_short_name("b").candidates) == 2
    assert found.resolve_short_name("b", may_ask=True).ambiguous is ambiguous
    assert texts(found.resolve_short_name("tool")) == ["alias.example/x/tool:latest"]


def test_remembered_choices_win_over_aliases(machine: Machine) -> None:
    machine.write("var/cache/containers/short-name-aliases.conf", '[aliases]\n"tool" = "chosen.example/tool"\n')
    assert texts(registries(machine, SHORT).resolve_short_name("tool")) == ["chosen.example/tool:latest"]
    machine.uid = 1000
    assert texts(registries(machine).resolve_short_name("tool")) == ["alias.example/x/tool:latest"]
    machine.write("home/.cache/containers/short-name-aliases.conf", '[aliases]\n"tool" = "mine.example/tool"\n')
    assert texts(registries(machine).resolve_short_name("tool")) == ["mine.example/tool:latest"]


def test_names_of_local_images(machine: Machine) -> None:
    found = registries(machine, SHORT)
    assert [str(r) for r in found.local_candidates("tool")] == [
        "alias.example/x/tool:latest", "localhost/tool:latest", "one.example/tool:latest",
        "docker.io/library/tool:latest",
    ]
    assert [str(r) for r in found.local_candidates("a.example/b:1")] == ["a.example/b:1"]
