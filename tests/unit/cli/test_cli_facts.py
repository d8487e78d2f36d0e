"""The command table against the facts about Podman's, and the generated page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

import compat  # noqa: E402
from wherry.cli.commands import COMMANDS, SHOWN, find  # noqa: E402
from wherry.cli.flags import Flag  # noqa: E402
from wherry.cli.globals import LEADING, PERSISTENT  # noqa: E402
from wherry.spec.options import BY_NAME, CSV  # noqa: E402

FACTS = compat.facts()
#: Podman path -> ours, for what wherry has.
SHARED = {path: ours for path, entry in FACTS["commands"].items() if (ours := compat.our_path(path, entry))}
#: Their flags are the option table, which has a test of its own.
FROM_OPTIONS = ("container create", "container run")


def kind_of(flag: Flag) -> str:
    """A flag's type in the notation of the facts; options split their comma-separated lines themselves."""
    option = BY_NAME.get(flag.name)
    same = option is not None and option.help == flag.help      # not another command's flag of the same name
    split = flag.split or (flag.many and same and option is not None and option.kind == CSV)
    return ("[,]" if split else "[]" if flag.many else "") + flag.kind


def width_free(kind: str) -> str:
    return kind.replace("int64", "int").replace("int32", "int")


def compare(flag: Flag | None, row: list[Any], where: str) -> None:
    name, short, kind, *_rest = row
    assert flag is not None, f"{where}: --{name} is missing"
    assert flag.name == name, f"{where}: --{name} is an alias here"
    assert flag.short == short, f"{where}: --{name}"
    assert width_free(kind_of(flag)) == width_free(kind), f"{where}: --{name}"
    assert set(flag.aliases) >= set(compat.spellings(row)[1:]), f"{where}: --{name}"


@pytest.mark.parametrize("path", [path for path, ours in SHARED.items() if ours not in FROM_OPTIONS])
def test_flags_are_podmans(path: str) -> None:
    flags, _refused = compat.our_flags(SHARED[path])
    rows = FACTS["commands"][path].get("flags", [])
    for row in rows:
        compare(flags.by_name.get(row[0]), row, path)
    extra = {flag.name for flag in flags.all() if not flag.hidden} - {row[0] for row in rows} - {"help"}
    assert extra == set(compat.OWN_FLAGS.get(path, ()))


@pytest.mark.parametrize("path", SHARED)
def test_every_spelling_is_known(path: str) -> None:
    for spelling in (path, *FACTS["commands"][path].get("aliases", ())):
        assert find(spelling) == SHARED[path]


@pytest.mark.parametrize("path", SHARED)
def test_flag_parsing_stops_where_podmans_does(path: str) -> None:
    stops = COMMANDS[SHARED[path]][4].startswith("!")
    assert stops == (FACTS["commands"][path].get("interspersed") is False)


def test_wherry_has_no_command_podman_does_not() -> None:
    """But for those that help does not list, which only wherry itself calls."""
    assert {path for path, row in COMMANDS.items() if row[2]} == {*SHARED.values(), *compat.OWN_COMMANDS}
    assert all(find(shown) for shown in SHOWN.values())


def test_global_flags_are_podmans() -> None:
    ours = {flag.name: flag for flag in (*PERSISTENT, *LEADING)}
    for row in FACTS["global"]:
        flag = ours.pop(row[0], None)
        compare(flag, [*row[:3]], "global")
    assert not ours


def test_the_page_is_up_to_date() -> None:
    """If this fails: scripts/compat.py --write."""
    assert compat.PAGE.read_text(encoding="utf-8") == compat.page()
