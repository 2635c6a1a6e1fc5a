"""Behaviour of hooks by themselves: which are called, what they change, and how their failures are handled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from gentrifugo.app.model.errors import Refused
from gentrifugo.app.model.json_codec import decode_embedded
from gentrifugo.app.node import hooks as hooks_module
from gentrifugo.app.node.breakdowns import Breakdowns, HookKind
from gentrifugo.app.node.hooks import (
    CONCURRENT_NOTIFICATIONS,
    CONNECT,
    DISCONNECT,
    PUBLISH,
    Context,
    DisconnectClient,
    Hook,
    Hooks,
    Refuse,
    Undelivered,
    call_directly,
)
from gentrifugo.app.node.refusals import Refusals
from tests.greenlets import eventually, nothing_left_behind, settle

__all__ = ["nothing_left_behind"]

TIMEOUT = 0.05


@pytest.fixture
def hooks(nothing_left_behind: None) -> Hooks:
    return Hooks(lambda: TIMEOUT, call_directly, Breakdowns(), Refusals())


def refused_with(hooks: Hooks, event: str = CONNECT) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        hooks.ask(Context(event))
    return caught.value.error.text, caught.value.error.advice


def raising(error: BaseException) -> Callable[[Context], None]:
    def hook(context: Context) -> None:
        raise error

    return hook


def setting(**values: Any) -> Callable[[Context], None]:
    def hook(context: Context) -> None:
        for name, value in values.items():
            setattr(context, name, value)

    return hook


def sleep(context: Context) -> None:
    gevent.sleep(10)


def test_without_hooks_nothing_is_changed(hooks: Hooks) -> None:
    assert not hooks
    assert not hooks.has(CONNECT)
    assert hooks.ask(Context(CONNECT, user="42", info={"name": "Ann"})) == ("42", b'{"name":"Ann"}', b"")


def test_all_hooks_of_an_event_are_called_in_turn_with_the_same_context(hooks: Hooks) -> None:
    seen: list[object] = []
    for _ in range(2):
        hooks.add(CONNECT, lambda context: seen.append((id(context), context.user)))
        hooks.add(CONNECT, setting(user="43"))
    hooks.add(PUBLISH, seen.append)
    context = Context(CONNECT, user="42")
    assert hooks.ask(context).user == "43"
    assert seen == [(id(context), "42"), (id(context), "43")]


def test_a_hook_can_replace_published_data(hooks: Hooks) -> None:
    hooks.add(PUBLISH, setting(data={"text": "hello"}))
    assert hooks.ask(Context(PUBLISH, data=1)).data == b'{"text":"hello"}'


def test_a_user_may_be_a_number(hooks: Hooks) -> None:
    hooks.add(CONNECT, setting(user=42))
    assert hooks.ask(Context(CONNECT)).user == "42"


@pytest.mark.parametrize(
    ("hook", "error"),
    [
        (lambda context: False, ("permission denied", "fix")),
        (raising(Refuse()), ("permission denied", "fix")),
        (raising(Refuse("too many")), ("too many", "fix")),
        (raising(ValueError("what a secret")), ("internal server error", "retry")),
        (raising(Undelivered("no answer")), ("internal server error", "retry")),
        (setting(user=[42]), ("internal server error", "retry")),
        (setting(user=True), ("internal server error", "retry")),
        (setting(user="\ud800"), ("internal server error", "retry")),
        (setting(info=object()), ("internal server error", "retry")),
        (sleep, ("internal server error", "retry")),
    ],
    ids=[
        "False",
        "Refuse",
        "reason",
        "exception",
        "undelivered",
        "user",
        "bool",
        "half a pair",
        "info",
        "hangs",
    ],
)
def test_refusals_and_failures_of_a_hook_become_errors(
    hooks: Hooks, hook: Callable[[Context], object], error: tuple[str, str]
) -> None:
    hooks.add(CONNECT, hook)
    assert refused_with(hooks) == error


def test_after_a_refusal_no_other_hook_is_called(hooks: Hooks) -> None:
    seen: list[Context] = []
    hooks.add(CONNECT, lambda context: False)
    hooks.add(CONNECT, seen.append)
    refused_with(hooks)
    assert seen == []


@pytest.mark.parametrize("answer", [None, True, 0, "", "no", []], ids=repr)
def test_answers_other_than_false_do_not_refuse(hooks: Hooks, answer: object) -> None:
    hooks.add(CONNECT, lambda context: answer)
    assert hooks.ask(Context(CONNECT, user="42")).user == "42"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("\ud83d\ude00", "\U0001f600"),
        ({"code": 7}, "{'code': 7}"),
        (7, "7"),
        (None, "permission denied"),
        ("", "permission denied"),
    ],
    ids=repr,
)
def test_a_reason_is_text_that_can_be_sent(hooks: Hooks, reason: object, text: str) -> None:
    hooks.add(CONNECT, raising(Refuse(reason)))
    assert refused_with(hooks)[0] == text


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), BaseException("odd")], ids=repr)
def test_system_exit_and_other_exceptions_are_failures_of_the_hook(
    hooks: Hooks, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.add(CONNECT, raising(error))
    assert refused_with(hooks) == ("internal server error", "retry")
    assert hooks.notify(Context(CONNECT))
    assert "raising.<locals>.hook (connect) failed" in caplog.messages[0]


@pytest.mark.parametrize("error", [gevent.GreenletExit(), KeyboardInterrupt()], ids=repr)
def test_greenlet_exit_and_keyboard_interrupt_pass_through_hooks(hooks: Hooks, error: BaseException) -> None:
    hooks.add(CONNECT, raising(error))
    for call in (hooks.ask, hooks.notify):
        with pytest.raises(type(error)):
            call(Context(CONNECT))


def test_timeout_around_a_view_is_not_logged_as_failure_of_the_hook(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.add(CONNECT, sleep)
    with gevent.Timeout(TIMEOUT / 10) as timeout, pytest.raises(gevent.Timeout) as caught:
        hooks.ask(Context(CONNECT, request="of the view"))
    assert caught.value is timeout
    assert caplog.messages == []


def closing_its_timeout(context: Context) -> None:
    with gevent.Timeout(TIMEOUT / 10):
        gevent.sleep(10)


def cancelling_its_timeout(context: Context) -> None:
    timeout = gevent.Timeout.start_new(TIMEOUT / 10)
    try:
        gevent.sleep(10)
    finally:
        timeout.cancel()


@pytest.mark.parametrize(
    ("hook", "request_"),
    [(closing_its_timeout, None), (closing_its_timeout, "of a view"), (cancelling_its_timeout, None)],
)
def test_a_timeout_within_the_hook_is_its_failure(
    hooks: Hooks, caplog: pytest.LogCaptureFixture, hook: Hook, request_: str | None
) -> None:
    hooks.add(CONNECT, hook)
    with pytest.raises(Refused, match="internal server error"):
        hooks.ask(Context(CONNECT, request=request_))
    assert caplog.messages[0].endswith("its_timeout (connect) failed")


def test_refusing_an_event_that_cannot_be_refused_is_logged(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.add(DISCONNECT, raising(Refuse()))
    assert hooks.notify(Context(DISCONNECT))
    (record,) = caplog.records
    assert record.getMessage().endswith("hook (disconnect): the hook refused, but this event cannot be refused")
    assert record.exc_info is None


@pytest.mark.parametrize("sent", [b"1e3", b"1.50", b'{"a": 1, "a": 2}', b'"\\ud800"', b"[ ]", b"null"])
def test_data_and_info_that_no_hook_changes_keep_their_bytes(hooks: Hooks, sent: bytes) -> None:
    hooks.add(PUBLISH, lambda context: None)
    value = decode_embedded(sent)
    outcome = hooks.ask(Context(PUBLISH, data=value, info=value), info=sent, data=sent)
    assert (outcome.info, outcome.data) == (sent, sent)


def test_data_that_a_hook_changes_in_place_is_changed(hooks: Hooks) -> None:
    hooks.add(PUBLISH, lambda context: context.data.append(2))
    assert hooks.ask(Context(PUBLISH, data=[1.0]), data=b"[1e0]").data == b"[1.0,2]"


def test_repeated_exceptions_are_logged_once_with_traceback(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.add(CONNECT, raising(ValueError("oh dear")))
    hooks.add(PUBLISH, raising(KeyError("another")))
    for _ in range(100):
        refused_with(hooks)
    refused_with(hooks, PUBLISH)
    first, second = caplog.records
    assert "raising.<locals>.hook (connect) failed" in first.getMessage()
    assert first.exc_info is not None
    assert "oh dear" in str(first.exc_info[1])
    assert "(publish)" in second.getMessage()


def test_a_hook_that_reaches_the_timeout_is_named_in_the_log(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.add(CONNECT, sleep)
    refused_with(hooks)
    assert caplog.messages == ["hook sleep (connect): timeout after 0.05 s (option hook_timeout)"]


def test_hooks_are_called_through_the_function_of_the_application() -> None:
    steps: list[str] = []

    def call(hook: Hook, context: Context) -> object:
        steps.append(f"enter {context.event}")
        try:
            return hook(context)
        finally:
            steps.append("exit")

    hooks = Hooks(lambda: TIMEOUT, call, Breakdowns(), Refusals())
    hooks.add(CONNECT, lambda context: steps.append("hook"))
    hooks.add(CONNECT, raising(ValueError()))
    refused_with(hooks)
    assert steps == ["enter connect", "hook", "exit", "enter connect", "exit"]


def test_a_failure_of_the_function_that_calls_hooks_refuses() -> None:
    def call(hook: Hook, context: Context) -> object:
        raise ValueError("a request that makes no sense")

    hooks = Hooks(lambda: TIMEOUT, call, Breakdowns(), Refusals())
    hooks.add(CONNECT, lambda context: None)
    assert refused_with(hooks)[0] == "internal server error"


def test_a_failing_notification_does_not_stop_the_others(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Context] = []
    for hook in (raising(ValueError()), sleep, told.append):
        hooks.add(DISCONNECT, hook)
    context = Context(DISCONNECT)
    hooks.notify_later(context)
    assert hooks.running == 1
    eventually(lambda: told == [context])
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_notify_returns_whether_all_hooks_were_reached(hooks: Hooks) -> None:
    told: list[Context] = []
    hooks.add(DISCONNECT, told.append)
    assert hooks.notify(Context(DISCONNECT))
    hooks.add(DISCONNECT, raising(Undelivered("nobody answers")))
    hooks.add(DISCONNECT, told.append)
    assert not hooks.notify(Context(DISCONNECT))
    assert len(told) == 3


def test_running_notifications_get_time_to_finish_at_shutdown(hooks: Hooks) -> None:
    told: list[Context] = []

    def hook(context: Context) -> None:
        gevent.sleep(0.01)
        told.append(context)

    hooks.add(DISCONNECT, hook)
    hooks.notify_later(Context(DISCONNECT))
    hooks.finish(1)
    assert len(told) == 1
    hooks.add(DISCONNECT, sleep, limit=lambda: 10)
    hooks.notify_later(Context(DISCONNECT))
    hooks.finish(0.05)
    assert hooks.running == 0


def test_many_hanging_notifications_do_not_block_new_ones(hooks: Hooks) -> None:
    hooks.add(DISCONNECT, sleep)
    for _ in range(3 * CONCURRENT_NOTIFICATIONS):
        hooks.notify_later(Context(DISCONNECT))
    assert hooks.running == 3 * CONCURRENT_NOTIFICATIONS
    eventually(lambda: hooks.running == 0)


def test_events_beyond_the_limit_are_discarded_with_one_line_in_the_log(
    hooks: Hooks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks_module, "MAX_WAITING_NOTIFICATIONS", 10)
    hooks.add(DISCONNECT, sleep, limit=lambda: 10)
    for _ in range(CONCURRENT_NOTIFICATIONS):
        hooks.notify_later(Context(DISCONNECT))
        settle()
    for _ in range(20):
        hooks.notify_later(Context(DISCONNECT))
    assert hooks.running == CONCURRENT_NOTIFICATIONS + 10
    assert caplog.messages == [
        "discarding events for hooks (disconnect): 10 events wait already, because hooks are too slow"
    ]
    hooks.finish(0.01)


def test_notifications_not_finished_at_shutdown_are_counted_in_the_log(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.add(DISCONNECT, sleep, limit=lambda: 10)
    for _ in range(CONCURRENT_NOTIFICATIONS + 5):
        hooks.notify_later(Context(DISCONNECT))
    hooks.finish(0.01)
    assert caplog.messages == ["shutdown timeout: hooks of 1005 events not finished within 0.01 s"]
    assert hooks.running == 0


def test_direct_notifications_count_as_running(hooks: Hooks) -> None:
    """The engine's greenlets notify hooks of channels directly."""
    hooks.add(DISCONNECT, sleep)
    telling = gevent.spawn(hooks.notify, Context(DISCONNECT))
    eventually(lambda: hooks.running == 1)
    telling.join()
    assert hooks.running == 0


def test_a_hook_with_a_limit_of_its_own_is_not_interrupted_at_that_limit(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(context: Context) -> None:
        gevent.sleep(TIMEOUT * 1.5)
        context.user = "43"

    hooks.add(CONNECT, hook, limit=lambda: TIMEOUT)
    assert hooks.ask(Context(CONNECT, user="42")).user == "43"
    assert caplog.messages == []


def test_a_coroutine_is_refused_as_a_hook(hooks: Hooks) -> None:
    async def hook(context: Context) -> bool:
        return False

    with pytest.raises(TypeError, match=r"hook .*hook for connect is a coroutine; hooks are plain functions"):
        hooks.add(CONNECT, hook)


@pytest.mark.parametrize(("thing", "kind"), [("who", "str"), (None, "NoneType")], ids=["a text", "nothing"])
def test_only_functions_are_accepted_as_hooks(hooks: Hooks, thing: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"a hook for connect must be a function, not {kind}"):
        hooks.add(CONNECT, thing)


def test_a_hook_that_is_added_after_the_start_is_refused(hooks: Hooks) -> None:
    hooks.seal()
    with pytest.raises(RuntimeError, match="cannot add hook sleep for connect: the server has already started"):
        hooks.add(CONNECT, sleep)


def test_the_longest_time_of_hooks_is_the_sum_of_their_limits(hooks: Hooks) -> None:
    hooks.add(CONNECT, sleep)
    hooks.add(CONNECT, sleep, limit=lambda: 3)
    hooks.add(PUBLISH, sleep)
    assert hooks.max_timeout(CONNECT, PUBLISH) == TIMEOUT + 3


def test_different_failures_of_a_hook_do_not_hide_each_other(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = [
        Undelivered("the backend answered with status 500"),
        Undelivered("the backend answered with status 404"),
        Undelivered("request failed: timeout"),
        ValueError("broken"),
        KeyError("broken"),
    ]
    left = iter(errors * 2)

    def hook(context: Context) -> None:
        raise next(left)

    hooks.add(CONNECT, hook)
    for _ in range(2 * len(errors)):
        refused_with(hooks)
    assert len(caplog.messages) == len(errors)


def test_failures_that_differ_only_in_detail_are_logged_once(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    numbers = iter(range(100))

    def hook(context: Context) -> None:
        raise Undelivered(f"no answer, try {next(numbers)}")

    hooks.add(CONNECT, hook)
    for _ in range(50):
        refused_with(hooks)
    (message,) = caplog.messages
    assert message.endswith("hook (connect) failed: no answer, try 0")


@pytest.mark.parametrize(("reason", "text"), [("moved", "moved"), ("", "permission denied")])
def test_a_page_is_refused_when_a_hook_disconnects_the_client(hooks: Hooks, reason: str, text: str) -> None:
    hooks.add(CONNECT, raising(DisconnectClient(4000, reason)))
    with pytest.raises(Refused) as caught:
        hooks.ask(Context(CONNECT, request=object()))
    assert caught.value.error.text == text


# -- counts


def test_calls_are_counted_by_kind_and_event_and_failures_apart(nothing_left_behind: None) -> None:
    breakdowns = Breakdowns()
    hooks = Hooks(lambda: TIMEOUT, call_directly, breakdowns, Refusals())
    hooks.add(CONNECT, lambda context: None)
    hooks.add(CONNECT, raising(Undelivered("nobody is there")), lambda: TIMEOUT, "proxy")
    hooks.add(PUBLISH, raising(Refuse()))
    assert refused_with(hooks)
    assert refused_with(hooks, PUBLISH)
    counted = {kind: (calls.durations.count, calls.failures) for kind, calls in breakdowns.hooks.items()}
    assert counted == {
        HookKind("function", CONNECT): (1, 0),
        HookKind("proxy", CONNECT): (1, 1),
        HookKind("function", PUBLISH): (1, 0),
    }


def test_a_hook_that_takes_too_long_is_counted_as_failed(nothing_left_behind: None) -> None:
    breakdowns = Breakdowns()
    hooks = Hooks(lambda: TIMEOUT, call_directly, breakdowns, Refusals())
    hooks.add(CONNECT, lambda context: gevent.sleep(10))
    assert refused_with(hooks)
    assert breakdowns.hooks[HookKind("function", CONNECT)].failures == 1
