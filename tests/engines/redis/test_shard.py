"""One shard with failures of its server, its subscriptions or its user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gentrifugo.app.model.events import Publication
from gentrifugo.engines.base import EngineError, HistoryOptions
from gentrifugo.engines.redis import commands
from gentrifugo.engines.redis.keys import Keys
from gentrifugo.engines.redis.settings import ServerAddress, ShardSettings, Timeouts
from gentrifugo.engines.redis.shard import Shard
from gentrifugo.engines.redis.subscriber import Subscriber
from tests.fakes import Bus
from tests.greenlets import eventually, nothing_left_behind
from tests.redis_server import RedisServer, redis_server

__all__ = ["nothing_left_behind"]

STORED = HistoryOptions(10, 60, False)
TIMEOUTS = Timeouts(connect=0.2, read=0.5, write=0.2)


class Handler(Bus):
    """A handler that records control messages, and fails for the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.controls: list[bytes] = []

    def handle_control(self, message: bytes) -> None:
        self.controls.append(message)
        if len(self.controls) == 1:
            raise ZeroDivisionError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


@pytest.fixture
def shard(server: RedisServer, nothing_left_behind: None) -> Iterator[Shard]:
    settings = ShardSettings(ServerAddress("127.0.0.1", server.port))
    made = Shard(settings, Keys("test"), TIMEOUTS, carries_control=True)
    made.start(Handler())
    assert made.subscriber.wait_ready(5)
    assert made.pipeline.wait_ready(5)
    yield made
    made.stop()


def publish(shard: Shard, uid: str) -> None:
    shard.pipeline.ask(*commands.publish(shard.keys, Publication(uid, "news", b"{}"), STORED))


def test_failing_handler_does_not_prevent_further_messages(shard: Shard, caplog: pytest.LogCaptureFixture) -> None:
    handler = shard._handler
    assert isinstance(handler, Handler)
    for message in (b"first", b"second"):
        shard.pipeline.ask("PUBLISH", shard.keys.control, message)
    eventually(lambda: handler.controls == [b"first", b"second"])
    assert "cannot handle a message: internal error" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_stopped_shard_delivers_no_messages(shard: Shard) -> None:
    handler = shard._handler
    assert isinstance(handler, Handler)
    shard.stop()
    shard.handle_message(shard.keys.control, b"late")
    shard.deliver(Publication("1", "news", b"{}"))
    assert not shard.report_open_gap("news", 1, 1)
    assert handler.controls == []


def test_wait_for_an_echo_ends_when_the_connection_breaks(shard: Shard) -> None:
    shard.subscribe("news")
    name = shard.keys.channel("news")
    with shard.awaiting_echo(name, b"data") as heard:
        shard.handle_gap([name])
        assert heard.is_set()


class TestPassedHistory:
    """Reading a history after this node has handled all its publications."""

    def test_history_is_refused_while_redis_is_unreachable(self, shard: Shard, server: RedisServer) -> None:
        shard.subscribe("news")
        server.kill()
        eventually(lambda: shard.pipeline.unavailable_reason)
        with pytest.raises(EngineError, match="redis"):
            shard.passed_history("news")

    def test_an_error_of_redis_is_in_the_refusal(self, shard: Shard, server: RedisServer) -> None:
        shard.subscribe("news")
        server.ask("SET", shard.keys.stream("news")[0], "not a list")
        with pytest.raises(EngineError, match=r"WRONGTYPE.* within 0\.5 s"):
            shard.passed_history("news")

    @pytest.mark.parametrize("has_waited", [False, True], ids=["while it waits", "after it has waited"])
    def test_history_is_read_again_after_connection_loss(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch, has_waited: bool
    ) -> None:
        shard.subscribe("news")
        publish(shard, "1")
        waits: list[int] = []
        plain = Subscriber.wait_until_passed

        def wait(subscriber: Subscriber) -> bool:
            waits.append(subscriber.breaks)
            if len(waits) > 1:
                return plain(subscriber)
            subscriber.breaks += 1
            return has_waited

        monkeypatch.setattr(Subscriber, "wait_until_passed", wait)
        monkeypatch.setattr(shard._catch_up, "has_passed", lambda channel, uid: False)
        assert [found.uid for found in shard.passed_history("news").publications] == ["1"]
        assert len(waits) == 2
