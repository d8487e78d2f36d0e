"""The option table is complete and consistent: with Podman's flags, with ContainerSpec, with itself."""

import json
from pathlib import Path

import pytest

from wherry.spec import options
from wherry.spec.container_spec import ContainerSpec
from wherry.spec.options import ALL, BY_NAME, BY_SHORT, Option, flag_text, of_command

FLAGS = json.loads((Path(__file__).parents[2] / "data" / "podman-run-flags.json").read_text())
#: the command-line parser's own, the same for every command
EVERYWHERE = {"help"}
_KINDS = {
    "bool": "bool", "string": "string", "int": "int", "int64": "int", "uint": "uint", "uint64": "uint",
    "float64": "float",
}


def _kind(flag: dict) -> str:
    if flag.get("comma_split"):
        return "csv"
    return "list" if flag.get("repeatable") else _KINDS[flag["type"]]


@pytest.mark.parametrize("name", sorted(FLAGS.keys() - EVERYWHERE))
def test_flag_of_podman_is_in_the_table(name):
    flag, option = FLAGS[name], BY_NAME[name]
    assert option.name == name
    assert option.short == flag.get("short", "")
    assert sorted(option.aliases) == sorted(flag.get("aliases", ()))
    assert option.hidden == flag.get("hidden", False)
    assert list(option.commands) == flag["commands"]
    assert option.kind == _kind(flag)


def test_table_has_no_flag_of_its_own():
    assert {option.name for option in ALL} == FLAGS.keys() - EVERYWHERE


@pytest.mark.parametrize("option", ALL, ids=lambda option: option.name)
def test_row_is_complete(option: Option):
    assert option.field in ContainerSpec._keys
    assert option.keyword.isidentifier()
    assert option.help[0].isupper() and not option.help.endswith(".")
    assert option.kind == "bool" or option.metavar
    assert option.needs in ("", "environment", "files")


@pytest.mark.parametrize("option", [one for one in ALL if one.parse], ids=lambda option: option.name)
def test_parser_exists(option: Option):
    module, function = option.parse.split(":")
    found = getattr(__import__(f"wherry.spec.{module}", fromlist=[function]), function)
    assert callable(found)


def test_names_letters_and_keywords_are_unique():
    words = [word for option in ALL for word in (option.name, *option.aliases)]
    assert len(words) == len(set(words)) == len(BY_NAME)
    letters = [option.short for option in ALL if option.short]
    assert len(letters) == len(set(letters)) == len(BY_SHORT)
    keywords = [option.keyword for option in ALL]
    assert len(keywords) == len(set(keywords))


def test_every_field_but_those_without_flag_is_fed_by_an_option():
    without_flag = {"image", "command", "create_command", "storage_opts"}
    assert ContainerSpec._keys.keys() - without_flag == {option.field for option in ALL}


def test_fields_of_several_options_hold_lists_or_tables():
    """What two options feed must be something that can be added to."""
    shared = [option.field for option in ALL]
    assert {field for field in shared if shared.count(field) > 1} == {"labels", "environment", "mounts"}


def test_of_command():
    assert "detach" in {option.name for option in of_command("run")}
    names = [option.name for option in of_command("create")]
    assert "detach" not in names and "init-ctr" in names and names == sorted(names)


def test_flag_text():
    assert flag_text(BY_NAME["memory"]) == "-m, --memory"
    assert flag_text(BY_NAME["cpus"]) == "--cpus"


def test_kinds_are_those_of_the_module():
    kinds = {options.BOOL, options.STRING, options.INT, options.UINT, options.FLOAT, options.LIST, options.CSV}
    assert {option.kind for option in ALL} <= kinds
