"""Behaviour of a ring of samples when the clock is adjusted."""

from __future__ import annotations

from gentrifugo.app.node.rings import MIN_STEP, Rings, SamplesWanted

BEGAN = 1000


def figures(rings: Rings, first: int, count: int) -> list[float | None]:
    return rings.read(SamplesWanted(MIN_STEP, first, count))["clients"]


def test_sample_that_was_taken_already_is_not_replaced() -> None:
    rings = Rings()
    rings.take(BEGAN * MIN_STEP, {"clients": 1.0}, {})
    rings.take((BEGAN + 1) * MIN_STEP, {"clients": 2.0}, {})
    rings.take(BEGAN * MIN_STEP, {"clients": 9.0}, {})  # the clock was set back by one step
    rings.take((BEGAN + 2) * MIN_STEP, {"clients": 3.0}, {})
    assert figures(rings, BEGAN, 3) == [1.0, 2.0, 3.0]
