"""The queue of frames that a client has sent in separate requests, and that are not carried out yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import gevent

from ..runtime.yielding import yield_if_due


class FrameReceiver(Protocol):
    """An object that carries out frames, such as a client's connection."""

    closed: bool

    def handle(self, frame: bytes) -> None:
        """Carry out one frame; the next one waits until this returns. May block."""

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected exception of the code that carried out a frame, and close the connection."""


class Inbox:
    """The frames of one client. A greenlet exists only while frames are waiting.

    If more than `limit` bytes would wait, a frame is discarded and `on_overflow` is called, which must not block.
    """

    __slots__ = ("_frames", "_is_running", "_limit", "_on_overflow", "_receiver", "_size")

    def __init__(self, receiver: FrameReceiver, limit: int, on_overflow: Callable[[], None]) -> None:
        self._receiver = receiver
        self._on_overflow = on_overflow
        self._frames: deque[bytes] = deque()
        self._is_running = False
        self._limit = limit
        self._size = 0

    def append(self, frame: bytes) -> None:
        """Queue a frame; those of a closed client are discarded. Does not block."""
        if self._receiver.closed:
            return
        if self._frames and self._size + len(frame) > self._limit:
            self._on_overflow()
            return
        self._frames.append(frame)
        self._size += len(frame)
        if not self._is_running:
            self._is_running = True
            gevent.spawn(self._carry_out)

    def _carry_out(self) -> None:
        while self._frames and not self._receiver.closed:
            frame = self._frames.popleft()
            self._size -= len(frame)
            try:
                self._receiver.handle(frame)
            except Exception as error:
                self._receiver.close_broken(error)
            yield_if_due()
        self._frames.clear()
        self._is_running = False
