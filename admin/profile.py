"""A sampling CPU profile of this process: the stack at each tick of a timer that counts CPU time.

A signal interrupts the running greenlet, so functions are not traced and hardly slower:
100 samples a second cost less than 0.1 % of the CPU. Functions are distinguished by name
and file; the line is the first one of the function.
"""

from __future__ import annotations

import signal
from collections import Counter
from types import FrameType
from typing import Any

import gevent

SAMPLE_INTERVAL = 0.01
"""Seconds of CPU time between two samples."""
MAX_STACK_DEPTH = 200
"""Maximum number of frames of one stack; the outermost ones are left out."""

Place = tuple[str, str, int]
"""Name of a function, its file and first line."""
Samples = Counter[tuple[Place, ...]]


class ProfileInProgress(Exception):
    """Raised while another profile is being taken."""


_running = False


def sample(seconds: float) -> Samples:
    """Count how often each stack (outermost function first) was sampled. Blocks for `seconds`.

    Raises ProfileInProgress."""
    global _running
    if _running:
        raise ProfileInProgress("another profile is being taken: only one at a time is possible in a process")
    samples: Samples = Counter()

    def note(number: int, frame: FrameType | None) -> None:
        samples[_places(frame)] += 1

    _running = True
    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_INTERVAL, SAMPLE_INTERVAL)
    try:
        gevent.sleep(seconds)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        _running = False
    return samples


def _places(frame: FrameType | None) -> tuple[Place, ...]:
    places: list[Place] = []
    while frame is not None and len(places) < MAX_STACK_DEPTH:
        code = frame.f_code
        places.append((code.co_qualname, code.co_filename, code.co_firstlineno))
        frame = frame.f_back
    return tuple(reversed(places))


def format_collapsed(samples: Samples) -> str:
    """Format samples for flamegraph.pl, with a line for each stack."""
    lines = (
        ";".join(f"{name} ({_module(file)}:{line})" for name, file, line in stack) + f" {count}"
        for stack, count in samples.most_common()
    )
    return "".join(f"{line}\n" for line in lines)


def _module(file: str) -> str:
    return file.rpartition("/")[2]


def format_speedscope(samples: Samples) -> dict[str, Any]:
    """Convert samples to the file format of speedscope (https://www.speedscope.app/file-format-schema.json)."""
    frames: dict[Place, int] = {}
    stacks, weights = [], []
    for stack, count in samples.most_common():
        stacks.append([frames.setdefault(place, len(frames)) for place in stack])
        weights.append(count * SAMPLE_INTERVAL)
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": name, "file": file, "line": line} for name, file, line in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": "CPU",
                "unit": "seconds",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": stacks,
                "weights": weights,
            }
        ],
        "name": "Gentrifugo",
        "exporter": "gentrifugo",
    }
