"""A link reopens a lost connection, and ends the retry delays of other links to the same server."""

from __future__ import annotations

import gevent
import pytest

from gentrifugo.engines.redis import link
from gentrifugo.engines.redis.connection import RedisConnection
from gentrifugo.engines.redis.link import ServerReturn
from gentrifugo.engines.redis.pipeline import Pipeline
from gentrifugo.engines.redis.settings import Timeouts
from tests.engines.redis.fakes import FakeConnection
from tests.engines.redis.test_pipeline import Dialled
from tests.greenlets import eventually, nothing_left_behind

__all__ = ["nothing_left_behind"]

LONG = 60.0

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def test_reconnected_link_ends_the_delay_of_other_links(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "INITIAL_DELAY", LONG)
    monkeypatch.setattr(link, "MAX_DELAY", LONG)
    server_return = ServerReturn()
    dials = [Dialled(), Dialled()]
    links = [Pipeline("test", dial, server_return, Timeouts()) for dial in dials]
    pausing, returning = links
    dials[0].connections.clear()
    pausing.start()
    eventually(lambda: pausing.unavailable_reason)
    dials[0].connections.append(FakeConnection())
    returning.start()
    returning.unavailable_reason = "the server was away"
    eventually(lambda: pausing.is_ready)
    for started in links:
        started.stop()


def test_earlier_reconnect_does_not_shorten_a_later_delay() -> None:
    server_return = ServerReturn()
    server_return.announce()
    waiting = gevent.spawn(server_return.wait, LONG)
    gevent.sleep(0.01)
    assert not waiting.ready()
    server_return.announce()
    waiting.join(timeout=5)
    assert waiting.ready()


class Broken(Dialled):
    """A link that once raises an unexpected exception."""

    def __init__(self) -> None:
        super().__init__()
        self.has_failed = False

    def __call__(self) -> RedisConnection:
        if not self.has_failed:
            self.has_failed = True
            raise ValueError("a bug")
        return super().__call__()


def test_after_an_unexpected_exception_the_link_connects_again(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline("test", Broken(), ServerReturn(), Timeouts())
    pipeline.start()
    assert pipeline.wait_ready(5)
    pipeline.stop()
    assert "test: internal error, retrying" in caplog.text
