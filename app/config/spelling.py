"""Converts spellings that Centrifugo v1 accepts: names in any case, null values, and combined short flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .options import Option, options_of


def with_usual_names(options: Sequence[Option], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a file, with the names of options in lower case and without those that are null.

    A null value counts as an option that is not set. If a name is given in several cases, the usual one takes
    precedence. Unknown names stay unchanged, so that a warning can show them.
    """
    known = {name: option for option in options for name in option.names}
    usual: dict[str, Any] = {}
    for name, value in values.items():
        lower = name.lower()
        if value is None or (lower != name and lower in values):
            continue
        option = known.get(lower)
        usual[lower if option else name] = _items(option, value) if option else value
    return usual


def _items(option: Option, value: Any) -> Any:
    if not option.item_type or not isinstance(value, (list, tuple)):
        return value
    options = options_of(option.item_type)
    return [with_usual_names(options, _with_text_keys(item)) if isinstance(item, Mapping) else item for item in value]


def _with_text_keys(item: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in item.items()}


def with_separate_flags(argv: Sequence[str], options: Sequence[Option]) -> Iterator[str]:
    """Split combined short flags: `-wd` becomes `-w -d`, and `-wp8001` becomes `-w -p8001`.

    Only flags of booleans can come before another one; the others take the rest of the word as their value.
    """
    booleans = {option.facts.short for option in options if option.type is bool and option.facts.short}
    for argument in argv:
        while argument[:2] in booleans and len(argument) > 2 and argument[2] not in "=-":
            yield argument[:2]
            argument = "-" + argument[2:]
        yield argument
