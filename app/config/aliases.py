"""Replaces names of options in other Centrifugo versions with the names here: `history_ttl` is `history_lifetime`.

The aliases are declared with the options (options.py). Values are not considered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .options import Option, options_of


@dataclass
class Unaliased:
    """The values of one source, with aliases replaced by the names of the options."""

    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    """The path as the user has written it, by the path here, for each value that was given under an alias."""
    unused: dict[str, str] = field(default_factory=dict)
    """The path of each value that is not used, and the path of the value that is used instead of it."""


def without_aliases(options: Sequence[Option], values: Mapping[str, Any], path: str = "") -> Unaliased:
    """Replace aliases by the names of their options, at the top level and in each item of a list of objects.

    If an option is given under several names, its own name takes precedence, then the alias that is declared first.
    Unknown names stay as they are. `path` is put in front of the paths in the result.
    """
    result = Unaliased(dict(values))
    for option in options:
        given = [name for name in option.names if name in values]
        for name in given[1:]:
            del result.values[name]
            result.unused[path + name] = path + given[0]
        if given and given[0] != option.name:
            result.values[option.name] = result.values.pop(given[0])
            result.written[path + option.name] = path + given[0]
        if given and option.item_type:
            _replace_in_items(option, result, path + option.name)
    return result


def _replace_in_items(option: Option, result: Unaliased, path: str) -> None:
    items = result.values[option.name]
    if not isinstance(items, (list, tuple)):
        return
    result.values[option.name] = replaced = list(items)
    for index, item in enumerate(items):
        if isinstance(item, Mapping):
            inner = without_aliases(options_of(option.item_type), item, f"{path}[{index}].")
            replaced[index] = inner.values
            result.written |= inner.written
            result.unused |= inner.unused
