"""Objects with a greenlet of their own, from `start` to `stop`."""

from __future__ import annotations

import gevent

from gentrifugo.app.runtime.background import BackgroundLoop


class Counter(BackgroundLoop):
    """Counts its starts, and how often it was killed."""

    def __init__(self) -> None:
        super().__init__()
        self.starts = 0
        self.kills = 0

    def _run(self) -> None:
        self.starts += 1
        try:
            gevent.sleep(60)
        except gevent.GreenletExit:
            self.kills += 1


class TestBackgroundLoop:
    """The life of the greenlet."""

    def test_greenlet_runs_from_start_to_stop(self) -> None:
        counter = Counter()
        counter.start()
        gevent.sleep(0)
        assert (counter.starts, counter.kills) == (1, 0)
        counter.stop()
        assert counter.kills == 1

    def test_second_stop_does_nothing(self) -> None:
        counter = Counter()
        counter.start()
        gevent.sleep(0)
        counter.stop()
        counter.stop()
        assert counter.kills == 1

    def test_stop_without_start_does_nothing(self) -> None:
        Counter().stop()
