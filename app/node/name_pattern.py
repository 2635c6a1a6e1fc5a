"""Patterns for names of channels: `*`, `?`, sets such as `[a-z]`, alternatives such as `{one,two}`, quoting with `\\`.

A pattern comes from a backend, and is matched with many names. So its size is limited, and the time for a match grows
only with the length of the name.
"""

from __future__ import annotations

import re
from fnmatch import translate

MAX_LENGTH = 1024
"""Maximum characters of a pattern."""
MAX_BRACES = 64
"""Maximum opening braces of a pattern."""
MAX_ALTERNATIVES = 256
"""Maximum patterns without braces to which one pattern expands."""


class InvalidPattern(ValueError):
    """The text is not a pattern, or exceeds a limit; the message says why."""


class NamePattern:
    """A pattern, ready to be matched. An empty one matches every name. Raises InvalidPattern."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_LENGTH:
            raise InvalidPattern(f"the pattern is longer than {MAX_LENGTH} characters")
        if pattern.count("{") > MAX_BRACES:
            raise InvalidPattern(f"the pattern has more than {MAX_BRACES} braces")
        self._match_all = not pattern
        self._expressions = [re.compile(translate(plain)) for plain in _alternatives(pattern)]

    def matches(self, name: str) -> bool:
        """Return whether the whole name matches."""
        return self._match_all or any(expression.match(name) for expression in self._expressions)


def _alternatives(pattern: str) -> list[str]:
    """Expand a pattern to patterns without braces, in the notation of fnmatch."""
    found, end = _sequence(pattern, 0, nested=False)
    if end < len(pattern):
        raise InvalidPattern("the pattern has a } without a {")
    return found


def _sequence(pattern: str, at: int, nested: bool) -> tuple[list[str], int]:
    """Expand a part of a pattern from `at` to its end, or inside braces to a comma or brace; return the end too."""
    found = [""]
    while at < len(pattern) and not (pattern[at] == "}" or (nested and pattern[at] == ",")):
        if pattern[at] == "{":
            parts, at = _braces(pattern, at + 1)
        else:
            part, at = _piece(pattern, at)
            parts = [part]
        found = [beginning + part for beginning in found for part in parts]
        if len(found) > MAX_ALTERNATIVES:
            raise InvalidPattern(f"the pattern has more than {MAX_ALTERNATIVES} alternatives")
    return found, at


def _braces(pattern: str, at: int) -> tuple[list[str], int]:
    """Return the alternatives in braces, and the position after them."""
    found: list[str] = []
    while True:
        parts, at = _sequence(pattern, at, nested=True)
        found += parts
        if at == len(pattern):
            raise InvalidPattern("the pattern has a { without a }")
        at += 1
        if pattern[at - 1] == "}":
            return found, at


def _piece(pattern: str, at: int) -> tuple[str, int]:
    """Return one character, one quoted character, or one set in brackets, and the position after it."""
    if pattern[at] == "\\":
        if at + 1 == len(pattern):
            raise InvalidPattern("the pattern ends with a backslash")
        quoted = pattern[at + 1]
        return (f"[{quoted}]" if quoted in "*?[" else quoted), at + 2
    if pattern[at] == "[":
        # A closing bracket directly after the beginning of a set is an element of the set.
        end = pattern.find("]", at + (3 if pattern.startswith("[!", at) else 2))
        if end < 0:
            raise InvalidPattern("the pattern has a [ without a ]")
        return pattern[at : end + 1], end + 1
    return pattern[at], at + 1
