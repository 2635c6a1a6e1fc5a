"""Waiting commands are sent together, and every caller receives its own reply or an error."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import gevent
import pytest

from gentrifugo.engines.base import EngineError
from gentrifugo.engines.redis import pipeline as pipeline_module
from gentrifugo.engines.redis.connection import ConnectionLost, RedisConnection
from gentrifugo.engines.redis.link import ServerReturn
from gentrifugo.engines.redis.pipeline import Pipeline
from gentrifugo.engines.redis.scripts import ALL_SCRIPTS
from gentrifugo.engines.redis.settings import Timeouts
from tests.engines.redis.fakes import FakeConnection, error
from tests.greenlets import eventually, nothing_left_behind, settle

__all__ = ["nothing_left_behind"]


class Dialled:
    """A dialler that returns the given connections, and then fails like an unavailable Redis."""

    def __init__(self) -> None:
        self.connections = [FakeConnection()]
        self.made: list[FakeConnection] = []

    def __call__(self) -> RedisConnection:
        if not self.connections:
            raise ConnectionLost("nobody is there")
        self.made.append(self.connections.pop(0))
        return self.made[-1]


@pytest.fixture
def dial() -> Dialled:
    return Dialled()


@pytest.fixture
def pipeline(dial: Dialled, nothing_left_behind: None) -> Iterator[Pipeline]:
    made = Pipeline("test", dial, ServerReturn(), Timeouts(connect=0.1, read=0.2, write=0.1))
    made.start()
    assert made.wait_ready(1)
    yield made
    made.stop()


def ask_in_greenlets(pipeline: Pipeline, *names: str) -> list[gevent.Greenlet[..., object]]:
    """Start greenlets that return the reply or the text of the error."""
    asking = [gevent.spawn(ask, pipeline, name) for name in names]
    settle()
    return asking


def ask(pipeline: Pipeline, name: str) -> object:
    try:
        return pipeline.ask("GET", name)
    except EngineError as refused:
        return str(refused)


def outcome(greenlet: gevent.Greenlet[..., object]) -> object:
    return greenlet.get(timeout=1)


def test_waiting_commands_are_written_together(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a")
    asking += ask_in_greenlets(pipeline, "b", "c", "d")
    (redis,) = dial.made
    assert redis.batches == [[("GET", "a")]]
    redis.answer(b"1")
    eventually(lambda: len(redis.batches) == 2)
    assert redis.batches[1] == [("GET", "b"), ("GET", "c"), ("GET", "d")]
    redis.answer(b"2", b"3", b"4")
    assert [outcome(greenlet) for greenlet in asking] == [b"1", b"2", b"3", b"4"]


def test_an_error_that_redis_reports_is_for_its_caller_alone(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a", "b")
    dial.made[0].answer(error("ERR no"), b"2")
    assert [outcome(greenlet) for greenlet in asking] == ["test: ERR no", b"2"]


def test_scripts_that_redis_has_forgotten_are_loaded_and_run_again(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a", "b")
    (redis,) = dial.made
    redis.answer(error("NOSCRIPT No matching script."), b"2")
    redis.answer(*[b"sha"] * len(ALL_SCRIPTS), b"1")
    assert [outcome(greenlet) for greenlet in asking] == [b"1", b"2"]
    assert redis.batches[-1] == [("GET", "a")]


def test_commands_in_flight_fail_when_the_connection_breaks(pipeline: Pipeline, dial: Dialled) -> None:
    """Such a command may have been carried out. Commands that were not sent yet use the next connection."""
    asking = ask_in_greenlets(pipeline, "a")
    asking += ask_in_greenlets(pipeline, "b")
    dial.connections.append(FakeConnection())
    dial.made[0].break_off()
    eventually(lambda: len(dial.made) == 2 and dial.made[1].batches == [[("GET", "b")]])
    dial.made[1].answer(b"2")
    assert [outcome(greenlet) for greenlet in asking] == ["test: the test broke it", b"2"]


def test_commands_fail_immediately_while_redis_is_unavailable(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a", "b")
    dial.made[0].break_off()
    assert "test: the test broke it" in [outcome(greenlet) for greenlet in asking]
    eventually(lambda: pipeline.unavailable_reason)
    with pytest.raises(EngineError, match="nobody is there"):
        pipeline.ask("PING")
    dial.connections.append(FakeConnection())
    eventually(lambda: not pipeline.unavailable_reason)


def test_connection_to_a_former_master_is_closed(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a")
    dial.connections.append(FakeConnection())
    dial.made[0].answer(error("READONLY You can't write against a read only replica."))
    assert "READONLY" in str(outcome(asking[0]))
    eventually(lambda: len(dial.made) == 2)


def test_commands_to_a_server_that_refuses_writes_do_not_flood_the_log(
    pipeline: Pipeline, dial: Dialled, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        asking = ask_in_greenlets(pipeline, "a")
        dial.connections.append(FakeConnection())
        dial.made[-1].answer(error("READONLY You can't write against a read only replica."))
        assert "READONLY" in str(outcome(asking[0]))
        eventually(lambda: not dial.connections and pipeline.is_ready)
    assert caplog.text.count("READONLY") == 1


def test_every_call_has_a_timeout(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a", "b")
    assert [outcome(greenlet) for greenlet in asking] == ["test: no reply within 0.3 s"] * 2
    dial.made[0].answer(b"late", b"later")
    asking = ask_in_greenlets(pipeline, "c")
    dial.made[0].answer(b"3")
    assert outcome(asking[0]) == b"3"


def test_the_timeout_of_a_call_begins_with_the_call(pipeline: Pipeline, dial: Dialled) -> None:
    (first,) = ask_in_greenlets(pipeline, "a")
    gevent.sleep(0.15)
    (second,) = ask_in_greenlets(pipeline, "b")
    assert outcome(first) == "test: no reply within 0.3 s"
    assert not second.ready()
    dial.made[0].answer(b"late", b"2")
    assert outcome(second) == b"2"
    (third,) = ask_in_greenlets(pipeline, "c")
    assert outcome(third) == "test: no reply within 0.3 s"


def test_a_command_whose_caller_got_an_error_is_not_sent_any_more(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a")
    asking += ask_in_greenlets(pipeline, "b")
    assert [outcome(greenlet) for greenlet in asking] == ["test: no reply within 0.3 s"] * 2
    (redis,) = dial.made
    redis.answer(b"late")
    (last,) = ask_in_greenlets(pipeline, "c")
    redis.answer(b"3")
    assert outcome(last) == b"3"
    assert redis.batches == [[("GET", "a")], [("GET", "c")]]


def test_timeout_of_the_caller_is_raised_unchanged(pipeline: Pipeline, dial: Dialled) -> None:
    """A hook that exceeds its own timeout must not receive an error about Redis. Its command is not sent any more."""
    (first,) = ask_in_greenlets(pipeline, "a")
    with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(0.01) as limit:
        pipeline.ask("GET", "b")
    assert caught.value is limit
    dial.made[0].answer(b"1")
    assert outcome(first) == b"1"
    (last,) = ask_in_greenlets(pipeline, "c")
    assert [command for batch in dial.made[0].batches for command in batch] == [("GET", "a"), ("GET", "c")]
    dial.made[0].answer(b"3")
    assert outcome(last) == b"3"


def test_waiting_calls_fail_when_the_engine_stops(pipeline: Pipeline) -> None:
    asking = ask_in_greenlets(pipeline, "a", "b")
    pipeline.stop()
    assert [outcome(greenlet) for greenlet in asking] == ["test: the engine has stopped"] * 2
    with pytest.raises(EngineError, match="the engine has stopped"):
        pipeline.ask("PING")


def test_a_connection_that_is_not_used_is_checked(
    monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline, dial: Dialled
) -> None:
    monkeypatch.setattr(pipeline_module, "CHECK_INTERVAL", 0.01)
    (asking,) = ask_in_greenlets(pipeline, "a")
    (redis,) = dial.made
    redis.answer(b"1")
    assert outcome(asking) == b"1"
    eventually(lambda: [("PING",)] in redis.batches)


def test_the_connection_of_an_engine_that_another_thread_has_created_is_checked(
    monkeypatch: pytest.MonkeyPatch, dial: Dialled, nothing_left_behind: None
) -> None:
    monkeypatch.setattr(pipeline_module, "CHECK_INTERVAL", 0.01)
    with ThreadPoolExecutor() as another:
        pipeline = another.submit(Pipeline, "test", dial, ServerReturn(), Timeouts(1, 1, 1)).result()
    pipeline.start()
    try:
        eventually(lambda: dial.made and [("PING",)] in dial.made[0].batches)
    finally:
        pipeline.stop()


def test_commands_without_a_reply_are_counted_as_waiting(pipeline: Pipeline, dial: Dialled) -> None:
    asking = ask_in_greenlets(pipeline, "a")
    asking += ask_in_greenlets(pipeline, "b", "c")
    assert pipeline.waiting == 3
    dial.made[0].answer(b"1")
    eventually(lambda: pipeline.waiting == 2)
    dial.made[0].answer(b"2", b"3")
    gevent.joinall(asking)
    assert pipeline.waiting == 0
    assert pipeline.round_trips.count == 2


def test_a_link_notes_when_and_why_its_connection_was_lost(pipeline: Pipeline, dial: Dialled) -> None:
    ready_since = pipeline.changed_at
    assert (pipeline.error, pipeline.reconnects) == ("", 0)
    dial.made[0].break_off()
    ask_in_greenlets(pipeline, "a")
    eventually(lambda: pipeline.unavailable_reason)
    lost_at = pipeline.changed_at
    assert lost_at >= ready_since
    assert pipeline.error == "nobody is there"
    assert pipeline.error_at >= lost_at
    eventually(lambda: pipeline.error_at > lost_at + 0.05)
    assert pipeline.changed_at == lost_at, "further attempts do not change since when it is away"
    dial.connections.append(FakeConnection())
    eventually(lambda: pipeline.is_ready)
    assert pipeline.reconnects == 1
    assert pipeline.changed_at > lost_at
