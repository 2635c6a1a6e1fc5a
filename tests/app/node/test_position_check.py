"""Behaviour of the check for lost publications in channels without new publications."""

from __future__ import annotations

import gevent
import pytest

from gentrifugo.app.model.errors import INTERNAL_ERROR, Refused
from gentrifugo.app.model.events import Publication, StreamPosition
from gentrifugo.app.node.position_check import PositionCheck
from gentrifugo.app.node.positions import LivePositions
from tests.greenlets import eventually

START = StreamPosition(2, "e")


class Checked:
    """A channel that is followed from START, whose stream is at `top`."""

    def __init__(self, top: StreamPosition | None, interval: float = 40) -> None:
        self.top = top
        self.lookups = 0
        self.lost: list[str] = []
        self.positions = LivePositions()
        self.positions.follow("news", START)
        self.check = PositionCheck(self.positions, self.look_up, self.lost.append, interval)

    def look_up(self, channel: str) -> StreamPosition:
        self.lookups += 1
        if self.top is None:
            raise Refused(INTERNAL_ERROR)
        return self.top


@pytest.mark.parametrize(
    ("top", "lost"),
    [(START, []), (StreamPosition(3, "e"), ["news"]), (StreamPosition(2, "another"), ["news"]), (None, [])],
)
def test_a_quiet_channel_is_compared_with_its_stream(top: StreamPosition | None, lost: list[str]) -> None:
    checked = Checked(top)
    checked.check.check()
    assert checked.lookups == 0
    checked.check.check()
    assert (checked.lookups, checked.lost) == (1, lost)


def test_a_channel_with_a_new_publication_is_not_looked_up() -> None:
    checked = Checked(START)
    checked.check.check()
    checked.positions.advance(Publication("u3", "news", b"3", offset=3, epoch="e"))
    checked.check.check()
    assert checked.lookups == 0


def test_channels_are_checked_at_intervals_until_the_check_is_stopped(nothing_left_behind: None) -> None:
    checked = Checked(StreamPosition(9, "e"), interval=0.01)
    checked.check.start()
    eventually(lambda: checked.lost[:2] == ["news", "news"])
    checked.check.stop()
    checked.check.stop()
    lookups = checked.lookups
    gevent.sleep(0.05)
    assert checked.lookups == lookups
