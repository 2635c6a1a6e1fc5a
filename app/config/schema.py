"""Checks values against the declared options, with a marshmallow schema derived from them.

Flags and the environment give all values as strings, so a number or a boolean may be a string. A number is never
converted to a string: YAML reads `0123` as 83, so a secret would change without an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from .config import Config
from .options import APPLICATION_PREFIX, ENVIRONMENT_PREFIX, Option, options_of
from .other_names import GROUPED, explanation, flat_names, new_name_of

INTEGER = re.compile(r"[+-]?[0-9]{1,20}\Z")
SECONDS_IN = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
"""The units of times. There are two characters for micro: the micro sign and the Greek letter."""
TIME_PART = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(SECONDS_IN)})")
TIME_WITH_UNITS = re.compile(rf"[+-]?(?:{TIME_PART.pattern})+")
LIST_TYPES = (list, tuple, set, frozenset)
"""Types of values that are accepted for a comma-separated string."""
NOT_AN_OBJECT = "Must be an object of options by name."
INVALID: Mapping[type, Mapping[str, str]] = {
    bool: {"invalid": "Must be true or false."},
    int: {"invalid": "Must be an integer."},
}
"""The errors for values of another type, in place of those of marshmallow."""
NOT_NULL = {"null": "Must have a value; remove the option to use its default."}
REQUIRED = "Is missing: each item of the list must have a {}."
"""The error for an option without a default, which only items of lists have."""


class IntegerField(fields.Integer):
    """An integer, or a string with one. marshmallow's own field would truncate 1.5 to 1."""

    def _validated(self, value: Any) -> int:
        cut = isinstance(value, float) and not value.is_integer()
        if cut or (isinstance(value, str) and not INTEGER.match(value)):
            raise self.make_error("invalid")
        return super()._validated(value)


class TimeField(fields.Float):
    """A number of seconds, or a text with units as in Centrifugo since v4: `1m30s`, `500ms`."""

    default_error_messages = {
        "invalid": 'Must be a time in seconds, such as 90 or 0.5, or with units, such as "1m30s" or "500ms".'
    }

    def _validated(self, value: Any) -> float:
        if isinstance(value, str) and TIME_WITH_UNITS.fullmatch(value):
            sign = -1 if value.startswith("-") else 1
            parts = TIME_PART.findall(value)
            value = sign * sum(float(number) * SECONDS_IN[unit] for number, unit in parts)
        return super()._validated(value)


def read_time(text: str) -> float:
    """Return the seconds of a time, in the form of options. Raises ValueError with the expected form."""
    try:
        return TimeField().deserialize(text)
    except ValidationError as error:
        raise ValueError(" ".join(map(str, error.messages))) from None


class TextField(fields.String):
    """A string that can be encoded as UTF-8 and contains no NUL character."""

    default_error_messages = {
        "number": "Must be a string: put it in quotes.",
        "invalid": "Must be a string.",
        "unicode": "Must be a string that can be encoded as UTF-8.",
        "nul": "Must not contain a NUL character.",
        "comma": "An item of the list must not contain a comma.",
    }

    def __init__(self, *, numeric: bool, lower: bool, is_list: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.numeric = numeric
        self.lower = lower
        self.is_list = is_list

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return self._join(value) if self.is_list and isinstance(value, LIST_TYPES) else self._text(value)

    def _join(self, items: Iterable[Any]) -> str:
        texts = [self._text(item) for item in items]
        if any("," in text for text in texts):
            raise self.make_error("comma")
        # A set has another order in every process, which must not look like another configuration.
        return ",".join(sorted(texts) if isinstance(items, (set, frozenset)) else texts)

    def _text(self, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and self.numeric:
            return str(value)
        if isinstance(value, (bool, int, float)):
            raise self.make_error("number")
        if not isinstance(value, str):
            raise self.make_error("invalid")
        self.check_characters(value)
        return value.lower() if self.lower else value

    def check_characters(self, value: str) -> None:
        """Refuse lone surrogates, which UTF-8 cannot encode, and NUL characters."""
        if "\0" in value:
            raise self.make_error("nul")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.make_error("unicode") from None


class ObjectsField(fields.List[Any]):
    """A list of objects. marshmallow's own field would accept a single object as a list of its keys."""

    default_error_messages = {
        "invalid": 'Must be a list of objects, each with a name, such as [{{"name": "chat"}}].'
    }  # of str.format

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class OptionSchema(Schema):
    """The base class of the derived schemas."""

    error_messages = {"type": NOT_AN_OBJECT}


@cache
def schema_of(declaring: type) -> type[Schema]:
    """Create the marshmallow schema for all options of a dataclass."""
    return OptionSchema.from_dict({option.name: field_of(option) for option in options_of(declaring)})


def field_of(option: Option) -> fields.Field[Any]:
    """Create the marshmallow field that checks one option."""
    errors = {**NOT_NULL, **INVALID.get(option.type, {})}
    if option.is_required:
        errors["required"] = errors["null"] = REQUIRED.format(option.name)
    settings: dict[str, Any] = {"validate": option.check, "required": option.is_required, "error_messages": errors}
    if option.type is str:
        facts = option.facts
        return TextField(numeric=facts.numeric, lower=bool(option.choices), is_list=facts.is_list, **settings)
    if option.type is bool:
        return fields.Boolean(**settings)
    if option.type is int:
        return IntegerField(**settings)
    if option.is_time:
        return TimeField(**settings)
    if option.type is float:
        return fields.Float(**settings)  # pragma: no cover (all numbers with a fraction are times so far)
    item = fields.Nested(schema_of(option.item_type), unknown=EXCLUDE, error_messages={"null": NOT_AN_OBJECT})
    return ObjectsField(item, **settings)


def check(declaring: type, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the valid values, and the error texts by path, such as `namespaces[1].history_size`."""
    try:
        return dict(schema_of(declaring)().load(values, unknown=EXCLUDE)), {}
    except ValidationError as error:
        assert isinstance(error.valid_data, dict)
        return error.valid_data, dict(paths(error.messages))


def paths(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Flatten marshmallow's nested messages into pairs of a path and a text."""
    if isinstance(messages, list):
        yield path, " ".join(map(str, messages))
        return
    for key, inner in messages.items():
        yield from paths(inner, path if key == "_schema" else child_path(path, key))


def child_path(path: str, key: str | int) -> str:
    """Return the path of an option or of a list's item inside `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def unknown_options(declaring: type, values: Mapping[str, Any], path: str = "", prefix: str = "") -> Iterator[str]:
    """Yield one warning for each unknown option, at the top level and in the items of lists.

    With a `prefix`, options of the top level are written with it and in capitals.
    """
    known = {name: option for option in options_of(declaring) for name in option.names}
    for key, value in values.items():
        name = str(key)
        spelled = f"{prefix}{name.upper()}" if prefix else name
        is_object = name in GROUPED or (name in known and not known[name].item_type)
        if isinstance(value, Mapping) and value and is_object and not prefix:
            yield from unknown_in_object(child_path(path, name), value, known)
        elif name not in known:
            names = map(str.upper, known) if prefix else known
            yield f"unknown option {child_path(path, spelled)}{suggestion(name, names, prefix)}"
        elif known[name].item_type and isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from unknown_options(known[name].item_type, item, f"{spelled}[{index}]")


def unknown_in_object(name: str, value: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    """Yield warnings about the options in an object that stands around them in the files of Centrifugo v6.

    Options with the same explanation share a warning.
    """
    by_hint: dict[str, list[str]] = {}
    for path in dict.fromkeys(_inner_paths(name, value, set())):
        flat = path.replace(".", "_").lower()
        hint = "" if path == name else _exact_hint(flat, known) or suggestion(flat, known)
        if not hint and (reason := explanation(name)):
            hint = f"; {reason}"
        by_hint.setdefault(hint, []).append(path)
    for hint, inner in by_hint.items():
        yield f"unknown option{'s' if len(inner) > 1 else ''} {', '.join(inner)}{hint}"


def _inner_paths(outer: str, value: Any, seen: set[int], inner: str = "") -> Iterator[str]:
    """Yield the path of each value in the object at `outer` that is not an object itself.

    `seen` has the IDs of the objects that were named already. Of an object that YAML repeats, or that contains itself,
    only `outer` is named.
    """
    if not isinstance(value, Mapping) or not value:
        yield outer + inner
    elif id(value) in seen:
        yield outer
    else:
        seen.add(id(value))
        for key, each in value.items():
            yield from _inner_paths(outer, each, seen, f"{inner}.{key}")


def _exact_hint(name: str, known: Collection[str]) -> str:
    """Return the hint for an option of v6 that has the same name here without the objects around it."""
    if explanation(name):
        return ""
    exact = next((flat for flat in flat_names(name) if flat in known and not flat.startswith("insecure")), "")
    return exact and f"; use {exact} instead"


def suggestion(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a hint for an unknown name, as the end of a sentence; empty if there is none.

    An option of another version of Centrifugo takes precedence over a similar name. `prefix` is added to names in the
    hint. Insecure modes are never suggested. The prefixes of names in the environment and in Flask are ignored.
    """
    spelled = {candidate.lower(): candidate for candidate in known}
    lower = name.lower().removeprefix(APPLICATION_PREFIX.lower()).removeprefix(ENVIRONMENT_PREFIX.lower())
    new_name = spelled.get(new_name_of(lower))
    if new_name:
        return f"; use {prefix}{new_name} instead"
    reason = "" if lower in spelled else explanation(lower)
    if reason:
        return f"; {reason}"
    if lower not in spelled and (flat := _flat_hint(lower, spelled, prefix)):
        return flat
    nearest = _nearest(lower, spelled) or "insecure"
    # A misspelt insecure mode, such as `admin_insecur`, is similar to the names of secrets.
    return "" if "insec" in lower or nearest.startswith("insecure") else f"; did you mean {prefix}{spelled[nearest]}?"


def _flat_hint(name: str, spelled: Mapping[str, str], prefix: str) -> str:
    """Return the hint for the name of an option in nested objects of Centrifugo v6; empty if it is none."""
    for flat in flat_names(name):
        if flat in spelled and not flat.startswith("insecure"):
            return f"; did you mean {prefix}{spelled[flat]}?"
        if new_name := spelled.get(new_name_of(flat)):
            return f"; use {prefix}{new_name} instead"
        if reason := explanation(flat):
            return f"; {reason}"
    return ""


def _nearest(name: str, known: Collection[str]) -> str:
    """Return the most similar of the known names; of those that begin with `name`, the shortest. Empty if none is.

    A name that is no part of a known one must look like a typing mistake. The options of other versions often differ
    in a word, and with it in their meaning. The end of several names does not say which one is meant, and an option
    without an effect is of no use.
    """
    known = [candidate for candidate in known if candidate not in without_effect()]
    endings = [candidate for candidate in known if candidate.endswith(f"_{name}")]
    ending = endings[0] if len(endings) == 1 else ""
    similar = [
        candidate
        for candidate in difflib.get_close_matches(name, known, n=len(known) or 1)
        if candidate.startswith(name) or candidate == ending or _is_mistyped(name, candidate)
    ]
    beginning = [candidate for candidate in similar if candidate.startswith(name)]
    return min(beginning or similar[:1], key=len, default="")


@cache
def without_effect() -> frozenset[str]:
    """Return the names of options that are only accepted for compatibility."""
    return frozenset(name for option in options_of(Config) if option.facts.no_effect for name in option.names)


def _is_mistyped(name: str, candidate: str) -> bool:
    """Return whether few characters must be added, removed or replaced: one in five, or two in a short name."""
    costs = list(range(len(candidate) + 1))
    for row, typed in enumerate(name, 1):
        diagonal, costs[0] = costs[0], row
        for column, meant in enumerate(candidate, 1):
            replaced = diagonal + (typed != meant)
            diagonal, costs[column] = costs[column], min(replaced, costs[column] + 1, costs[column - 1] + 1)
    return costs[-1] <= max(2, (len(name) + 1) // 5)
