"""Helpers for tests with greenlets in their own process: waiting, and checks that nothing is left running."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import gevent
import pytest

from gentrifugo.app.runtime import yielding
from tests.waiting import seconds

T = TypeVar("T")

OPEN_FILES = "/proc/self/fd"
PAUSE = 0.005
ROUNDS = 5
"""Iterations of the event loop in which all ready greenlets run, and those that these make ready."""


def eventually(check: Callable[[], T | None], within: float = 5, what: str = "") -> T:
    """Return the first true value `check` gives while other greenlets run.

    Fails when none came within the time limit.
    """
    deadline = time.monotonic() + seconds(within)
    while not (value := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds(within):g} s: {what or check}; at last: {value!r}")
        gevent.sleep(PAUSE)
    return value


def settle() -> None:
    """Run all greenlets that do not wait for a timer or a socket."""
    for _ in range(ROUNDS):
        gevent.sleep(0)


@pytest.fixture
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check at the end of the test that no greenlet and socket is left, and that no greenlet has failed."""
    _exclude_all_objects()
    errors = _errors_of_greenlets(monkeypatch)
    sockets = _sockets()
    yield
    with suppress(AssertionError):
        eventually(lambda: not _new_greenlets(), within=1)
    gc.collect()  # a greenlet or socket that nobody knows any more ends with it
    assert not _new_greenlets()
    assert not _sockets() - sockets
    assert not errors


def _errors_of_greenlets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with what the event loop reports; it prints these errors and continues."""
    hub = gevent.get_hub()
    errors = []
    report = hub.handle_error

    def record(context: Any, type_: Any, value: Any, traceback: Any) -> None:
        errors.append(f"{context}: {value!r}")
        report(context, type_, value, traceback)

    monkeypatch.setattr(hub, "handle_error", record)
    return errors


def _exclude_all_objects() -> None:
    """Exclude all objects from the search: those of imports and other tests would make it take 20 to 100 ms.

    What the test before has left is collected first, since the collector would never look at it again.
    """
    gc.collect()
    gc.freeze()


def _new_greenlets() -> set[gevent.Greenlet[..., Any]]:
    """Return the running greenlets that did not exist when `_exclude_all_objects` was called."""
    return {thing for thing in gc.get_objects() if issubclass(type(thing), gevent.Greenlet) and not thing.dead}


def _sockets() -> set[int]:
    """Return the open sockets. psutil would read the tables of all processes for them, which takes 20 ms or longer."""
    return {int(name) for name in os.listdir(OPEN_FILES) if _is_socket(f"{OPEN_FILES}/{name}")}


def _is_socket(name: str) -> bool:
    try:
        return os.readlink(name).startswith("socket:")
    except FileNotFoundError:  # closed since the directory was read, as is the directory itself
        return False


class BackgroundGreenlet:
    """A greenlet that runs beside the test in a `with` block; `turns` counts how often it has run."""

    def __init__(self) -> None:
        self.turns = 0

    def __enter__(self) -> BackgroundGreenlet:
        self._greenlet = gevent.spawn(self._work)
        return self

    def __exit__(self, *_: object) -> None:
        self._greenlet.kill()

    def _work(self) -> None:
        while True:
            self.turns += 1
            gevent.sleep(0)


@pytest.fixture
def background_greenlet(monkeypatch: pytest.MonkeyPatch, nothing_left_behind: None) -> Iterator[BackgroundGreenlet]:
    """Run a greenlet that continues whenever the code under test yields, without any time slice."""
    monkeypatch.setattr(yielding, "TIME_SLICE", -1)
    with BackgroundGreenlet() as other:
        yield other
