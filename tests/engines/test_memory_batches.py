"""A batch has the same effect in the memory engine as its publications one by one, and lets other greenlets run."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gentrifugo.app.model.events import Publication
from gentrifugo.app.runtime import yielding
from gentrifugo.engines.base import HistoryFilter, HistoryOptions, PublishConditions, PublishItem, Suppressed
from gentrifugo.engines.memory import MemoryEngine
from tests.engines.contract import LONG, Listener, kept, message
from tests.fakes import FakeClock

CHANNELS = ("a", "b")
HISTORIES = (
    None,
    HistoryOptions(size=1, lifetime=2, meta_lifetime=4),
    HistoryOptions(size=3, lifetime=4, meta_lifetime=4),
    HistoryOptions(size=3, lifetime=2, drop_inactive=True, meta_lifetime=6),
)
items = st.tuples(
    st.sampled_from(CHANNELS),
    st.sampled_from([*HISTORIES, *HISTORIES[1:]]),
    st.sampled_from([None] * 6 + [PublishConditions("key"), PublishConditions(version=2)]),
)
steps = st.one_of(
    st.lists(items, min_size=1, max_size=8),
    st.lists(st.sampled_from(HISTORIES).map(lambda history: ("a", history, None)), min_size=2, max_size=8),
    st.sampled_from(["subscribe", "unsubscribe", "remove", "pass time", "look up"]),
)


STORED, KEY = HISTORIES[2], PublishConditions("key")
PLAIN, CONDITIONAL = ("a", STORED, None), ("a", STORED, KEY)


class OneEngine:
    """A memory engine, and what it has returned and delivered. Epochs, which are random, are numbered."""

    def __init__(self) -> None:
        self._clock = FakeClock()
        self._engine = MemoryEngine(self._clock, sweeps=False)
        self._listener = Listener(self._engine)
        self._engine.start(self._listener)
        self._epochs = {"": 0}
        self.seen: list[object] = []

    def publish(self, batch: list[PublishItem], together: bool) -> None:
        self.seen += self._engine.publish_all(batch) if together else [self._engine.publish(*item) for item in batch]

    def act(self, action: str) -> None:
        if action == "pass time":
            self._clock.advance(2)
            self._engine.free_expired()
        elif action == "look up":
            self.seen.append(self._engine.stream("a", HistoryFilter(), LONG).top)
        else:
            {
                "subscribe": self._engine.subscribe,
                "unsubscribe": self._engine.unsubscribe,
                "remove": self._engine.remove_history,
            }[action]("a")

    def all_seen(self) -> list[object]:
        histories = [publication for channel in CHANNELS for publication in self._engine.history(channel)]
        return [self._numbered(thing) for thing in [*self.seen, *self._listener.events, *histories]]

    def _numbered(self, thing: Any) -> object:
        if thing is None:
            return None
        if isinstance(thing, Suppressed):
            return "suppressed", self._numbered(thing.position)
        return thing._replace(epoch=self._epochs.setdefault(thing.epoch, len(self._epochs)))


@given(st.lists(steps, max_size=8))
@example([[PLAIN] * 5])
@example(["subscribe", [PLAIN] * 5])
@example([[CONDITIONAL], [CONDITIONAL, PLAIN]])
@example([[CONDITIONAL], [PLAIN, CONDITIONAL, PLAIN]])
def test_a_batch_has_the_effect_of_its_publications_one_by_one(script: list[Any]) -> None:
    together, single = OneEngine(), OneEngine()
    for number, step in enumerate(script):
        for engine in (together, single):
            if isinstance(step, str):
                engine.act(step)
                continue
            publications = [
                Publication(f"{number}.{place}", channel, b"1") for place, (channel, _, _) in enumerate(step)
            ]
            batch = [(publication, *rest) for publication, (_, *rest) in zip(publications, step, strict=True)]
            engine.publish(batch, together=engine is together)
        assert together.all_seen() == single.all_seen()


def test_other_greenlets_run_during_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", 0)
    engine = MemoryEngine(sweeps=False)
    found: list[int] = []
    looking = gevent.spawn(lambda: found.append(len(engine.history("news"))))
    engine.publish_all([(message(), kept(), None), (message("2"), None, None), (message("3"), kept(), None)])
    looking.join()
    assert found == [1]
