"""Filters on the tags of publications, with which clients choose the publications of a channel that they receive.

A filter is a tree: comparisons of one tag with given values, joined by `and`, `or` and `not`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import TypeAlias
from weakref import WeakValueDictionary

import msgspec

from ...model.events import Event, Publication
from .messages import FilterNode

MAX_NODES = 200
"""Maximum number of operators and comparisons in one filter."""
MAX_DEPTH = 20
"""Maximum levels of nested operators."""

Tags: TypeAlias = Mapping[str, str]
Condition: TypeAlias = Callable[[Tags], bool]

_NO_TAGS: Tags = {}
_NUMBER = re.compile(r"[+-]?[0-9]{1,200}(\.[0-9]{1,200})?")


class InvalidFilter(ValueError):
    """A filter breaks a rule; the text says which one."""


class TagsFilter:
    """A valid filter. Calling it returns whether an event passes; joins and leaves always pass."""

    __slots__ = ("__weakref__", "_condition")

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def __call__(self, event: Event) -> bool:
        return not isinstance(event, Publication) or self._condition(event.tags or _NO_TAGS)


_known: WeakValueDictionary[bytes, TagsFilter] = WeakValueDictionary()


def tags_filter(node: FilterNode) -> TagsFilter:
    """Return the filter that a client requests; the same object for equal requests. Raises InvalidFilter."""
    key = msgspec.msgpack.encode(node)
    known = _known.get(key)
    if known is None:
        _check_size(node)
        known = _known[key] = TagsFilter(_condition(node))
    return known


def _check_size(root: FilterNode) -> None:
    level, count = [root], 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        level = [child for node in level for child in node.nodes]
        if count + len(level) > MAX_NODES:
            raise InvalidFilter(f"filter has more than {MAX_NODES} nodes")
        if not level:
            return
    raise InvalidFilter(f"filter has more than {MAX_DEPTH} levels")


def _condition(node: FilterNode) -> Condition:
    if not node.op:
        return _comparison(node)
    children = [_condition(child) for child in node.nodes]
    if node.op == "not" and len(children) == 1:
        (child,) = children
        return lambda tags: not child(tags)
    if node.op == "and" and children:
        return lambda tags: all(child(tags) for child in children)
    if node.op == "or" and children:
        return lambda tags: any(child(tags) for child in children)
    raise InvalidFilter(f"unknown operator or wrong number of conditions: {node.op!r} with {len(children)} conditions")


def _comparison(node: FilterNode) -> Condition:
    """Return the condition for one comparison, which uses the field `val` or `vals` or neither, depending on `cmp`."""
    key, value = node.key, node.val
    if node.cmp in _PRESENCE and not value and not node.vals:
        return _PRESENCE[node.cmp](key)
    if node.cmp in _MEMBERSHIP and key and node.vals and not value:
        return _MEMBERSHIP[node.cmp](key, frozenset(node.vals))
    if not (key and value and not node.vals):
        raise InvalidFilter(f"comparison {node.cmp!r} has no key, or missing or unexpected values")
    if node.cmp in _TEXTS:
        return _text_condition(key, value, _TEXTS[node.cmp])
    if node.cmp in _NUMBERS:
        return _number_condition(key, _parse_number(value), _NUMBERS[node.cmp])
    if node.cmp == "neq":
        return lambda tags: tags.get(key) != value
    raise InvalidFilter(f"unknown comparison {node.cmp!r}")


_PRESENCE: dict[str, Callable[[str], Condition]] = {
    "ex": lambda key: lambda tags: key in tags,
    "nex": lambda key: lambda tags: key not in tags,
}
# A missing tag counts as an empty text in these two comparisons.
_MEMBERSHIP: dict[str, Callable[[str, Collection[str]], Condition]] = {
    "in": lambda key, values: lambda tags: tags.get(key, "") in values,
    "nin": lambda key, values: lambda tags: tags.get(key, "") not in values,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "eq": str.__eq__,
    "sw": str.startswith,
    "ew": str.endswith,
    "ct": str.__contains__,
}
_NUMBERS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "gt": Decimal.__gt__,
    "gte": Decimal.__ge__,
    "lt": Decimal.__lt__,
    "lte": Decimal.__le__,
}


def _text_condition(key: str, value: str, compare: Callable[[str, str], bool]) -> Condition:
    return lambda tags: key in tags and compare(tags[key], value)


def _number_condition(key: str, limit: Decimal | None, compare: Callable[[Decimal, Decimal], bool]) -> Condition:
    """Return a comparison of numbers, which is false if the tag or the value in the filter is not a number."""

    def condition(tags: Tags) -> bool:
        number = _parse_number(tags.get(key, ""))
        return number is not None and limit is not None and compare(number, limit)

    return condition


def _parse_number(text: str) -> Decimal | None:
    """Parse a decimal number without an exponent. Returns None for any other text."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None
