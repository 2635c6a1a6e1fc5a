"""Failures of the engine in the log: the first one of each action, server and cause."""

from __future__ import annotations

import pytest

from gentrifugo.app.node.engine_failures import MAX_LOGGED_CAUSES, EngineFailures
from gentrifugo.engines.base import EngineError


def test_failures_that_are_alike_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = EngineFailures()
    for number in range(3):
        failures.note("publish", EngineError(f"redis 10.0.0.1:6379: no reply within {number} s"), f"news:{number}")
        failures.note("subscribe", EngineError(f"no reply within {number} s"))
    assert caplog.messages == [
        "cannot publish: in 'news:0': redis 10.0.0.1:6379: no reply within 0 s",
        "cannot subscribe: no reply within 0 s",
    ]


def test_different_failures_of_one_action_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    failures = EngineFailures()
    for server in ("10.0.0.1", "10.0.0.2"):
        for cause in ("no reply within 1 s", "OOM command not allowed", "NOPERM no permission for 'publish'"):
            failures.note("publish", EngineError(f"redis {server}:6379: {cause}"))
    assert len(caplog.messages) == 6


def test_number_of_logged_failures_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    failures = EngineFailures()
    for number in range(2 * MAX_LOGGED_CAUSES):
        failures.note(f"action {number}", EngineError("down"))
    assert len(caplog.messages) == MAX_LOGGED_CAUSES
