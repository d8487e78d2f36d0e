"""The template engine: what Go's text/template prints, and what it says when it cannot."""

from __future__ import annotations

import pytest

from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.gotemplate.gotime import GoTime
from wherry.cli.gotemplate.template import Template
from wherry.cli.gotemplate.values import MISSING, Nil, Struct, View, show, to_json, type_name


class Row(View):
    """A view with a field, methods and a method that takes an argument."""

    type_name = "x.row"
    go_names = {"ID": "id", "Label": "label", "Count": "count", "Tags": "tags"}

    def id(self) -> str:
        return "abc"

    def label(self, name: str) -> str:
        return f"<{name}>"

    @property
    def count(self) -> int:
        return 3

    @property
    def tags(self) -> list[str]:
        return ["one", "two"]


DATA = Struct(
    "x.data",
    {
        "Name": "web",
        "Count": 2,
        "Ratio": 0.5,
        "On": True,
        "Words": ["a", "b", "c"],
        "None": [],
        "Labels": {"z": "last", "a": "first"},
        "State": Struct("x.state", {"Pid": 7, "Status": "up"}, pointer=True),
        "Gone": Nil("x.health", ("Status",)),
        "Created": GoTime.parse("2026-11-21T23:46:22.062264098Z"),
        "Row": Row(),
    },
    keys={"name": "Name"},
)


def render(text: str, data: object = DATA) -> str:
    return Template("t", text).render(data)


def failure(text: str, data: object = DATA) -> str:
    with pytest.raises(TemplateError) as caught:
        render(text, data)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # fields, methods, maps
        ("{{.Name}} {{.name}} {{.State.Pid}}", "web web 7"),
        ("{{.Row.ID}} {{.Row.Count}} {{.Row.Label \"k\"}} {{\"k\" | .Row.Label}}", "abc 3 <k> <k>"),
        ("{{.Labels.a}} {{.Labels.nope}} {{.Labels.nope.deeper}}", "first <no value> <no value>"),
        ("{{.Labels}} {{.Words}} {{.State}} {{.Gone}} {{.On}}", "map[a:first z:last] [a b c] {7 up} <nil> true"),
        ("{{.Created}} {{.Created.Unix}} {{.Created.Year}}", "2026-11-21 23:46:22.062264098 +0000 UTC 1795304782 2026"),
        ('{{.Created.Format "2006-01-02 15:04:05.000 Mon Jan _2 3PM"}}', "2026-11-21 23:46:22.062 Sat Nov 21 11PM"),
        # literals
        (r'{{"a\tb\u00e9\x41\101"}}{{`r\n`}}{{'"'x'"r'}}', "a\tbéAAr\\n120"),
        ("{{1e3}} {{0x1F}} {{1_000}} {{3.0}} {{1e21}} {{.5}} {{-3}} {{+3}}", "1000 31 1000 3 1e+21 0.5 -3 3"),
        ("{{true}} {{1.5e300}} {{123456789.0}} {{0.00001}}", "true 1.5e+300 1.23456789e+08 1e-05"),
        # text around actions
        ("a {{- 1 -}} b{{/* no */}}c{{- /* no */ -}}  d", "a1bcd"),
        # variables and pipelines
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}} {{$.Name}}", "2 web"),
        ('{{"abc" | len}} {{"x" | print | upper | printf "%q"}} {{(print 1 2)}}', '3 "X" 1 2'),
        ("{{with $y := .Name}}{{$y}}{{.}}{{end}}", "webweb"),
        # control
        ("{{if eq .Count 3}}1{{else if .On}}2{{else}}3{{end}}", "2"),
        ("{{with .None}}x{{else}}none{{end}}", "none"),
        ("{{range .Words}}[{{.}}]{{end}}{{range .None}}x{{else}}empty{{end}}", "[a][b][c]empty"),
        ("{{range $i, $w := .Words}}{{$i}}{{$w}}{{end}}", "0a1b2c"),
        ("{{range $w := .Words}}{{$w}}{{$.Count}}{{end}}", "a2b2c2"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v};{{end}}".replace("{{$v}", "{{$v}}"), "a=first;z=last;"),
        ("{{range .Words}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .Words}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ('{{define "T"}}[{{.}}]{{end}}{{template "T" 5}}{{template "T"}}', "[5][<no value>]"),
        ('{{block "B" .Name}}<{{.}}>{{end}}', "<web>"),
        # functions
        ('{{and 1 0}} {{or "" "x"}} {{not 0}} {{and true "x"}} {{or 0 ""}}|', "0 x true x |"),
        ("{{and false (index .Words 99)}} {{or true (index .Words 99)}}", "false true"),
        ('{{len .Words}} {{len "é"}} {{len .Labels}}', "3 2 2"),
        ('{{index .Words 1}} {{index .Labels "a"}} {{index .Labels "nope"}}| {{index "abc" 1}}', "b first | 98"),
        ('{{slice .Words 1}} {{slice .Words 0 1}} {{slice "hello" 1 3}}', "[b c] [a] el"),
        ('{{print 1 2 "x" "y" 3}} {{println 1 "x"}}', "1 2xy3 1 x\n"),
        ("""{{html "<a&\\"'>"}} {{js "<a&\\"'>="}} {{urlquery "a b&c/d?"}}""",
         "&lt;a&amp;&#34;&#39;&gt; \\u003Ca\\u0026\\\"\\'\\u003E\\u003D a+b%26c%2Fd%3F"),
        ('{{eq 1 2 1}} {{ne "a" "b"}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1.5 2.5}}',
         "true true true true true false"),
        ('{{join .Words ","}} {{split "a,b" ","}} {{lower "AbC"}} {{upper "é"}}', "a,b,c [a b] abc É"),
        ('{{title "hello wORLD"}} {{truncate "abcdef" 3}} {{pad "x" 1 2}}| {{pad "" 1 2}}|', "Hello WORLD abc  x  | |"),
        ('{{json .Labels}} {{json .Words}} {{json "<&>"}} {{json .State}} {{json .Created}} {{json .Gone}}',
         '{"a":"first","z":"last"} ["a","b","c"] "<&>" {"Pid":7,"Status":"up"} "2026-11-21T23:46:22.062264098Z" null'),
    ],
)
def test_rendering(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{printf "%5d|%-5d|%05d|%x|%X|%o|%b|%+d|% d" 42 42 42 42 42 42 5 4 4}}',
         "   42|42   |00042|2a|2A|52|101|+4| 4"),
        ('{{printf "%05d|%+05d|%x|%.3d|%6.3d|%-6.3d|" -5 5 -255 5 5 5}}', "-0005|+0005|-ff|005|   005|005   |"),
        ('{{printf "%#x %#o %O %c %U %#U %q" 255 8 8 65 65 128512 65}}', "0xff 010 0o10 A U+0041 U+1F600 '😀' 'A'"),
        ('{{printf "%6.2f|%e|%g|%08.3f|%+.1e|%v" 3.14159 3.0 1e9 3.14159 12345.678 1e20}}',
         "  3.14|3.000000e+00|1e+09|0003.142|+1.2e+04|1e+20"),
        ('{{printf "%10s|%-10s|%.2s|%q|%x|% x|%X" "abc" "abc" "abc" "a\\"b" "hi" "hi" "hi"}}',
         '       abc|abc       |ab|"a\\"b"|6869|68 69|6869'),
        ('{{printf "%t|%5t|%v|%T" true false .Words .Labels}}', "true|false|[a b c]|map[string]string"),
        ('{{printf "%v %T %v" .State .State .Gone}}', "&{7 up} *x.state <nil>"),
        ('{{printf "%*d|%-*s|%.*f" 5 3 4 "a" 2 3.14159}}', "    3|a   |3.14"),
        ('{{printf "%[2]d %[1]d" 1 2}}', "2 1"),
        ('{{printf "%%|%s" "x"}}', "%|x"),
        ('{{printf "%d" "x"}} {{printf "%s" 3}} {{printf "%z" 3}} {{printf "%6d" "b"}}',
         "%!d(string=x) %!s(int=3) %!z(int=3) %!d(string=     b)"),
        ('{{printf "%v %v" 1}} {{printf "%v" 1 2}} {{printf "%!"}} {{printf "x%"}}',
         "1 %!v(MISSING) 1%!(EXTRA int=2) %!!(MISSING) x%!(NOVERB)"),
        ('{{printf "%s %v" nil nil}} {{printf "%#v %#v" "x" .Words}}', '%!s(<nil>) <nil> "x" []string{"a", "b", "c"}'),
    ],
)
def test_printf(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Foo}}", '1:2: executing "t" at <.Foo>: can\'t evaluate field Foo in type x.data'),
        ("{{.State.Foo}}", '1:8: executing "t" at <.State.Foo>: can\'t evaluate field Foo in type *x.state'),
        ("{{.Name.Foo}}", '1:7: executing "t" at <.Name.Foo>: can\'t evaluate field Foo in type string'),
        ("{{.Gone.Status}}", '1:7: executing "t" at <.Gone.Status>: nil pointer evaluating *x.health.Status'),
        ("a\n b{{.Foo}}", '2:4: executing "t" at <.Foo>: can\'t evaluate field Foo in type x.data'),
        ("{{.Row.ID 1}}", '1:6: executing "t" at <.Row.ID>: wrong number of args for ID: want 0 got 1'),
        ("{{.Name 1}}", '1:2: executing "t" at <.Name>: Name has arguments but cannot be invoked as function'),
        ("{{.Labels.a 1}}", '1:9: executing "t" at <.Labels.a>: a is not a method but has arguments'),
        ("{{index .Words 5}}", '1:2: executing "t" at <index .Words 5>: error calling index: index out of range: 5'),
        ('{{index .Words "a"}}',
         '1:2: executing "t" at <index .Words "a">: error calling index: cannot index slice/array with type string'),
        ("{{index .Labels 1}}",
         '1:2: executing "t" at <index .Labels 1>: error calling index: value has type int; should be string'),
        ("{{len .Count}}", '1:2: executing "t" at <len .Count>: error calling len: len of type int'),
        ("{{range .Name}}{{end}}", "1:8: executing \"t\" at <.Name>: range can't iterate over web"),
        ("{{eq .Count \"x\"}}",
         '1:2: executing "t" at <eq .Count "x">: error calling eq: incompatible types for comparison'),
        ("{{eq .Labels .Labels}}",
         '1:2: executing "t" at <eq .Labels .Labels>: error calling eq: non-comparable type map[a:first z:last]: '
         "map[string]string"),
        ("{{lt 1 2 3}}", '1:2: executing "t" at <lt>: wrong number of args for lt: want 2 got 3'),
        ("{{or}}", '1:2: executing "t" at <or>: wrong number of args for or: want at least 1 got 0'),
        ("{{nil}}", '1:2: executing "t" at <nil>: nil is not a command'),
        ("{{1 2}}", "1:2: executing \"t\" at <1>: can't give argument to non-function 1"),
        ("{{. .}}", "1:2: executing \"t\" at <.>: can't give argument to non-function ."),
        ("{{upper 3}}", '1:8: executing "t" at <3>: expected string; found 3'),
        ("{{truncate .Count 3}}", '1:11: executing "t" at <.Count>: wrong type for value; expected string; got int'),
        ('{{truncate .Name "x"}}', '1:17: executing "t" at <"x">: expected integer; found "x"'),
        ('{{join .Labels ","}}',
         '1:7: executing "t" at <.Labels>: wrong type for value; expected []string; got map[string]string'),
        ('{{upper .Labels.nope}}', '1:15: executing "t" at <.Labels.nope>: invalid value; expected string'),
        ('{{template "zz"}}', '1:11: executing "t" at <{{template "zz"}}>: template "zz" not defined'),
        ('{{define "T"}}{{template "T"}}{{end}}{{template "T"}}',
         '1:25: executing "t" at <{{template "T"}}>: exceeded maximum template depth (100)'),
    ],
)
def test_failures_while_running(text: str, message: str) -> None:
    assert failure(text) == f"template: t:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.ID", "1: unclosed action"),
        ("x\n{{.ID}", "2: bad character U+007D '}'"),
        ("{{.ID$}}", "1: bad character U+0024 '$'"),
        ("{{foo}}", '1: function "foo" not defined'),
        ("{{$y}}", '1: undefined variable "$y"'),
        ("{{with $x := 1}}{{end}}{{$x}}", '1: undefined variable "$x"'),
        ("{{if}}", "1: missing value for if"),
        ("{{}}", "1: missing value for command"),
        ("{{end}}", "1: unexpected {{end}}"),
        ("{{else}}", "1: unexpected {{else}}"),
        ("{{if .X}}", "1: unexpected EOF"),
        ("{{if 1}}a{{else}}b{{else}}c{{end}}", "1: expected end; found {{else}}"),
        ('{{"a}}', "1: unterminated quoted string"),
        ("{{`a}}", "1: unterminated raw quoted string"),
        ("{{'a}}", "1: unterminated character constant"),
        ("{{'ab'}}", "1: malformed character constant: 'ab'"),
        ("{{(.X}}", "1: unclosed left paren"),
        ("{{.X)}}", '1: unexpected ")" in command'),
        ("{{3abc}}", '1: bad number syntax: "3a"'),
        ("{{99999999999999999999}}", '1: integer overflow: "99999999999999999999"'),
        ("{{@}}", '1: unexpected "@" in command'),
        ("{{.X | 3}}", "1: non executable command in pipeline stage 2"),
        ("{{|}}", '1: unexpected "|" in command'),
        ("{{.X.}}", "1: unexpected <.> in operand"),
        ("{{/* a }}", "1: unclosed comment"),
        ("{{ /* a */ }}", '1: unexpected "/" in command'),
        ("{{range $a,$b,$c := .X}}{{end}}", "1: too many declarations in range"),
        ("{{$a,$b := .X}}", "1: too many declarations in command"),
        ("{{template}}", '1: unexpected "}}" in template clause'),
        ("{{if true}}{{define \"x\"}}{{end}}{{end}}", "1: unexpected <define> in command"),
        ("{{break}}", "1: {{break}} outside {{range}}"),
        ("{{true.X}}", '1: unexpected . after term "true"'),
        ("{{:x}}", "1: expected :="),
        ('{{"\\q"}}', "1: invalid syntax"),
    ],
)
def test_what_does_not_parse(text: str, message: str) -> None:
    assert failure(text) == f"template: t:{message}"


def test_a_failure_keeps_what_was_rendered_before() -> None:
    with pytest.raises(TemplateError) as caught:
        render("{{.Name}} and {{.Foo}}")
    assert caught.value.output == "web and "


def test_types_and_values() -> None:
    assert type_name(["a"]) == "[]string"
    assert type_name([1, "a"]) == "[]interface {}"
    assert type_name({"a": 1}) == "map[string]int"
    assert type_name(None) == type_name(MISSING) == "<nil>"
    assert show({"b": [1.5, None], "a": True}) == "map[a:true b:[1.5 <nil>]]"
    assert to_json({"b": MISSING, "a": [Row()]}) == {"a": [{"Count": 3, "Tags": ["one", "two"]}], "b": None}


def test_times() -> None:
    zero = GoTime.parse("")
    assert str(zero) == "0001-01-01 00:00:00 +0000 UTC"
    assert zero.seconds() == -62135596800
    assert zero.to_json() == "0001-01-01T00:00:00Z"
    assert render("{{.IsZero}}", zero) == "true"
    assert str(GoTime.parse("2026-01-02T03:04:05+01:00")) == "2026-01-02 02:04:05 +0000 UTC"
    text = "2026-01-02T03:04:05.5Z"
    assert GoTime.parse(text).format("2006-01-02T15:04:05.999999999Z07:00") == text


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    assert failure("{{" + "(" * 20000 + "1" + ")" * 20000 + "}}") == "template: t: nested too deeply"
