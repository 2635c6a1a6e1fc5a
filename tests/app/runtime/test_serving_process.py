"""Settings of Python and gevent in processes that serve connections, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

TUNE = """
import gc
from gentrifugo.app.runtime.serving_process import tune_for_serving
{before}
oldest = gc.get_threshold()[2:]
tune_for_serving()
assert gc.get_threshold()[2:] == oldest
print(*gc.get_threshold()[:2], gc.isenabled(), gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "20000 50 True True"),
        ("gc.set_threshold(1000, 5, 5)", "20000 50 True True"),
        ("gc.set_threshold(50000, 20, 20)", "50000 50 True True"),
        ("gc.set_threshold(1000, 60, 20)", "20000 60 True True"),
        ("gc.set_threshold(0)", "0 10 True True"),
        ("gc.disable()", "20000 50 False True"),
    ],
    ids=["default", "lower", "first is higher", "second is higher", "first is zero", "disabled"],
)
def test_only_lower_thresholds_are_raised(before: str, after: str) -> None:
    command = [sys.executable, "-P", "-c", TUNE.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == after


def test_gevent_does_not_store_which_code_has_created_a_greenlet() -> None:
    script = """
import gevent
from gentrifugo.app.runtime.serving_process import tune_for_serving
tune_for_serving()
print(gevent.spawn(int).spawning_stack)
"""
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "None"
