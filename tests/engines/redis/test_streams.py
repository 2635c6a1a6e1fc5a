"""A reply of Redis about a stream is complete only if every entry has the expected position."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from gentrifugo.app.model.events import Publication, StreamPosition
from gentrifugo.engines.base import (
    ALL,
    HistoryFilter,
    PublishConditions,
    PublishEffect,
    Suppressed,
    UnrecoverablePosition,
)
from gentrifugo.engines.redis import codec, commands
from gentrifugo.engines.redis.blocking import BlockingRedis
from gentrifugo.engines.redis.keys import Keys
from gentrifugo.engines.redis.streams import RedisStream, decode_redis_stream, effect_of, recovery_of, stream_of
from tests.engines.contract import LONG, kept, message, unplaced
from tests.engines.redis.test_engine import RedisLab, lab, servers
from tests.greenlets import nothing_left_behind
from tests.redis_server import RedisServer

__all__ = ["lab", "nothing_left_behind", "servers"]

EPOCH = "17959119570329460000000001"
TOP = StreamPosition(3, EPOCH)


def entry(offset: int, epoch: str = EPOCH) -> bytes:
    """An entry of a history with the uid of its offset."""
    position = msgspec.msgpack.encode(offset) + msgspec.msgpack.encode(epoch)
    return codec.encode_unplaced(message(f"u{offset}"), is_stored=True) + position


def found(entries: Sequence[bytes], is_valid: int = 1) -> RedisStream:
    return decode_redis_stream("news", [EPOCH.encode(), b"3", b"", is_valid, list(entries)], codec.SkipLog())


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (b"", None),
        (2, None),
        (EPOCH.encode() + b"1", StreamPosition(1, EPOCH)),
        (EPOCH.encode() + b"12345678901", StreamPosition(12345678901, EPOCH)),
        ([EPOCH.encode() + b"12"], Suppressed(StreamPosition(12, EPOCH))),
        ([b""], Suppressed(None)),
    ],
)
def test_the_reply_to_a_publish_is_a_position(reply: object, result: PublishEffect) -> None:
    assert effect_of(reply) == result


def test_a_complete_recovery_is_oldest_first() -> None:
    recovery = recovery_of(found([entry(3), entry(2)]), StreamPosition(1, EPOCH))
    assert [publication.offset for publication in recovery.publications] == [2, 3]
    assert (recovery.top, recovery.recovered) == (TOP, True)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry(3)],
        [entry(2)],
        [entry(3), entry(1)],
        [entry(2), entry(3)],
        [entry(3), entry(2), entry(1)],
        [entry(3), entry(2, "17959119570329460000000000")],
        [entry(3), entry(2, "")],
        [entry(3), codec.encode_publication(message())],
        [entry(3), msgspec.msgpack.encode([2])],
        [entry(3), b"garbage"],
    ],
)
def test_incomplete_recovery_is_empty(entries: list[bytes]) -> None:
    assert recovery_of(found(entries), StreamPosition(1, EPOCH)) == ((), TOP, False)


def test_a_recovery_that_redis_refuses_is_empty() -> None:
    assert recovery_of(found([entry(3), entry(2)], is_valid=0), StreamPosition(1, EPOCH)) == ((), TOP, False)


def test_stream_has_the_requested_order() -> None:
    forward, reverse = (stream_of(found([entry(3), entry(2)]), HistoryFilter(ALL, None, way)) for way in (False, True))
    assert [publication.offset for publication in forward.publications] == [2, 3]
    assert [publication.offset for publication in reverse.publications] == [3, 2]
    with pytest.raises(UnrecoverablePosition):
        stream_of(found([], is_valid=0), HistoryFilter(ALL))


def test_publish_without_conditions_writes_no_keys() -> None:
    keys = Keys("p")
    assert commands.publish(keys, message(), None)[0] == "PUBLISH"
    assert "p.result.4.news.a" not in commands.publish(keys, message(), kept())
    assert "p.result.4.news.a" in commands.publish(keys, message(), kept(), PublishConditions("a"))


def test_program_that_is_not_a_node_uses_the_same_streams(lab: RedisLab) -> None:
    engine, outside = lab.listen().engine, BlockingRedis(lab.settings)
    try:
        first = outside.publish(message("1"), kept(), PublishConditions("a"))
        assert isinstance(first, StreamPosition)
        second = engine.publish(message("2"), kept())
        assert outside.publish(message("3"), kept(), PublishConditions("a")) == Suppressed(first)
        assert second == first._replace(offset=2)
        for wanted in (HistoryFilter(ALL), HistoryFilter(1, None, reverse=True), HistoryFilter(ALL, first)):
            assert outside.stream("news", wanted, LONG) == engine.stream("news", wanted, LONG)
        with pytest.raises(UnrecoverablePosition):
            outside.stream("news", HistoryFilter(ALL, StreamPosition(1, "_")), LONG)
        outcomes = outside.publish_all([(message("4"), kept(), None), (message("5"), None, None)])
        assert outcomes == [first._replace(offset=3), None]
        outside.remove_history("news")
        assert engine.stream("news", HistoryFilter(ALL), LONG) == ([], first._replace(offset=3))
    finally:
        outside.close()


def test_a_batch_has_positions_also_when_redis_has_forgotten_the_scripts(
    lab: RedisLab, servers: list[RedisServer]
) -> None:
    outside = BlockingRedis(lab.settings)
    try:
        outside.publish(message("1"), kept())
        servers[0].ask("SCRIPT", "FLUSH")
        outcomes = outside.publish_all([(message(uid), kept(), None) for uid in ("2", "3")])
        assert [outcome.offset for outcome in outcomes if isinstance(outcome, StreamPosition)] == [2, 3]
        assert unplaced(outside.history("news")) == [message("3"), message("2"), message("1")]
    finally:
        outside.close()


def test_stored_publication_equals_the_sent_one(lab: RedisLab) -> None:
    """So a publication from the history is the same as a live one."""
    listener = lab.listen()
    listener.engine.subscribe("news")
    tagged = message()._replace(tags={"a": "b"})
    position = listener.engine.publish(tagged, kept())
    listener.expect_events(tagged)
    assert list(listener.engine.history("news")) == listener.events
    (event,) = listener.events
    assert isinstance(event, Publication)
    assert StreamPosition(event.offset, event.epoch) == position
