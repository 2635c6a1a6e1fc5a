"""Parses a configuration file into a mapping: JSON, TOML or YAML, by its suffix.

It does not know the options. Syntax errors are reported with line and column.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import yaml
from configargparse import ConfigFileParser

from .own_flags import DEFAULT_PATH

TOML_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z")


TRAILING_COMMA = re.compile(r",\s*[}\]]")
"""A comma before the end of an object or list."""


class FileProblem(Exception):
    """The file cannot be used; the text has the reason and, for syntax errors, line and column."""


@dataclass
class Document:
    """The content of one configuration file; `values` is empty when there is a `problem`."""

    path: str
    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    missing: bool = False
    is_empty: bool = False
    """Whether the file has no content, or only white space."""
    warnings: list[str] = field(default_factory=list)
    file: Path | None = None
    """The path of the file that was read; None without a file."""


def creation_advice(path: str) -> str:
    """Return the advice to create the file at `path`, with the command that does it."""
    flag = "" if path == DEFAULT_PATH else f" --config={shlex.quote(path)}"
    return f'create one with "gentrifugo genconfig{flag}"'


class DocumentParser(ConfigFileParser):  # type: ignore[misc]
    """Opens and parses the file for ConfigArgParse, and stores the result in `document`.

    ConfigArgParse exits at the first unreadable file. This class returns an empty file instead, so that the caller can
    report the problem together with all others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.document = Document("")

    def open(self, path: str) -> TextIO:
        """Open the file as UTF-8 text, with or without a byte order mark. Problems are stored in `document`."""
        self.document = Document(path)
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            self.document.missing = True
            self.document.problem = f"not found; {creation_advice(path)}"
        except OSError as error:
            self.document.problem = f"cannot read file: {error.strerror}"
        except UnicodeDecodeError as error:
            self.document.problem = f"not UTF-8 text (byte {error.start + 1})"
        else:
            self.document.file = Path(path)
            return io.StringIO(text)
        return io.StringIO()

    def parse(self, stream: TextIO) -> dict[str, Any]:
        """Parse the file that `open` has returned. An unusable file results in an empty mapping, and a `problem`."""
        if not self.document.problem:
            try:
                self.document.values = read_text(stream.read(), self.document)
            except FileProblem as error:
                self.document.problem = str(error)
        return dict(self.document.values)

    def get_syntax_description(self) -> str:  # pragma: no cover (the interface requires it; no help shows it)
        """Return a sentence about the format of the file, for the help."""
        return "The file is JSON, TOML or YAML, by its suffix."


def read_text(text: str, document: Document) -> Mapping[str, Any]:
    """Parse text in the format of the document's suffix; duplicate keys become warnings of the document."""
    suffix = Path(document.path).suffix.lower()
    if suffix not in PARSERS:
        raise FileProblem(f"the name must end in {', '.join(PARSERS)}")
    document.is_empty = not text.strip()
    if document.is_empty and suffix == ".json":
        raise FileProblem(f"the file is empty; delete it and {creation_advice(document.path)}")
    try:
        values = PARSERS[suffix](text, document.warnings.append)
    except RecursionError:
        raise FileProblem("nested too deeply") from None
    except ValueError:
        # Not a syntax error for the parsers: above all, Python refuses integers of more than 4300 digits.
        raise FileProblem("contains an unreadable value, such as a number with too many digits") from None
    if not isinstance(values, dict):
        raise FileProblem("must contain an object of options, not a list or a single value")
    return {str(name): value for name, value in values.items()}


def read_json(text: str, warn: Callable[[str], None]) -> Any:
    """Parse JSON. Duplicate keys cause a warning, because only the last value is used."""

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in pairs:
            if key in built:
                warn(f'"{key}" is set more than once in one object; the last value is used')
            built[key] = value
        return built

    try:
        return json.loads(text, object_pairs_hook=build)
    except json.JSONDecodeError as error:
        comma = text.rfind(",", 0, error.pos + 1)  # the error is at this comma or after it, depending on the Python
        is_in_text = error.msg.startswith("Invalid control character")
        if comma >= 0 and not is_in_text and (found := TRAILING_COMMA.match(text, comma)) and found.end() > error.pos:
            raise FileProblem(f"{_position(text, comma)}: JSON allows no comma after the last item") from None
        raise FileProblem(f"line {error.lineno}, column {error.colno}: {error.msg}") from None


def _position(text: str, index: int) -> str:
    return f"line {text.count(chr(10), 0, index) + 1}, column {index - text.rfind(chr(10), 0, index)}"


def read_toml(text: str, warn: Callable[[str], None]) -> Any:
    """Parse TOML, whose syntax does not allow duplicate keys."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileProblem(toml_problem(str(error), text)) from None


def toml_problem(message: str, text: str) -> str:
    """Return an error message of tomllib with line and column first, like those of the other formats."""
    place = TOML_POSITION.search(message)
    if place is None:
        return message
    last_line = text.rpartition("\n")[2]
    line = place["line"] or text.count("\n") + 1
    column = place["column"] or len(last_line) + 1
    return f"line {line}, column {column}: {message[: place.start()]}"


class YamlLoader(yaml.SafeLoader):
    """PyYAML's safe loader, extended by warnings about duplicate keys."""

    warn: Callable[[str], None]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, and warn about duplicate keys."""
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    line = key_node.start_mark.line + 1
                    self.warn(f'"{key_node.value}" is set more than once (line {line}); the last value is used')
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value. An invalid value, such as the date 2023-99-99, raises the usual YAML error."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError):
            raise yaml.constructor.ConstructorError(None, None, "invalid value", node.start_mark) from None


def read_yaml(text: str, warn: Callable[[str], None]) -> Any:
    """Parse YAML without tags that create Python objects. An empty file contains no options."""
    try:
        loader = YamlLoader(text)
        loader.warn = warn
        values = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        raise FileProblem(yaml_problem(error)) from None
    except yaml.reader.ReaderError as error:
        raise FileProblem(f"{_position(text, error.position)}: {error.reason}") from None
    return {} if values is None else values


def yaml_problem(error: yaml.MarkedYAMLError) -> str:
    """Return an error message of PyYAML with line and column first."""
    mark = error.problem_mark or error.context_mark
    message = error.problem or error.context or "not YAML"
    return f"line {mark.line + 1}, column {mark.column + 1}: {message}" if mark else message


PARSERS: dict[str, Callable[[str, Callable[[str], None]], Any]] = {
    ".json": read_json,
    ".toml": read_toml,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}
