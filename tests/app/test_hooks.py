"""Behaviour of hooks by themselves: who is called, what stands in the end, and what a bad one costs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from gentrifugo.app.errors import Refused
from gentrifugo.app.hooks import CONNECT, DISCONNECT, PUBLISH, Context, Hooks, Refuse, Undelivered
from tests.greenlets import eventually, nothing_left_behind

__all__ = ["nothing_left_behind"]

TIMEOUT = 0.05


@pytest.fixture
def hooks(nothing_left_behind: None) -> Hooks:
    return Hooks(lambda: TIMEOUT)


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


def test_without_hooks_everything_stays(hooks: Hooks) -> None:
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


def test_what_is_published_can_be_replaced(hooks: Hooks) -> None:
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
        (raising(gevent.Timeout(1)), ("internal server error", "retry")),
        (setting(user=[42]), ("internal server error", "retry")),
        (setting(user=True), ("internal server error", "retry")),
        (setting(info=object()), ("internal server error", "retry")),
        (sleep, ("internal server error", "retry")),
    ],
    ids=[
        "False",
        "Refuse",
        "reason",
        "exception",
        "undelivered",
        "timeout of its own",
        "user",
        "bool",
        "info",
        "hangs",
    ],
)
def test_what_refuses(hooks: Hooks, hook: Callable[[Context], object], error: tuple[str, str]) -> None:
    hooks.add(CONNECT, hook)
    assert refused_with(hooks) == error


def test_after_a_refusal_no_other_is_asked(hooks: Hooks) -> None:
    seen: list[Context] = []
    hooks.add(CONNECT, lambda context: False)
    hooks.add(CONNECT, seen.append)
    refused_with(hooks)
    assert seen == []


@pytest.mark.parametrize("answer", [None, True, 0, "", "no", []], ids=repr)
def test_nothing_but_false_refuses(hooks: Hooks, answer: object) -> None:
    hooks.add(CONNECT, lambda context: answer)
    hooks.ask(Context(CONNECT))


def test_an_exception_is_logged_with_its_traceback_and_not_for_every_client(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.add(CONNECT, raising(ValueError("oh dear")))
    hooks.add(PUBLISH, raising(KeyError("another")))
    for _ in range(100):
        refused_with(hooks)
    refused_with(hooks, PUBLISH)
    first, second = caplog.records
    assert "raising.<locals>.hook (connect) failed" in first.getMessage()
    assert first.exc_info is not None and "oh dear" in str(first.exc_info[1])
    assert "(publish)" in second.getMessage()


def test_a_hook_that_hangs_is_named(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.add(CONNECT, sleep)
    refused_with(hooks)
    assert caplog.messages == ["hook sleep (connect): not done within 0.05 s (option hook_timeout)"]


def test_hooks_run_within_what_they_are_given(hooks: Hooks) -> None:
    steps: list[str] = []

    @contextmanager
    def around(context: Context) -> Iterator[None]:
        steps.append(f"enter {context.event}")
        try:
            yield
        finally:
            steps.append("exit")

    hooks.around = around
    hooks.add(CONNECT, lambda context: steps.append("hook"))
    hooks.add(CONNECT, raising(ValueError()))
    refused_with(hooks)
    assert steps == ["enter connect", "hook", "exit", "enter connect", "exit"]


def test_what_surrounds_them_may_fail(hooks: Hooks) -> None:
    @contextmanager
    def around(context: Context) -> Iterator[None]:
        raise ValueError("a request that makes no sense")
        yield

    hooks.around = around
    hooks.add(CONNECT, lambda context: None)
    assert refused_with(hooks)[0] == "internal server error"


def test_hooks_that_are_told_run_by_themselves(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Context] = []
    for hook in (raising(ValueError()), sleep, told.append):
        hooks.add(DISCONNECT, hook)
    context = Context(DISCONNECT)
    hooks.tell_later(context)
    assert hooks.running == 1
    eventually(lambda: told == [context])
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_telling_says_whether_it_came_through(hooks: Hooks) -> None:
    told: list[Context] = []
    hooks.add(DISCONNECT, told.append)
    assert hooks.tell(Context(DISCONNECT))
    hooks.add(DISCONNECT, raising(Undelivered("nobody answers")))
    hooks.add(DISCONNECT, told.append)
    assert not hooks.tell(Context(DISCONNECT))
    assert len(told) == 3


def test_those_that_are_told_get_time_in_the_end(hooks: Hooks) -> None:
    told: list[Context] = []

    def hook(context: Context) -> None:
        gevent.sleep(0.01)
        told.append(context)

    hooks.add(DISCONNECT, hook)
    hooks.tell_later(Context(DISCONNECT))
    hooks.finish(1)
    assert len(told) == 1
    hooks.add(DISCONNECT, sleep, limit=lambda: 10)
    hooks.tell_later(Context(DISCONNECT))
    hooks.finish(0.05)
    assert hooks.running == 0


def test_a_hook_that_comes_too_late_is_refused(hooks: Hooks) -> None:
    hooks.seal()
    with pytest.raises(RuntimeError, match="a hook for connect comes too late: the server has started"):
        hooks.add(CONNECT, sleep)


def test_how_long_they_take_at_most(hooks: Hooks) -> None:
    hooks.add(CONNECT, sleep)
    hooks.add(CONNECT, sleep, limit=lambda: 3)
    hooks.add(PUBLISH, sleep)
    assert hooks.longest(CONNECT, PUBLISH) == TIMEOUT + 3


def test_failures_that_differ_in_detail_alone_are_alike(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    numbers = iter(range(100))

    def hook(context: Context) -> None:
        raise Undelivered(f"no answer, try {next(numbers)}")

    hooks.add(CONNECT, hook)
    for _ in range(50):
        refused_with(hooks)
    (message,) = caplog.messages
    assert message.endswith("hook (connect): no answer, try 0")
