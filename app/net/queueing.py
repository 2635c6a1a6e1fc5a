"""Queues one frame in the outboxes of all its receivers. The C module has the same function (bulk_send.py)."""

from __future__ import annotations

from collections.abc import Iterable

from .flushable import Flushable


def queue_frame(outboxes: Iterable[Flushable], frame: bytes, waiting: list[Flushable]) -> None:
    """Append the frame to each of the outboxes, and the outboxes that were empty to `waiting`.

    Calls `overflow` of an outbox in which more bytes wait than its limit. This is the hot loop: it does nothing else.
    """
    size = len(frame)
    for outbox in outboxes:
        frames = outbox.frames
        if not frames:
            waiting.append(outbox)
        frames.append(frame)
        queued = outbox.size = outbox.size + size
        if queued > outbox.limit:
            outbox.overflow()
