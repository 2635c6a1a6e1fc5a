"""Sending to many sockets with one call, by the optional C module `_send_many`.

The installation compiles it if there is a C compiler and the header files of Python. Without it, or with
`GENTRIFUGO_SPEEDUPS=0` in the environment, the flusher calls `send` for one socket after the other. This takes more CPU
time, and nothing else changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ..runtime.cpu_meter import SpareCPU

SendMany = Callable[[list[int], list[bytes]], list[int]]
"""Sends each buffer to the descriptor at the same place; returns for each the bytes sent, or a negative errno."""
CompiledSendMany = Callable[[list[int], list[bytes], bool], list[int]]
"""Sends like SendMany; the last argument says whether a helper thread may take a part of many buffers."""

SHARED_FROM = 64
"""The number of sockets from which the helper thread takes part: to wake it takes about as long as one send."""

compiled_send_many: CompiledSendMany | None = None
"""The function of the C module; None if it is not compiled."""
try:
    from ._send_many import send_many as compiled_send_many
except ImportError:  # pragma: no cover (the tests compile the module)
    pass

SPEEDUPS_SWITCH = "GENTRIFUGO_SPEEDUPS"
"""The environment variable that switches the C module off, with the value 0."""


def chosen_send_many(has_spare_cpu: Callable[[], bool] | None = None) -> SendMany | None:
    """Return the function of the C module, or None if it is not compiled or switched off.

    The function shares its work with a helper thread while there is CPU time to spare. On a busy machine, the helper
    would take time from the peers: a third of the deliveries to 1000 subscribers, published without pause on two CPUs.
    """
    compiled = compiled_send_many
    if compiled is None or os.environ.get(SPEEDUPS_SWITCH) == "0":
        return None
    has_spare_cpu = has_spare_cpu or SpareCPU()
    return lambda descriptors, buffers: compiled(
        descriptors, buffers, len(descriptors) >= SHARED_FROM and has_spare_cpu()
    )


def describe_speedups() -> str:
    """Return whether the C module is used, and if not, why, for the log and for `gentrifugo doctor`."""
    if os.environ.get(SPEEDUPS_SWITCH) == "0":
        return f"C module for sending: switched off by {SPEEDUPS_SWITCH}=0"
    if compiled_send_many is None:
        return "C module for sending: not compiled"
    return "C module for sending: used"
