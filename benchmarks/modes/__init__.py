"""The kinds of benchmark (modes), by name."""

from __future__ import annotations

from benchmarks.mode import Mode
from benchmarks.modes import api, churn, connect, fanout, idle, paced, pings, polls, streams

MODES: dict[str, Mode] = {
    "fanout": fanout.MODE,
    "paced": paced.MODE,
    "small-channels": fanout.SMALL_CHANNELS,
    "many-channels": fanout.MANY_CHANNELS,
    "api": api.MODE,
    "api-batch": api.BATCH_MODE,
    "connect": connect.MODE,
    "idle": idle.MODE,
    "pings": pings.MODE,
    "churn": churn.MODE,
    "polls": polls.MODE,
    "streams": streams.MODE,
}
