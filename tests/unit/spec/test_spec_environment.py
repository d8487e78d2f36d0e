"""Variables, labels and their files."""

import pytest

from wherry.errors import InvalidArgument
from wherry.spec import parse_environment as words
from wherry.spec.expand import assignment, expand

OURS = {"HOME": "/root", "LC_ALL": "C", "LC_TIME": "de", "EMPTY": ""}


def _reader(files):
    def read(path):
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    return read


def test_variables():
    found = words.variables(["A=1", "B=", "C=x=y", "HOME", "MISSING", "EMPTY", "LC_*", " D=2", "A=3"], OURS)
    assert found == {
        "A": "3", "B": "", "C": "x=y", "HOME": "/root", "EMPTY": "", "LC_ALL": "C", "LC_TIME": "de", "D": "2",
    }


@pytest.mark.parametrize("text", ["", "=", "=x"])
def test_variable_without_name(text):
    with pytest.raises(InvalidArgument) as caught:
        words.variables([text], OURS)
    assert str(caught.value) == f'invalid variable: "{text}"'


def test_file():
    text = "# comment\n\nA=1\r\n  B=two words \n\t#not\nHOME\nMISSING\nC='q'\nA=2"
    assert words.parse_file(text, OURS) == {"A": "2", "B": "two words ", "HOME": "/root", "C": "'q'"}


def test_files_in_order():
    read = _reader({"/a": "X=1\nY=1\n", "/b": "Y=2\n"})
    assert words.variable_files(["/a", "/b"], {}, read) == {"X": "1", "Y": "2"}


@pytest.mark.parametrize(("path", "message"), [
    ("/none", 'parsing file "/none": open /none: no such file or directory'),
    ("/bad", 'parsing file "/bad": invalid variable: "=x"'),
    ("/bytes", 'parsing file "/bytes": /bytes is not UTF-8 text'),
])
def test_bad_file(path, message):
    read = _reader({"/bad": "A=1\n=x\n", "/bytes": "A=\udcff\n"})
    with pytest.raises(InvalidArgument) as caught:
        words.variable_files([path], {}, read)
    assert str(caught.value) == message


def test_labels():
    assert words.labels(["a=1", "b", "c=x=y", "a=2"]) == {"a": "2", "b": "", "c": "x=y"}
    with pytest.raises(InvalidArgument, match=r'^unable to process labels: invalid label format: "=x"$'):
        words.labels(["=x"])


def test_label_files():
    read = _reader({"/l": "a=1\n# no\nbare\nLC_*\nb = 2", "/ok": "a=1\nbare\nLC_*"})
    assert words.label_files(["/ok"], OURS, read) == {"a": "1", "LC_ALL": "C", "LC_TIME": "de"}
    with pytest.raises(InvalidArgument) as caught:
        words.label_files(["/l"], OURS, read)
    assert str(caught.value) == 'unable to process labels: name "b " has white spaces, poorly formatted name'


def test_annotation():
    assert words.annotation(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(InvalidArgument, match=r"^annotations must be formatted KEY=VALUE$"):
        words.annotation(["a"])


@pytest.mark.parametrize(("text", "result"), [
    ("plain", "plain"), ("$A", "1"), ("${A}x", "1x"), ("$A$B", "12"), ("$NONE.", "."), ("${NONE:-d}", "d"),
    ("${A:-d}", "1"), ("${A:+d}", "d"), ("${NONE:+d}", ""), ("${NONE:-$A}", "1"), ("'$A'", "$A"), ('"$A b"', "1 b"),
    ("\\$A", "$A"), ('"\\a\\$"', "\\a$"), ("$", "$"), ("a$-", "a$-"),
])
def test_expand(text, result):
    assert expand(text, {"A": "1", "B": "2"}) == result


@pytest.mark.parametrize("text", ["'a", '"a', "${A", "${}", "${A:?x}"])
def test_bad_expand(text):
    with pytest.raises(InvalidArgument, match="unable to process variables for --env-merge"):
        expand(text, {})


def test_assignment():
    assert assignment("PATH=${PATH}:/x", {"PATH": "/bin"}) == ("PATH", "/bin:/x")
    with pytest.raises(InvalidArgument, match="missing `=` for --env-merge substitution PATH"):
        assignment("PATH", {})
