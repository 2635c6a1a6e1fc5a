"""Behaviour of patterns for names of channels."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.node.name_pattern import (
    MAX_ALTERNATIVES,
    MAX_BRACES,
    MAX_LENGTH,
    InvalidPattern,
    NamePattern,
)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("", ["", "news", "chat:1"], []),
        ("news", ["news"], ["new", "news1", "xnews"]),
        ("chat:*", ["chat:", "chat:1", "chat:a:b\nc"], ["chat", "xchat:1"]),
        ("**:1", ["a:1", ":1"], ["a:12"]),
        ("n?ws", ["news", "n.ws"], ["nws", "neews"]),
        ("[ab]1", ["a1", "b1"], ["c1"]),
        ("[a-c]1", ["a1", "b1"], ["d1"]),
        ("[!a]1", ["b1"], ["a1"]),
        ("[]]", ["]"], ["["]),
        ("{chat,news}:*", ["chat:1", "news:2"], ["sport:1"]),
        ("a{b,c{d,}}e", ["abe", "acde", "ace"], ["ae", "ade"]),
        ("a,b", ["a,b"], ["a"]),
        (r"\*\?\{\,\}\\", ["*?{,}\\"], ["x?{,}\\"]),
        (r"{a\,b,c}", ["a,b", "c"], ["a", "b"]),
        ("a.b+c$", ["a.b+c$"], ["axb+c$"]),
        ("Grüße*", ["Grüße:1"], ["Gruesse"]),
    ],
)
def test_patterns_match_whole_names(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = NamePattern(pattern).matches
    assert [name for name in matching if not matches(name)] == []
    assert [name for name in others if matches(name)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "{",
        "{a",
        "}",
        "a}",
        "[a",
        "\\",
        "x" * (MAX_LENGTH + 1),
        "{" * (MAX_BRACES + 1) + "}" * (MAX_BRACES + 1),
        "{a,b}" * (MAX_ALTERNATIVES.bit_length()),
    ],
)
def test_invalid_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        NamePattern(pattern)


def quoted(name: str) -> str:
    """A pattern in which every character stands for itself."""
    return re.sub(r"([*?{}\[\],\\])", r"\\\1", name)


@given(st.text(alphabet=st.sampled_from("ab*?{},[]!-\\") | st.characters(), max_size=30), st.text(max_size=10))
def test_every_text_is_an_alternative_in_a_pattern_or_refused(text: str, name: str) -> None:
    try:
        NamePattern(text)
        either = NamePattern(f"{{{text},{quoted(name)}}}")
    except InvalidPattern:
        return
    assert either.matches(name)


@given(st.text(max_size=20))
def test_quoted_name_matches_only_itself(name: str) -> None:
    pattern = quoted(name)
    if pattern:
        assert NamePattern(pattern).matches(name)
        assert not NamePattern(pattern).matches(name + "x")


def test_many_stars_are_matched_in_linear_time() -> None:
    """A match with a naive regular expression would not end within the time limit of the test."""
    assert not NamePattern("*a" * 100 + "b").matches("a" * 255)
