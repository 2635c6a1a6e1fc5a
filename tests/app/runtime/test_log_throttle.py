"""Behaviour of throttled logs: which messages are logged, suppressed and counted."""

from __future__ import annotations

import logging

import pytest

from gentrifugo.app.runtime.log_throttle import LOG_INTERVAL, ONCE, ThrottledLog, kind_of, place_of
from tests.fakes import FakeClock

log = logging.getLogger(__name__)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_the_first_message_of_each_kind_is_logged(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, clock=clock)
    actions = ("publish", "subscribe", "publish")
    logged = [throttled.log(action, "cannot %s: %s", action, "the engine is down") for action in actions]
    assert logged == [True, True, False]
    assert caplog.messages == ["cannot publish: the engine is down", "cannot subscribe: the engine is down"]


def test_messages_of_one_kind_may_differ(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, clock=clock)
    throttled.log("publish", "cannot publish in %s", "news")
    throttled.log("publish", "cannot publish in %s", "chat")
    assert caplog.messages == ["cannot publish in news"]


def test_message_after_the_interval_has_the_number_of_suppressed_messages(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    throttled = ThrottledLog(log, clock=clock)
    for _ in range(4):
        throttled.log("publish", "cannot publish")
    clock.advance(LOG_INTERVAL)
    throttled.log("publish", "cannot publish")
    clock.advance(LOG_INTERVAL)
    throttled.log("publish", "cannot publish")
    assert caplog.messages == [
        "cannot publish",
        "cannot publish (3 more suppressed since the last one)",
        "cannot publish",
    ]


def test_suppressed_message_does_not_extend_the_interval(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, interval=10, clock=clock)
    for _ in range(3):
        throttled.log("publish", "cannot publish")
        clock.advance(5)
    assert len(caplog.messages) == 2


def test_interval_once_suppresses_all_further_messages(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, interval=ONCE, clock=clock)
    throttled.log("version 2", "ignored")
    clock.advance(1e9)
    throttled.log("version 2", "ignored")
    assert caplog.messages == ["ignored"]


def test_kinds_above_the_limit_are_not_logged_but_known_ones_are(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    throttled = ThrottledLog(log, interval=10, max_keys=2, clock=clock)
    for kind in ("a", "b", "c"):
        throttled.log(kind, "%s", kind)
    clock.advance(10)
    for kind in ("b", "a", "c"):
        throttled.log(kind, "%s", kind)
    assert caplog.messages == ["a", "b", "b", "a"]


def test_new_kinds_replace_those_whose_interval_is_over(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, interval=10, max_keys=2, clock=clock)
    for kind in ("a", "b", "a"):
        throttled.log(kind, "%s", kind)
    clock.advance(10)
    for kind in ("b", "c", "d", "a"):
        throttled.log(kind, "%s", kind)
    clock.advance(10)
    throttled.log("a", "%s", "a")
    assert caplog.messages == ["a", "b", "b", "c", "a"]


def test_once_logged_kinds_are_never_replaced(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, interval=ONCE, max_keys=1, clock=clock)
    throttled.log("a", "a")
    clock.advance(1e9)
    throttled.log("b", "b")
    assert caplog.messages == ["a"]


def test_after_a_reset_every_kind_is_logged_again(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, interval=ONCE, max_keys=1, clock=clock)
    throttled.log("a", "a")
    throttled.log("a", "a")
    throttled.reset()
    throttled.log("b", "b")
    assert caplog.messages == ["a", "b"]


def test_level_traceback_and_place_are_those_of_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("wrong")
    ThrottledLog(log, logging.WARNING).log("hook", "a hook failed", error=error)
    (record,) = caplog.records
    assert (record.levelno, record.filename) == (logging.WARNING, "test_log_throttle.py")
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_percent_sign_in_an_argument_is_only_text(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(log, clock=clock)
    for _ in range(2):
        throttled.log("a", "refused: %s", "100%s")
    clock.advance(LOG_INTERVAL)
    throttled.log("a", "refused: %s", "100%s")
    assert caplog.messages == ["refused: 100%s", "refused: 100%s (1 more suppressed since the last one)"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("namespace 'a' is not configured", 'namespace "it\'s" is not configured'),
        (f"namespace {'a' + chr(92) + chr(39)!r} is", "namespace 'b' is"),
        ("got `str` - at `$.exp`", "got `int` - at `$.nbf`"),
        ("timeout (3 s)", "timeout (5 s)"),
        ("no reply within 3 s", "no reply within 12.5 s"),
        ("failed in <Object at 0x7f01>", "failed in <Object at 0x7f02>"),
        ("failed at 0x7f01: refused", "failed at 10.0.0.1: refused"),
        ("namespace 'a", "namespace 'b and the rest"),
    ],
)
def test_reasons_of_one_kind_differ_only_in_texts_and_numbers(first: str, second: str) -> None:
    assert kind_of(first) == kind_of(second) != ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("invalid token for 'a': token is for another user", "invalid token for 'a': token is for another channel"),
        ("the backend answered with status 500", "the backend answered with status 404"),
        ("field data is not JSON", "field info is not JSON"),
        ("field b64data is not JSON", "field b64info is not JSON"),
        ("timeout", "connection refused"),
    ],
)
def test_different_mistakes_are_of_different_kinds(first: str, second: str) -> None:
    assert kind_of(first) != kind_of(second)


def test_texts_of_peers_are_no_part_of_the_kind() -> None:
    assert len({kind_of(f"unknown method {text!r}") for text in ("a", "b'c", 'd"e', "f'g\"h", "i\\'j", "(", "<")}) == 1


def raised(error: Exception, again: bool = False) -> Exception:
    try:
        if again:
            raise error
        raise error
    except Exception as caught:
        return caught


def test_exceptions_are_alike_if_one_line_has_raised_them_with_one_type() -> None:
    places = [place_of(raised(ValueError(text))) for text in ("a", "b")]
    assert places[0] == places[1]
    assert place_of(raised(KeyError())) != places[0]
    assert place_of(raised(ValueError(), again=True)) != places[0]
    assert place_of(ValueError()) == "ValueError"
