"""Queueing and sending for many outboxes with one call, by the optional C module `_send_many`.

The installation compiles it if there is a C compiler and the header files of Python. Without it, or with
`GENTRIFUGO_SPEEDUPS=0` in the environment, the flusher writes one outbox after the other. This takes more CPU time, and
nothing else changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ..runtime.cpu_meter import SpareCPU
from .flushable import Flushable
from .queueing import queue_frame

QueueFrame = Callable[[Iterable[Flushable], bytes, list[Flushable]], None]
"""Queues a frame in each of the outboxes, and adds the outboxes that were empty to the list (queueing.py)."""
Unfinished = list[tuple[Flushable, int | None]]
"""Outboxes, each with the number of bytes sent (not all of them), a negative errno, or None without a descriptor."""
SendWaiting = Callable[[list[Flushable]], Unfinished | None]
"""Sends what waits in the outboxes with a descriptor, empties those that sent everything, and returns the others.

Returns None if the results are lost. Raises errors only before anything is sent.
"""
CompiledSendWaiting = Callable[[list[Flushable], bool], Unfinished | None]
"""Sends like SendWaiting; the last argument says whether a helper thread may take a part of many outboxes."""

SHARED_FROM = 64
"""The number of sockets from which the helper thread takes part: to wake it takes about as long as one send."""

compiled_queue_frame: QueueFrame | None = None
compiled_send_waiting: CompiledSendWaiting | None = None
"""The functions of the C module; None if it is not compiled."""
try:
    from ._send_many import queue_frame as compiled_queue_frame
    from ._send_many import send_waiting as compiled_send_waiting
except ImportError:  # pragma: no cover (the tests compile the module)
    pass

SPEEDUPS_SWITCH = "GENTRIFUGO_SPEEDUPS"
"""The environment variable that switches the C module off, with the value 0."""


def chosen_queue_frame() -> QueueFrame:
    """Return the function of the C module, or that of queueing.py if it is not compiled or switched off."""
    if compiled_queue_frame is None or os.environ.get(SPEEDUPS_SWITCH) == "0":
        return queue_frame
    return compiled_queue_frame


def chosen_send_waiting(has_spare_cpu: Callable[[], bool] | None = None) -> SendWaiting | None:
    """Return the function of the C module, or None if it is not compiled or switched off.

    The function shares its work with a helper thread while there is CPU time to spare. On a busy machine, the helper
    would take time from the peers: a third of the deliveries to 1000 subscribers, published without pause on two CPUs.
    """
    compiled = compiled_send_waiting
    if compiled is None or os.environ.get(SPEEDUPS_SWITCH) == "0":
        return None
    has_spare_cpu = has_spare_cpu or SpareCPU()
    return lambda outboxes: compiled(outboxes, len(outboxes) >= SHARED_FROM and has_spare_cpu())


def describe_speedups() -> str:
    """Return whether the C module is used, and if not, why, for the log and for `gentrifugo doctor`."""
    if os.environ.get(SPEEDUPS_SWITCH) == "0":
        return f"C module for sending: switched off by {SPEEDUPS_SWITCH}=0"
    if compiled_send_waiting is None:
        return "C module for sending: not compiled"
    return "C module for sending: used"
