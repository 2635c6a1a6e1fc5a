"""Writes the waiting frames of many outboxes: with the C module many of them by one call, otherwise one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Protocol

from .bulk_send import SendMany

log = logging.getLogger(__name__)


class Flushable(Protocol):
    """The interface of an outbox that the flusher uses."""

    frames: list[bytes]
    """The waiting frames. The outbox is registered with the flusher if and only if there are any."""
    size: int
    """The number of bytes that wait."""
    limit: int
    """The maximum number of bytes that may wait."""
    fileno: Callable[[], int]
    """Returns the file descriptor to which the frames may be sent without `write`, or -1."""

    def overflow(self) -> None:
        """Handle more waiting bytes than `limit`. Must not block."""

    def write(self, data: bytes) -> None:
        """Write `data`, which contains all waiting frames. Must not block."""

    def take_result(self, sent: int) -> None:
        """Process the result of sending all waiting frames: the number of sent bytes, or a negative errno."""

    def fail(self, reason: str) -> None:
        """Handle an exception that `write` or `take_result` has raised."""


def write_all(outboxes: list[Flushable], send_many: SendMany | None) -> None:
    """Write all frames of these outboxes. Never switches greenlets."""
    if send_many is None:
        _write(zip(outboxes, _joined_frames(outboxes), strict=True))  # one after the other, which takes less memory
        return
    buffers = list(_joined_frames(outboxes))
    descriptors = [outbox.fileno() for outbox in outboxes]
    if -1 not in descriptors:
        _take_results(zip(outboxes, send_many(descriptors, buffers), strict=True))
        return
    # Before the others, whose errors close connections: no descriptor of the list may be closed before this call.
    places = [place for place, descriptor in enumerate(descriptors) if descriptor >= 0]
    sent = send_many([descriptors[place] for place in places], [buffers[place] for place in places])
    _take_results(zip([outboxes[place] for place in places], sent, strict=True))
    _write((outboxes[place], buffers[place]) for place, descriptor in enumerate(descriptors) if descriptor < 0)


def _joined_frames(outboxes: list[Flushable]) -> Iterator[bytes]:
    """Yield the joined frames of each outbox. Subscribers of one channel mostly wait for the same frames, which are
    joined once."""
    last_frames: list[bytes] = []
    data = b""
    for outbox in outboxes:
        frames = outbox.frames
        # Cheap, because Python compares the identity of the items before it compares bytes.
        if frames != last_frames:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            last_frames = frames
        yield data


def _take_results(results: Iterator[tuple[Flushable, int]]) -> None:
    """Give each outbox the result of sending its frames."""
    for outbox, sent in results:
        try:
            outbox.take_result(sent)
        except Exception as error:
            _close_broken(outbox, error)


def _write(waiting: Iterator[tuple[Flushable, bytes]]) -> None:
    """Let each outbox write its frames."""
    for outbox, data in waiting:
        try:
            outbox.write(data)
        except Exception as error:
            _close_broken(outbox, error)


def _close_broken(outbox: Flushable, error: Exception) -> None:
    """Close the connection of an outbox that has raised an unexpected exception. The round continues."""
    log.error("internal error while writing, closing connection", exc_info=error)
    outbox.fail("internal server error")
