"""Behaviour of reading configuration files: three formats with the same result, and errors with line and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gentrifugo.app.config.config_file import Document, DocumentParser, toml_problem


def read(path: Path) -> Document:
    """Parse a file, and return the document."""
    parser = DocumentParser()
    with parser.open(str(path)) as stream:
        parser.parse(stream)
    return parser.document


def read_text(directory: Path, name: str, text: str | bytes) -> Document:
    """Write a file with this name and content, and return the parsed document."""
    path = directory / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


EXPECTED = {"secret": "s", "history_size": 3, "presence": True, "namespaces": [{"name": "ab", "history_lifetime": 0.5}]}
SPELLINGS = {
    "c.json": '{"secret": "s", "history_size": 3, "presence": true,'
    ' "namespaces": [{"name": "ab", "history_lifetime": 0.5}]}',
    "c.toml": 'secret = "s"\nhistory_size = 3\npresence = true\n[[namespaces]]\nname = "ab"\nhistory_lifetime = 0.5\n',
    "c.yaml": "secret: s\nhistory_size: 3\npresence: true\nnamespaces:\n- name: ab\n  history_lifetime: 0.5\n",
    "c.YML": "{secret: s, history_size: 3, presence: yes, namespaces: [{name: ab, history_lifetime: 0.5}]}",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_formats_are_equal(name: str, tmp_path: Path) -> None:
    document = read_text(tmp_path, name, SPELLINGS[name])
    assert document.values == EXPECTED
    assert (document.problem, document.warnings, document.file) == ("", [], tmp_path / name)


NAMES = st.text("abcdefghij_", min_size=1, max_size=8)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=20)
TABLES = st.dictionaries(NAMES, SCALARS, max_size=5)


def as_toml(values: dict[str, Any]) -> str:
    """Options in TOML, for names that need no quotes; JSON spells the scalars but for DEL, which TOML wants escaped."""

    def lines(table: dict[str, Any]) -> str:
        text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in table.items())
        return text.replace("\x7f", "\\u007f")

    namespaces = values.get("namespaces", [])
    top = {name: value for name, value in values.items() if name != "namespaces"}
    return lines(top) + "".join(f"[[namespaces]]\n{lines(namespace)}" for namespace in namespaces)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.lists(TABLES, min_size=1, max_size=3))
def test_every_value_can_be_written_in_all_formats(
    tmp_path: Path, top: dict[str, Any], namespaces: list[dict[str, Any]]
) -> None:
    values = {**top, "namespaces": namespaces}
    assert read_text(tmp_path, "c.json", json.dumps(values)).values == values
    assert read_text(tmp_path, "c.yaml", yaml.safe_dump(values)).values == values
    assert read_text(tmp_path, "c.toml", as_toml(values)).values == values


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("c.json", '{"a": 1,\n "b" 2}', "line 2, column 6: Expecting ':' delimiter"),
        ("c.json", '{"a": [1, 2],\n}', "line 1, column 13: JSON allows no comma after the last item"),
        ("c.json", '{"a": "b,\n]"}', "line 1, column 10: Invalid control character at"),
        ("c.json", '{\n "a": [1,\n  2 , \n ]}', "line 3, column 5: JSON allows no comma after the last item"),
        ("c.json", '{"a": ",}", "b" }', "line 1, column 17: Expecting ':' delimiter"),
        ("c.json", '{"a": 1,, "b": [1,]}', "line 1, column 9: Expecting property name enclosed in double quotes"),
        ("c.json", "", "the file is empty; delete it and create one with"),
        ("c.json", b"\xef\xbb\xbf \n", "the file is empty; delete it and create one with"),
        ("c.json", "[1]", "must contain an object of options, not a list or a single value"),
        ("c.json", b'{"a": "\xff"}', "not UTF-8 text (byte 8)"),
        ("c.json", "[" * 100_000, "nested too deeply"),
        ("c.json", '{"a": ' + "1" * 5000 + "}", "contains an unreadable value, such as a number with too many"),
        ("c.toml", "a = 1\nb = \n", "line 2, column 5: Invalid value"),
        ("c.toml", "a = 1\na = 2", "line 2, column 6: Cannot overwrite a value"),
        ("c.toml", 'a = 1\nb = "x', "line 2, column 7: Unterminated string"),
        ("c.yaml", "a: 1\nb: [", "line 2, column 5: expected the node content, but found '<stream end>'"),
        ("c.yaml", "a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("c.yaml", "a: 1\nb: \x01", "line 2, column 4: special characters are not allowed"),
        ("c.yaml", "- 1", "must contain an object of options, not a list or a single value"),
        ("c.yaml", "a: 1\nb: 2024-13-13", "line 2, column 4: invalid value"),
        ("c.yaml", "a: !!bool maybe", "line 1, column 4: invalid value"),
        ("c.yaml", "a: !!python/object:os.system x", "line 1, column 4: could not determine a constructor"),
        ("c.yaml", "? [1]\n: 2", "line 1, column 3: found unhashable key"),
        ("c.ini", "a = 1", "the name must end in .json, .toml, .yaml, .yml"),
        ("c", "a = 1", "the name must end in .json, .toml, .yaml, .yml"),
    ],
)
def test_errors_in_a_file_are_reported_with_line_and_column(
    name: str, text: str | bytes, problem: str, tmp_path: Path
) -> None:
    document = read_text(tmp_path, name, text)
    assert document.problem.startswith(problem)
    assert document.values == {}
    assert not document.missing


@pytest.mark.parametrize("name", ["c.json", "c.yaml", "c.toml"])
@given(text=st.text(st.characters(codec="utf-8"), max_size=40) | st.text('{}[]:,"\n -&*!<>|#=1a', max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused_with_an_error(name: str, text: str, tmp_path: Path) -> None:
    document = read_text(tmp_path, name, text)
    assert document.problem == "" or document.values == {}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_empty_yaml_file_sets_no_options(text: str, tmp_path: Path) -> None:
    document = read_text(tmp_path, "c.yaml", text)
    assert (document.values, document.problem) == ({}, "")


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert read_text(tmp_path, "c.json", b'\xef\xbb\xbf{"a": 1}').values == {"a": 1}


@pytest.mark.parametrize(
    ("name", "text", "warning"),
    [
        ("c.json", '{"port": 1, "port": 2}', '"port" is set more than once in one object; the last value is used'),
        ("c.yaml", "port: 1\n\nport: 2", '"port" is set more than once (line 3); the last value is used'),
    ],
)
def test_a_duplicate_key_is_a_warning(name: str, text: str, warning: str, tmp_path: Path) -> None:
    document = read_text(tmp_path, name, text)
    assert document.warnings == [warning]
    assert document.values == {"port": 2}


def test_the_same_key_in_two_namespaces_is_not_a_duplicate(tmp_path: Path) -> None:
    assert read_text(tmp_path, "c.json", '{"namespaces": [{"name": "a"}, {"name": "b"}]}').warnings == []


def test_a_missing_file_and_an_unreadable_file_have_different_errors(tmp_path: Path) -> None:
    missing = read(tmp_path / "none.json")
    assert missing.missing
    assert missing.problem.startswith("not found")
    directory = read(tmp_path)
    assert not directory.missing
    assert directory.problem == "cannot read file: Is a directory"


def test_toml_error_without_a_position_is_unchanged() -> None:
    assert toml_problem("something else", "a = 1") == "something else"
