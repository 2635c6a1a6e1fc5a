"""Sending to many sockets with one call, by the optional C module `_send_many`.

The installation compiles it if there is a C compiler and the header files of Python. Without it, or with
`GENTRIFUGO_SPEEDUPS=0` in the environment, the flusher calls `send` for one socket after the other. This takes more CPU
time, and nothing else changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable

SendMany = Callable[[list[int], list[bytes]], list[int]]
"""Sends each buffer to the descriptor at the same place; returns for each the bytes sent, or a negative errno."""

compiled_send_many: SendMany | None = None
"""The function of the C module; None if it is not compiled."""
try:
    from ._send_many import send_many as compiled_send_many
except ImportError:
    pass

SPEEDUPS_SWITCH = "GENTRIFUGO_SPEEDUPS"
"""The environment variable that switches the C module off, with the value 0."""


def chosen_send_many() -> SendMany | None:
    """Return the function of the C module, or None if it is not compiled or switched off."""
    return None if os.environ.get(SPEEDUPS_SWITCH) == "0" else compiled_send_many


def describe_speedups() -> str:
    """Return whether the C module is used, and if not, why, for the log and for `gentrifugo doctor`."""
    if os.environ.get(SPEEDUPS_SWITCH) == "0":
        return f"C module for sending: switched off by {SPEEDUPS_SWITCH}=0"
    if compiled_send_many is None:
        return "C module for sending: not compiled"
    return "C module for sending: used"
