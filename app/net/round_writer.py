"""Writes the waiting frames of many outboxes: with the C module many of them by one call, otherwise one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from .bulk_send import SendWaiting
from .flushable import Flushable

log = logging.getLogger(__name__)


def write_all(outboxes: list[Flushable], send_waiting: SendWaiting | None) -> None:
    """Write all frames of these outboxes. Never switches greenlets, and never raises an exception."""
    if send_waiting is None:
        _write(outboxes)
        return
    try:
        unfinished = send_waiting(outboxes)
    except Exception:  # nothing was sent, because the memory does not suffice for the frames of all of them, say
        _write(outboxes)
        return
    if unfinished is None:
        log.error("internal error: the results of writing are lost, closing %d connections", len(outboxes))
        for outbox in outboxes:
            outbox.fail("internal server error")
    else:
        # Before the others are written: their errors close connections, whose results would then be of no use.
        _take_results((outbox, sent) for outbox, sent in unfinished if sent is not None)
        _write([outbox for outbox, sent in unfinished if sent is None])


def _take_results(results: Iterator[tuple[Flushable, int]]) -> None:
    """Give each outbox the result of sending its frames."""
    for outbox, sent in results:
        try:
            outbox.take_result(sent)
        except Exception as error:
            _close_broken(outbox, error)


def _write(outboxes: list[Flushable]) -> None:
    """Let each outbox write its frames, joined. Those are joined one outbox after the other, which takes less memory.

    Subscribers of one channel mostly wait for the same frames, which are joined once.
    """
    last_frames: list[bytes] = []
    data = b""
    for outbox in outboxes:
        try:
            frames = outbox.frames
            # Cheap, because Python compares the identity of the items before it compares bytes.
            if frames != last_frames:
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                last_frames = frames
            outbox.write(data)
        except Exception as error:
            _close_broken(outbox, error)


def _close_broken(outbox: Flushable, error: Exception) -> None:
    """Close the connection of an outbox that has raised an unexpected exception. The round continues."""
    log.error("internal error while writing, closing connection", exc_info=error)
    outbox.fail("internal server error")
