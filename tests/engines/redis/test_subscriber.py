"""Subscriptions are sent and restored together, and a gap is reported."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import pytest

from gentrifugo.engines.base import EngineError
from gentrifugo.engines.redis import subscriber as subscriber_module
from gentrifugo.engines.redis.connection import ConnectionLost
from gentrifugo.engines.redis.link import ServerReturn
from gentrifugo.engines.redis.settings import Timeouts
from gentrifugo.engines.redis.subscriber import NAMES_PER_COMMAND, Subscriber
from tests.engines.redis.fakes import FakeConnection, error
from tests.engines.redis.test_pipeline import Dialled
from tests.greenlets import eventually, nothing_left_behind, settle

__all__ = ["nothing_left_behind"]


class Reader:
    """A handler that records the calls of the subscriber."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def handle_message(self, name: bytes, data: bytes) -> None:
        self.told.append((name, data))

    def handle_gap(self, names: list[bytes]) -> None:
        self.told.append(("gap", names))

    def handle_resubscribed(self, name: bytes) -> None:
        self.told.append(("return", name))


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def dial() -> Dialled:
    return Dialled()


@pytest.fixture
def subscriber(dial: Dialled, reader: Reader, nothing_left_behind: None) -> Iterator[Subscriber]:
    made = Subscriber("test", dial, ServerReturn(), Timeouts(connect=0.1, read=0.2, write=0.1), reader, [b"control"])
    made.start()
    eventually(lambda: dial.made and dial.made[0].batches)
    confirm(dial.made[0], b"control")
    assert made.wait_ready(1)
    yield made
    made.stop()


def confirm(redis: FakeConnection, *names: bytes, verb: bytes = b"subscribe") -> None:
    redis.answer(*([verb, name, 1] for name in names))


def subscribe_in_greenlets(subscriber: Subscriber, *names: bytes) -> list[gevent.Greenlet[..., None]]:
    greenlets = [gevent.spawn(subscriber.subscribe, name) for name in names]
    settle()
    return greenlets


def test_subscriber_is_ready_after_confirmed_initial_subscriptions(subscriber: Subscriber, dial: Dialled) -> None:
    assert dial.made[0].batches == [[("SUBSCRIBE", b"control")]]


def test_subscriptions_that_wait_together_are_one_command(
    subscriber: Subscriber, dial: Dialled, reader: Reader
) -> None:
    subscribing = subscribe_in_greenlets(subscriber, b"a", b"b", b"c")
    (redis,) = dial.made
    assert redis.batches[-1] == [("SUBSCRIBE", b"a", b"b", b"c")]
    assert not any(greenlet.ready() for greenlet in subscribing)
    confirm(redis, b"a", b"b", b"c")
    gevent.joinall(subscribing, timeout=1, raise_error=True)
    redis.answer([b"message", b"b", b"data"])
    eventually(lambda: reader.told == [(b"b", b"data")])


def test_all_subscriptions_are_restored_in_batches(subscriber: Subscriber, dial: Dialled, reader: Reader) -> None:
    names = [b"%d" % number for number in range(2 * NAMES_PER_COMMAND)]
    subscribing = subscribe_in_greenlets(subscriber, *names)
    confirm(dial.made[0], *names)
    gevent.joinall(subscribing, timeout=5, raise_error=True)
    dial.connections.append(FakeConnection())
    dial.made[0].break_off()
    eventually(lambda: len(dial.made) == 2 and len(dial.made[1].batches) == 3)
    sent = [command for batch in dial.made[1].batches for command in batch]
    assert [len(command) - 1 for command in sent] == [NAMES_PER_COMMAND, NAMES_PER_COMMAND, 1]
    assert {name for command in sent for name in command[1:]} == {b"control", *names}
    assert reader.told == [("gap", [b"control", *names])]
    assert not subscriber.is_ready
    confirm(dial.made[1], b"control", *names)
    assert subscriber.wait_ready(1)
    assert reader.told[1:] == [("return", name) for name in (b"control", *names)]


def test_unconfirmed_subscription_fails_and_is_undone(subscriber: Subscriber, dial: Dialled) -> None:
    with pytest.raises(EngineError, match=r"no reply within 0\.3 s"):
        subscriber.subscribe(b"a")
    assert not subscriber.is_wanted(b"a")
    eventually(lambda: dial.made[0].batches[-1] == [("UNSUBSCRIBE", b"a")])


def test_timeout_of_the_caller_is_raised_unchanged_and_undoes_the_subscription(
    subscriber: Subscriber, dial: Dialled
) -> None:
    with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(0.01) as limit:
        subscriber.subscribe(b"a")
    assert caught.value is limit
    assert not subscriber.is_wanted(b"a")
    eventually(lambda: dial.made[0].batches[-1] == [("UNSUBSCRIBE", b"a")])


def test_subscribe_during_connection_loss_fails(subscriber: Subscriber, dial: Dialled) -> None:
    gevent.spawn_later(0.01, dial.made[0].break_off)
    with pytest.raises(EngineError, match="connection lost"):
        subscriber.subscribe(b"a")
    eventually(lambda: subscriber.unavailable_reason)
    with pytest.raises(EngineError, match="nobody is there"):
        subscriber.subscribe(b"b")


def test_unsubscribe_during_connection_loss_succeeds(subscriber: Subscriber, dial: Dialled) -> None:
    (subscribing,) = subscribe_in_greenlets(subscriber, b"a")
    confirm(dial.made[0], b"a")
    subscribing.get(timeout=1)
    leaving = gevent.spawn(subscriber.unsubscribe, b"a")
    settle()
    dial.made[0].break_off()
    leaving.get(timeout=1)
    assert not subscriber.is_wanted(b"a")


@pytest.mark.parametrize(
    "reply",
    [error("ERR no such thing"), [b"subscribe", b"other", 1], [b"pong", b""]],
    ids=["an error", "another confirmation", "an answer to no PING"],
)
def test_a_reply_that_does_not_fit_ends_the_connection(
    subscriber: Subscriber, dial: Dialled, reader: Reader, reply: object
) -> None:
    dial.made[0].answer(reply)
    eventually(lambda: subscriber.unavailable_reason)
    assert reader.told == [("gap", [b"control"])]


def test_a_connection_that_is_not_used_is_checked(
    monkeypatch: pytest.MonkeyPatch, subscriber: Subscriber, dial: Dialled
) -> None:
    monkeypatch.setattr(subscriber_module, "CHECK_INTERVAL", 0.01)
    subscribing = subscribe_in_greenlets(subscriber, b"a")
    confirm(dial.made[0], b"a")
    gevent.joinall(subscribing)
    eventually(lambda: [("PING",)] in dial.made[0].batches)


# -- marks


def test_wait_ends_when_earlier_publications_have_arrived(
    subscriber: Subscriber, dial: Dialled, reader: Reader
) -> None:
    (redis,) = dial.made
    waiting = [gevent.spawn(subscriber.wait_until_passed) for _ in range(2)]
    settle()
    assert redis.batches[-1] == [("PING",)] * 2
    asked_at = time.monotonic()
    redis.answer([b"message", b"control", b"data"])
    settle()
    assert not any(greenlet.ready() for greenlet in waiting)
    redis.answer([b"pong", b""], [b"pong", b""])
    gevent.joinall(waiting, timeout=1, raise_error=True)
    assert [greenlet.value for greenlet in waiting] == [True, True]
    assert reader.told == [(b"control", b"data")]
    assert 0 < subscriber.passed_at <= asked_at


def test_wait_fails_when_the_connection_breaks(subscriber: Subscriber, dial: Dialled) -> None:
    waiting = gevent.spawn(subscriber.wait_until_passed)
    settle()
    breaks = subscriber.breaks
    dial.made[0].break_off()
    assert waiting.get(timeout=1) is False
    assert subscriber.breaks == breaks + 1


def test_without_connection_the_wait_ends_immediately(dial: Dialled, reader: Reader) -> None:
    assert Subscriber("test", dial, ServerReturn(), Timeouts(), reader, [b"control"]).wait_until_passed() is False


def test_a_connection_that_cannot_be_written_is_ended_for_its_reader(
    subscriber: Subscriber, dial: Dialled, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(commands: object) -> None:
        raise ConnectionLost("Broken pipe")

    monkeypatch.setattr(dial.made[0], "send", fail)
    waiting = gevent.spawn(subscriber.wait_until_passed)
    assert waiting.get(timeout=1) is False
    assert ("gap", [b"control"]) in reader.told
