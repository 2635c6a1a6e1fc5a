"""The objects that an object still references, for tests that it has released everything."""

from __future__ import annotations

from collections import deque
from typing import Any


def contents(thing: Any, *ignored: Any) -> list[Any]:
    """Return the contents of all collections of `thing` and of its parts, except those in `ignored`."""
    if any(thing is other for other in ignored):
        return []
    if isinstance(thing, dict):
        inner = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (set, frozenset, list, tuple, deque)):
        inner = list(thing)
    elif type(thing).__module__.startswith("gentrifugo."):
        return [found for part in _attributes(thing) for found in contents(part, *ignored)]
    else:
        return []
    return inner + [found for part in inner for found in contents(part, *ignored)]


def _attributes(thing: Any) -> list[Any]:
    slots = [getattr(thing, name) for name in getattr(thing, "__slots__", ())]
    return [*slots, *getattr(thing, "__dict__", {}).values()]
