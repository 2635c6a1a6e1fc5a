"""Writes the waiting frames of many outboxes: with the C module many of them by one call, otherwise one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from .bulk_send import SendMany

log = logging.getLogger(__name__)

T = TypeVar("T")


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
    if send_many is not None:
        _send_together(outboxes, send_many)
        return
    for outbox, data in _joined_frames(outboxes):
        _carry_out(outbox, outbox.write, data)


def _send_together(outboxes: list[Flushable], send_many: SendMany) -> None:
    """Write these outboxes, those with a descriptor by one call."""
    direct: list[Flushable] = []
    descriptors: list[int] = []
    buffers: list[bytes] = []
    others: list[tuple[Flushable, bytes]] = []
    for outbox, data in _joined_frames(outboxes):
        descriptor = outbox.fileno()
        if descriptor < 0:
            others.append((outbox, data))
        else:
            direct.append(outbox)
            descriptors.append(descriptor)
            buffers.append(data)
    # Before the others, whose errors close connections: no descriptor of the list may be closed before this call.
    for outbox, sent in zip(direct, send_many(descriptors, buffers), strict=True):
        _carry_out(outbox, outbox.take_result, sent)
    for outbox, data in others:
        _carry_out(outbox, outbox.write, data)


def _joined_frames(outboxes: Iterable[Flushable]) -> Iterator[tuple[Flushable, bytes]]:
    """Yield each outbox with its frames, joined. Subscribers of one channel mostly wait for the same frames, which are
    joined once."""
    last_frames: list[bytes] = []
    data = b""
    for outbox in outboxes:
        frames = outbox.frames
        # Cheap, because Python compares the identity of the items before it compares bytes.
        if frames != last_frames:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            last_frames = frames
        yield outbox, data


def _carry_out(outbox: Flushable, action: Callable[[T], None], argument: T) -> None:
    """Call an action of an outbox. An unexpected exception closes this connection, and does not end the round."""
    try:
        action(argument)
    except Exception:
        log.exception("internal error while writing, closing connection")
        outbox.fail("internal server error")
