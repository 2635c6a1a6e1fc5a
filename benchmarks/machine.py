"""Describes the machine and the versions with which figures were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

C_MODULE = "gentrifugo.app.net._send_many"


def describe() -> list[tuple[str, str]]:
    """Describe the machine as names and values."""
    return [
        ("Processor", f"{_processor()}, {_cores()}"),
        ("System", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("gevent", version("gevent")),
        ("greenlet", version("greenlet")),
        ("C module for sending", "compiled" if has_c_module() else "not compiled"),
    ]


def has_c_module() -> bool:
    """Return whether the C module for sending has been compiled."""
    return find_spec(C_MODULE) is not None


def _cores() -> str:
    count = len(os.sched_getaffinity(0))
    return f"{count} core" + "s" * (count != 1)


def _processor() -> str:
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = ()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
