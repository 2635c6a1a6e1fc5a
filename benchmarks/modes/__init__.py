"""The kinds of benchmark, by name."""

from __future__ import annotations

from benchmarks.mode import Mode
from benchmarks.modes import api, churn, connect, fanout, idle, paced, polls, streams

MODES: dict[str, Mode] = {
    "fanout": fanout.MODE,
    "paced": paced.MODE,
    "api": api.MODE,
    "connect": connect.MODE,
    "idle": idle.MODE,
    "churn": churn.MODE,
    "polls": polls.MODE,
    "streams": streams.MODE,
}
