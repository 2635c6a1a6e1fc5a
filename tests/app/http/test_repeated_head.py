"""Heads of one connection, compared with heads that are parsed one by one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gentrifugo.app.http.head import parse_head
from gentrifugo.app.http.repeated_head import MAX_KEPT, HeadParser
from tests.app.http.head_outcomes import outcome

SIGN = "a" * 64
OTHER_SIGN = "0123456789abcdef" * 4


def head_of(*headers: str, first: str = "POST /api/ HTTP/1.1") -> bytes:
    return "\r\n".join((first, "Host: here", *headers)).encode("latin-1")


LINES = st.sampled_from(
    [
        *("Content-Length: 1", "Content-Length: 22", "content-length: 22", "Content-Length:  1", "Content-Length: x"),
        *("Content-Length: 1 ", "Content-Length: \u0661", "Content-Length: 1234567890123456", "Content-Length 1"),
        *(
            f"X-API-Sign: {SIGN}",
            f"X-API-Sign: {OTHER_SIGN}",
            f"X-API-Sign: {SIGN.upper()}",
            "X-API-Sign: ",
            "X-API-Sign:",
        ),
        *("Accept: a", "Accept: b", "Transfer-Encoding: chunked", "", "Host: here", " folded"),
    ]
).map(lambda line: line.encode("utf-8").decode("latin-1"))
FIRST = st.sampled_from(["POST /api/ HTTP/1.1", "POST /api/ HTTP/1.0", "GET /api/ HTTP/1.1", "nonsense"])
HEADS = st.builds(lambda lines, first: head_of(*lines, first=first), st.lists(LINES, max_size=4), FIRST)
ALIKE = st.lists(
    st.builds(
        lambda length, sign: head_of("Accept: a", f"Content-Length: {length}", f"X-API-Sign: {sign}"),
        st.sampled_from(["1", "22", "x", "", "-1"]),
        st.sampled_from([SIGN, OTHER_SIGN, SIGN[1:], SIGN.upper(), "g" * 64, f"{SIGN} "]),
    )
)


@given(st.lists(HEADS) | ALIKE)
@example([head_of("Content-Length: 1", "Accept: a"), head_of("Accept: a", "Content-Length: 1")])
@example([head_of("Content-Length: 1"), head_of("Content-Length: 1\n")])
def test_head_parser_returns_the_same_result_as_parse_head(heads: list[bytes]) -> None:
    parser = HeadParser()
    for raw in heads:
        assert outcome(parser.parse, raw) == outcome(parse_head, raw)


BEFORE = ("X-API-Key: a", "Content-Length: 1", f"X-API-Sign: {SIGN}", "Accept: a")


@pytest.mark.parametrize(
    ("line", "place", "first"),
    [
        (BEFORE[0], 0, "POST /apj/ HTTP/1.1"),
        ("X-API-Key: b", 0, "POST /api/ HTTP/1.1"),
        ("X-API-Kez: a", 0, "POST /api/ HTTP/1.1"),
        ("Content-Lengti: 1", 1, "POST /api/ HTTP/1.1"),
        ("Content-Length: 1234567890123456", 1, "POST /api/ HTTP/1.1"),
        ("Content-Length: -1", 1, "POST /api/ HTTP/1.1"),
        ("Content-Length: ", 1, "POST /api/ HTTP/1.1"),
        (f"X-API-Sigm: {SIGN}", 2, "POST /api/ HTTP/1.1"),
        (f"X-API-Sign: {SIGN[1:]} ", 2, "POST /api/ HTTP/1.1"),
        ("Accept: b", 3, "POST /api/ HTTP/1.1"),
        ("Accept: aa", 3, "POST /api/ HTTP/1.1"),
    ],
)
def test_a_head_that_differs_in_another_place_is_parsed_anew(line: str, place: int, first: str) -> None:
    parser = HeadParser()
    parser.parse(head_of(*BEFORE))
    raw = head_of(*BEFORE[:place], line, *BEFORE[place + 1 :], first=first)
    assert outcome(parser.parse, raw) == outcome(parse_head, raw)


@pytest.mark.parametrize("lines", [BEFORE, BEFORE[:3], BEFORE[:2]])
def test_heads_that_differ_only_in_length_and_signature_have_the_same_meaning(lines: tuple[str, ...]) -> None:
    parser = HeadParser()
    first = parser.parse(head_of(*lines))
    raw = head_of(*lines).replace(b"Length: 1", b"Length: 22").replace(SIGN.encode(), OTHER_SIGN.encode())
    second = parser.parse(raw)
    assert outcome(lambda _: second, raw) == outcome(parse_head, raw)
    assert second.original is first.original


def test_the_same_head_is_parsed_once() -> None:
    parser = HeadParser()
    raw = head_of("Content-Length: 1")
    assert parser.parse(raw) is parser.parse(bytes(bytearray(raw)))


def test_a_head_with_another_length_and_signature_does_not_change_the_one_before() -> None:
    parser = HeadParser()
    first = parser.parse(head_of("Content-Length: 1", f"X-API-Sign: {SIGN}"))
    second = parser.parse(head_of("Content-Length: 22", f"X-API-Sign: {OTHER_SIGN}"))
    assert (first.content_length, first.headers["x-api-sign"]) == (1, SIGN)
    assert (second.content_length, second.headers["x-api-sign"]) == (22, OTHER_SIGN)


@pytest.mark.parametrize("size", [MAX_KEPT, MAX_KEPT + 1])
def test_large_heads_are_not_kept(size: int) -> None:
    parser = HeadParser()
    start = head_of("Accept: ")
    raw = start + b"a" * (size - len(start))
    assert (parser.parse(raw) is parser.parse(raw)) is (size <= MAX_KEPT)
