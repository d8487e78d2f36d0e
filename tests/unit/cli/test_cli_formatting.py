"""``--format``, tables, sizes, durations, YAML and shapes."""

from __future__ import annotations

import pytest

from wherry.cli import units
from wherry.cli.formatting import camel_words, has_range, is_json, normalize, render_one, render_rows, title
from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.gotemplate.values import Struct
from wherry.cli.shapes import parse, wrap
from wherry.cli.tables import align, table
from wherry.cli.yamltext import dump

ROWS = [Struct("x.row", {"ID": "1", "Name": "long name here"}), Struct("x.row", {"ID": "22", "Name": "b"})]
HEADINGS = {"ID": "ID", "Name": "NAME"}


@pytest.mark.parametrize("text", ["json", " json ", "{{json}}", "{{ json }}", "{{json.}}", "\t{{ json. }}\n"])
def test_the_json_word(text: str) -> None:
    assert is_json(text)


@pytest.mark.parametrize("text", ["", "JSON", "{{json .}}", "{{json .ID}}", "jsonx", "json {{.ID}}", "{{}}"])
def test_what_is_no_json_word(text: str) -> None:
    assert not is_json(text)


def test_normal_form() -> None:
    assert normalize(r"a\tb\nc") == "a\tb\nc\n"
    assert normalize("a\n") == "a\n"
    assert normalize("table {{.A}} {{.B}}") == "{{.A}}\t{{.B}}\n"
    assert normalize("a b") == "a b\n"


def test_own_loops() -> None:
    assert has_range("x{{range .}}y{{end}}")
    assert has_range("{{ range . }}{{.}}{{ end -}}")
    assert not has_range("{{range .Names}}{{.}}{{end}}")
    assert not has_range("{{range .}}x")
    assert not has_range("{{.ID")


def test_rows_through_a_template() -> None:
    assert render_rows("x", "{{.ID}}:{{.Name}}", ROWS) == "1:long name here\n22:b\n"
    assert render_rows("x", "{{range .}}{{.ID}},{{end}}", ROWS) == "1,22,\n"
    assert render_rows("x", r"{{.ID}}\t{{.Name}}", ROWS[1:]) == "22\tb\n"
    assert render_rows("x", "{{.ID}}", []) == ""


def test_a_table_has_headings_and_aligned_columns() -> None:
    text = "table {{.ID}} {{.Name}} {{.ID}}"
    assert render_rows("x", text, ROWS, HEADINGS) == (
        "ID          NAME            ID\n1           long name here  1\n22          b               22\n"
    )
    assert render_rows("x", text, ROWS, HEADINGS, heading=False).startswith("1           long name")
    assert render_rows("x", "table {{.ID}} {{.Nope}}", [], HEADINGS) == "ID          <no value>\n"


def test_a_template_that_parses_only_as_it_was_written_is_taken_so() -> None:
    assert render_rows("x", '{{printf "a\\n"}}{{.ID}}', ROWS[:1]) == "a\n1"


def test_errors_name_the_command_and_the_place() -> None:
    with pytest.raises(TemplateError) as caught:
        render_rows("ps", "{{.Foo}}", ROWS)
    assert caught.value.message == (
        'template: ps:1:13: executing "ps" at <.Foo>: can\'t evaluate field Foo in type x.row'
    )
    with pytest.raises(TemplateError, match="version:1:2:"):
        render_one("version", "{{.Foo}}", ROWS[0])


def test_headings_come_from_field_names() -> None:
    assert camel_words("ImageID") == ["Image", "ID"]
    assert camel_words("PIDNS") == ["PIDNS"]
    assert camel_words("CPUPerc") == ["CPU", "Perc"]
    assert camel_words("created_At2x") == ["created", "_", "At", "2", "x"]
    assert title("CreatedAt") == "CREATED AT"


def test_alignment_follows_tabwriter() -> None:
    assert align("a\tb\nlonger than twelve\tc\n") == "a                   b\nlonger than twelve  c\n"
    assert align("a\tb\n\nc\td\n") == "a           b\n\nc           d\n"
    assert align("one cell\na\tb\n") == "one cell\na           b\n"
    assert align("a\tb\tc\nd\te\n") == "a           b           c\nd           e\n"
    assert align("xxxxxxxxxxxxx\ty\nplain\nx\ty\n") == "xxxxxxxxxxxxx  y\nplain\nx           y\n"
    assert align("é\tb\n") == "é           b\n"
    assert align("") == ""


def test_a_plain_table_equals_an_aligned_one() -> None:
    rows = [["a", "", "x"], ["some longer cell", "b", ""]]
    text = "\n".join("\t".join(row) for row in [["H1", "H2", "H3"], *rows]) + "\n"
    assert table(rows, ["H1", "H2", "H3"]) == align(text)
    assert table([], ["A", "B"]) == "A           B\n"
    assert table([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "Less than a second"), (0.999, "Less than a second"), (1, "1 second"), (59.9, "59 seconds"),
     (60, "About a minute"), (119, "About a minute"), (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"),
     (5399, "About an hour"), (5400, "2 hours"), (47 * 3600, "47 hours"), (48 * 3600, "2 days"),
     (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (59 * 86400, "8 weeks"), (60 * 86400, "2 months"),
     (729 * 86400, "24 months"), (730 * 86400, "2 years"), (-5, "Less than a second")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert units.human_duration(int(seconds * 1e9)) == text


def test_sizes_for_people() -> None:
    assert units.human_size(0) == "0B"
    assert units.human_size(999) == "999B"
    assert units.human_size(1987723) == "1.988MB"
    assert units.human_size(1987723, 3) == "1.99MB"
    assert units.human_size(1987723, 3, space=True) == "1.99 MB"
    assert units.human_size(999999, 3) == "1e+03kB"
    assert units.human_size(1e27) == "1000YB"
    assert units.binary_size(1536) == "1.5KiB"


def test_yaml() -> None:
    tree = {
        "b": [{"x": 1, "a": "y"}, "z"], "a": {"empty": {}, "none": None, "list": [], "yes": "true", "n": "12"},
        "text": "a: b", "lines": "one\ntwo", "on": True, "float": 1.5, "blank": "", "dash": "-x", "hash": "a #b",
    }
    assert dump(tree) == (
        'a:\n  empty: {}\n  list: []\n  n: "12"\n  none: null\n  "yes": "true"\n'.replace('"yes": ', "yes: ")
        + "b:\n- a: \"y\"\n  x: 1\n- z\nblank: \"\"\ndash: '-x'\nfloat: 1.5\nhash: 'a #b'\n"
        + "lines: |-\n  one\n  two\n" + "on: true\ntext: 'a: b'\n"
    )


def test_shapes_give_json_trees_their_go_side() -> None:
    shape = parse("""
        x.thing{ID=Id:str, Count:int, Labels:map[str], State:*x.state{Pid:int, Health:*x.health{Status:str}},
        Mounts:[]x.mount{Type:str}, Created:time, Any:any}
    """)
    value = wrap(shape, {"Id": "1", "Mounts": [{"Type": "bind"}], "State": {"Pid": 4}, "Extra": "yes"})
    text = "{{.ID}} {{.Id}} {{.Count}} {{.Labels}} {{.State.Pid}} {{.State.Health}} {{.Mounts}} {{.Extra}} {{.Created}}"
    assert render_one("x", text, value) == "1 1 0 map[] 4 <nil> [{bind}] yes 0001-01-01 00:00:00 +0000 UTC\n"
    assert render_one("x", "{{json .}}", value) == (
        '{"Id":"1","Mounts":[{"Type":"bind"}],"State":{"Pid":4},"Extra":"yes"}\n'
    )
    with pytest.raises(TemplateError, match=r"nil pointer evaluating \*x.health.Status"):
        render_one("x", "{{.State.Health.Status}}", value)
    with pytest.raises(ValueError, match="no such type"):
        parse("x{A:nonsense}")
