"""Objects with a greenlet of their own, from `start` to `stop`."""

from __future__ import annotations

import gevent
import pytest

from gentrifugo.app.runtime import background
from gentrifugo.app.runtime.background import BackgroundLoop, PeriodicTask
from tests.greenlets import eventually, nothing_left_behind, settle

__all__ = ["nothing_left_behind"]

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "INITIAL_DELAY", 0.001)
    monkeypatch.setattr(background, "MAX_DELAY", 0.001)


class Counter(BackgroundLoop):
    """Counts its steps, and how often it was killed. The first `failures` steps raise an exception."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__("counter")
        self.failures = failures
        self.steps = 0
        self.kills = 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps <= self.failures:
            raise ZeroDivisionError
        try:
            gevent.sleep(60)
        except gevent.GreenletExit:
            self.kills += 1
            raise


class Worker(BackgroundLoop):
    """Works only while it has tasks. It fails at the first one."""

    def __init__(self) -> None:
        super().__init__("worker")
        self.tasks = ["fail"]
        self.done: list[str] = []

    def _has_work(self) -> bool:
        return bool(self.tasks)

    def _step(self) -> None:
        task = self.tasks.pop(0)
        if task == "fail":
            raise ZeroDivisionError
        self.done.append(task)


class TestBackgroundLoop:
    """The life of the greenlet."""

    def test_greenlet_runs_from_start_to_stop(self) -> None:
        counter = Counter()
        counter.start()
        settle()
        assert (counter.steps, counter.kills) == (1, 0)
        counter.stop()
        assert counter.kills == 1

    def test_second_start_does_nothing(self) -> None:
        counter = Counter()
        counter.start()
        counter.start()
        settle()
        assert counter.steps == 1
        counter.stop()

    def test_second_stop_does_nothing(self) -> None:
        counter = Counter()
        counter.start()
        settle()
        counter.stop()
        counter.stop()
        assert counter.kills == 1

    def test_stopped_loop_can_be_started_again(self) -> None:
        counter = Counter()
        for steps in (1, 2):
            counter.start()
            settle()
            counter.stop()
            assert (counter.steps, counter.kills) == (steps, steps)

    def test_stop_without_start_does_nothing(self) -> None:
        Counter().stop()

    def test_failed_step_is_logged_and_the_next_one_follows(self, caplog: pytest.LogCaptureFixture) -> None:
        counter = Counter(failures=1)
        counter.start()
        eventually(lambda: counter.steps == 2)
        counter.stop()
        assert counter.kills == 1
        assert "counter: internal error, retrying" in caplog.text
        assert "ZeroDivisionError" in caplog.text

    def test_many_failures_of_one_kind_are_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        counter = Counter(failures=5)
        counter.start()
        eventually(lambda: counter.steps == 6)
        counter.stop()
        assert caplog.text.count("internal error") == 1

    def test_loop_that_fails_can_be_stopped(self) -> None:
        counter = Counter(failures=1_000_000)
        counter.start()
        eventually(lambda: counter.steps > 2)
        counter.stop()
        steps = counter.steps
        gevent.sleep(0.01)
        assert counter.steps == steps

    def test_greenlet_ends_without_work_and_starts_again(self, nothing_left_behind: None) -> None:
        worker = Worker()
        for task in ("first", "second"):
            worker.tasks.append(task)
            worker.start()
            eventually(lambda: not worker.tasks)
            settle()
        assert worker.done == ["first", "second"]


class TestPeriodicTask:
    """An action at intervals."""

    def test_action_follows_after_each_interval(self) -> None:
        calls: list[str] = []
        task = PeriodicTask("test", lambda: 0.001, lambda: calls.append("called"))
        task.start()
        settle()
        assert calls == []
        eventually(lambda: len(calls) > 2)
        task.stop()

    def test_first_call_may_follow_at_once(self) -> None:
        calls: list[str] = []
        task = PeriodicTask("test", lambda: 60, lambda: calls.append("called"), at_start=True)
        task.start()
        settle()
        assert calls == ["called"]
        task.stop()

    def test_action_that_fails_is_called_again(self, caplog: pytest.LogCaptureFixture) -> None:
        calls: list[str] = []

        def act() -> None:
            calls.append("called")
            if len(calls) == 1:
                raise ZeroDivisionError

        task = PeriodicTask("test", lambda: 0.001, act)
        task.start()
        eventually(lambda: len(calls) > 2)
        task.stop()
        assert "test: internal error, retrying" in caplog.text
