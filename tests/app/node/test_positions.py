"""Behaviour of positions: which publication is the next one of a stream, and the continuation after a hold."""

from __future__ import annotations

import pytest

from gentrifugo.app.model.events import Publication, StreamPosition
from gentrifugo.app.node.positions import LivePositions, Step, continuation, position_after

START = StreamPosition(2, "e")


def publication(offset: int, epoch: str = "e") -> Publication:
    return Publication(f"u{offset}", "news", b"1", offset=offset, epoch=epoch if offset else "")


@pytest.mark.parametrize(
    ("offset", "epoch", "expected"),
    [
        (3, "e", Step.NEXT),
        (2, "e", Step.OLD),
        (1, "e", Step.OLD),
        (4, "e", Step.GAP),
        (3, "another", Step.GAP),
        (1, "another", Step.GAP),
    ],
)
def test_a_publication_is_compared_with_the_position_before_it(offset: int, epoch: str, expected: Step) -> None:
    positions = LivePositions()
    positions.follow("news", START)
    assert positions.advance(publication(offset, epoch)) is expected


def test_after_a_gap_the_stream_is_followed_from_the_new_position() -> None:
    positions = LivePositions()
    positions.follow("news", START)
    positions.advance(publication(7, "new"))
    assert positions.reached("news") == StreamPosition(7, "new")
    assert positions.advance(publication(8, "new")) is Step.NEXT


def test_channel_is_followed_until_it_is_removed() -> None:
    positions = LivePositions()
    positions.follow("news", START)
    assert "news" in positions
    positions.forget("news")
    positions.forget("news")
    assert list(positions.channels) == []


def test_publications_before_the_position_are_omitted() -> None:
    held = [publication(1), publication(2), publication(3), publication(0), publication(4)]
    following = continuation(START, held)
    assert following == held[2:]
    assert position_after(START, *held[2:]) == StreamPosition(4, "e")


@pytest.mark.parametrize("held", [[publication(4)], [publication(3, "another")], [publication(3), publication(5)]])
def test_missing_publication_ends_the_sequence(held: list[Publication]) -> None:
    assert continuation(START, held) is None


def test_publications_without_offset_do_not_change_the_position() -> None:
    assert position_after(START, publication(0)) == START
