"""The way out: what waits for each connection, and the one loop that writes it.

A frame is appended to the outboxes of all its receivers, the same bytes object to
each; nothing is written yet. The flusher then goes round the outboxes that have
something and writes all that waits for a connection in one `send`, on the raw
non-blocking socket and without leaving the event loop's callback. Only a socket
that is full gets a greenlet of its own, so it costs the others nothing.

The system call is the cost (a send of one 100-byte frame takes about 6 us, of
twenty joined frames about 7), so under load the flusher rests a little between two
rounds and lets frames gather: the longer, the more it had to write. When there was
no round a moment ago, it starts at once: a lone message is never delayed.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import gevent
from gevent.event import Event
from gevent.socket import wait_write

from ..runtime.cpu_meter import CPUMeter

log = logging.getLogger(__name__)

SLICE = 0.005
"""Seconds that one lane may hold the event loop before other work gets its turn."""
SLICE_CHECK = 64
"""Sends between two looks at the clock."""
FEW = 64
"""A message for up to so many connections does not wait for a round of more."""

REST_FACTOR = 4
"""A rest is no longer than this many times the round before it: after a few writes there is little to gain by
waiting, and a client that waits for each reply would wait for the rest too (5.7 ms each time, instead of 0.2)."""
SPARE_SHARE, BUSY_SHARE = 0.65, 0.9
"""Share of a CPU up to which there is CPU to spare, and from which on the process is busy."""
CALM_REST = 0.25
"""The part of the longest rest that is enough while there is CPU to spare. With 1000 subscribers and 50 messages a
second, a rest of 5 ms delays nothing and one of 20 ms quadruples the median latency; with 100 channels and as many
messages as the server takes, one of 20 ms lets it take 1.7 times as many."""
WRITER_CHUNK = 1 << 18
"""Bytes a full socket's own writer joins for one send, at least one frame."""
NO_LIMIT = 1 << 62


class RawSocket(Protocol):
    """A non-blocking socket: `send` raises BlockingIOError when it is full."""

    def send(self, data: bytes, /) -> int: ...

    def fileno(self) -> int: ...


class Queue(ABC):
    """What waits for one connection, counted in bytes: as much of an outbox as the flusher and the hub know.

    `limit` is in bytes. `on_overflow` is called once when more waits than that; it may not block or raise.
    """

    __slots__ = ("frames", "limit", "size", "_flusher", "_on_overflow")

    def __init__(self, flusher: Flusher, limit: int, on_overflow: Callable[[], None]) -> None:
        self.frames: list[bytes] = []
        """Empty exactly when nobody need look here."""
        self.size = 0
        """Bytes that wait."""
        self.limit = limit
        self._flusher = flusher
        self._on_overflow = on_overflow

    def append(self, frame: bytes) -> None:
        """Queue one frame for this connection alone."""
        self._flusher.fan_out((self,), frame)

    def overflow(self) -> None:
        """Called by the flusher when more waits than the limit allows."""
        self.limit = NO_LIMIT  # once
        self._on_overflow()

    @abstractmethod
    def drop_waiting(self) -> None:
        """Forget what waits, except what must follow for the client to make sense of what it has."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Called by the flusher with all frames joined. May not block."""

    @abstractmethod
    def fail(self, reason: str) -> None:
        """Called by the flusher when writing failed for a reason of ours."""


class Outbox(Queue):
    """What waits for one connection with a socket of its own.

    `on_error` is called once when the socket cannot be written or takes nothing for
    `write_timeout` seconds (0: no limit); it may not block or raise either.
    """

    __slots__ = ("_on_error", "_socket", "_timeout", "_writer")

    def __init__(
        self,
        flusher: Flusher,
        socket: RawSocket,
        limit: int,
        on_overflow: Callable[[], None],
        on_error: Callable[[str], None],
        write_timeout: float = 0,
    ) -> None:
        super().__init__(flusher, limit, on_overflow)
        self._socket: RawSocket | None = socket
        self._on_error = on_error
        self._timeout = write_timeout
        self._writer: gevent.Greenlet[[], None] | None = None

    def drop_waiting(self) -> None:
        """Forget what waits, except the first frame: half of it may be sent, and what follows must still make sense."""
        del self.frames[1:]
        self.size = sum(map(len, self.frames))

    def drain(self, timeout: float) -> bool:
        """Wait until nothing waits, at most `timeout` seconds; whether that is so."""
        deadline = time.monotonic() + timeout
        while self.frames and self._socket is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._writer is not None:
                self._writer.join(left)
            else:
                self._flusher.wait_round(left)
        return not self.frames

    def close(self) -> None:
        """Write no more; nothing here holds the socket or a greenlet after that. What waits is lost."""
        self._socket = None
        self._empty()
        writer, self._writer = self._writer, None
        if writer is not None and writer is not gevent.getcurrent():
            writer.kill(block=False)

    def write(self, data: bytes) -> None:
        """Called by the flusher with all frames joined. What the socket does not take goes to a writer of its own."""
        if self._send(data) and self.frames:
            self._writer = gevent.spawn(self._write_when_possible)

    def _send(self, data: bytes) -> bool:
        """Send a beginning of what waits, and forget what the socket took. False when there is no socket any more."""
        socket = self._socket
        if socket is None:
            self._empty()
            return False
        try:
            sent = socket.send(data)
        except BlockingIOError:
            return True
        except OSError as error:
            self.fail(str(error))
            return False
        self._flusher.bytes_sent += sent
        if sent == self.size:
            self._flusher.frames_sent += len(self.frames)
            self._empty()
        else:
            self._forget(sent)
        return True

    def _forget(self, sent: int) -> None:
        """Drop the first `sent` bytes. Whole frames stay the objects that all receivers share."""
        self.size -= sent
        whole = 0
        for frame in self.frames:
            if sent < len(frame):
                break
            sent -= len(frame)
            whole += 1
        self._flusher.frames_sent += whole
        self.frames = self.frames[whole:]
        if sent:
            self.frames[0] = self.frames[0][sent:]

    def _empty(self) -> None:
        self.frames = []
        self.size = 0

    def fail(self, reason: str) -> None:
        """The socket cannot be written: write no more, and tell the owner why."""
        if self._socket is not None:
            self.close()
            self._on_error(reason)

    def _write_when_possible(self) -> None:
        while self._socket is not None and self.frames:
            if not self._wait_until_writable(self._socket):
                self.fail(f"the client took nothing for {self._timeout:g} s")
                return
            if not self._send(self._next_chunk()):
                return
        self._writer = None

    def _wait_until_writable(self, socket: RawSocket) -> bool:
        try:
            wait_write(socket.fileno(), timeout=self._timeout or None)
        except TimeoutError:
            return False
        return True

    def _next_chunk(self) -> bytes:
        if self.size <= WRITER_CHUNK:
            return b"".join(self.frames)
        size = count = 0
        for frame in self.frames:
            if count and size + len(frame) > WRITER_CHUNK:
                break
            size += len(frame)
            count += 1
        return b"".join(self.frames[:count])


class Lane:
    """Outboxes that wait to be written, and those whose turn it is now."""

    __slots__ = ("waiting", "_turn")

    def __init__(self) -> None:
        self.waiting: list[Queue] = []
        """Each once; the flusher adds to it."""
        self._turn: Iterator[Queue] | None = None

    def begin(self) -> None:
        """It is the turn of all that wait, unless those before them are not done."""
        if self._turn is None and self.waiting:
            waiting, self.waiting = self.waiting, []
            self._turn = iter(waiting)

    def write(self, deadline: float) -> bool:
        """Write those whose turn it is; False when the deadline comes first. Never switches."""
        if self._turn is None:
            return True
        # Subscribers of one channel mostly wait for the same frames: joined once, sent to all. The lists
        # are equal when they hold the same objects, which Python sees without looking at the bytes.
        last_frames: list[bytes] = []
        data = b""
        for done, outbox in enumerate(self._turn, 1):
            frames = outbox.frames
            if frames != last_frames:
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                last_frames = frames
            try:
                outbox.write(data)
            except Exception:  # a defect of ours: it must cost this connection, not the round and all that follow
                log.exception("writing to a connection failed")
                outbox.fail("internal server error")
            if done % SLICE_CHECK == 0 and time.monotonic() > deadline:
                return False
        self._turn = None
        return True


class Flusher:
    """Writes all outboxes of one process.

    `rest` is the longest time in seconds between two rounds under load: more makes
    better use of each system call, less makes messages wait less. 0 never rests. A rest
    is no longer than `rest_factor` times the round before it.

    A round writes to every connection that has something, in slices between which the
    event loop serves others. What comes in meanwhile waits for the next round: added to
    this one it would keep it going for ever, without a rest (480,000 deliveries a second
    to 1000 subscribers instead of 1,100,000). Only messages for a few connections have
    a lane of their own, written in every slice, so that they need not wait for the
    10,000 subscribers of another channel.
    """

    def __init__(
        self,
        rest: float = 0.02,
        rest_factor: float = REST_FACTOR,
        cpu_share: Callable[[], float] | None = None,
    ) -> None:
        self.rest = rest
        self._cpu_share = cpu_share or CPUMeter().share
        self._rest_factor = rest_factor
        self._few = Lane()
        self._many = Lane()
        self._scheduled = False
        self._in_round = False
        self._rested_at = 0.0
        self._round_took = 0.0
        self._timer: Any = None
        self._round_done: Event | None = None
        self.frames_queued = 0
        self.frames_sent = 0
        self.bytes_sent = 0

    def fan_out(self, outboxes: Collection[Queue], frame: bytes) -> None:
        """Queue one frame for many connections. The hot loop: it appends and counts, nothing else."""
        size = len(frame)
        count = len(outboxes)
        waiting = self._few.waiting if count <= FEW else self._many.waiting
        for outbox in outboxes:
            frames = outbox.frames
            if not frames:
                waiting.append(outbox)
            frames.append(frame)
            queued = outbox.size = outbox.size + size
            if queued > outbox.limit:
                outbox.overflow()
        self.frames_queued += count
        if waiting and not self._scheduled:
            self._schedule()

    def wait_round(self, timeout: float) -> None:
        """Block until the next round is over, at most `timeout` seconds."""
        if self._round_done is None:
            self._round_done = Event()
        self._round_done.wait(timeout)

    def _schedule(self) -> None:
        self._scheduled = True
        loop = gevent.get_hub().loop
        wait = self._rested_at - time.monotonic()
        if wait <= 0:
            loop.run_callback(self._write_slice)  # at the end of this turn of the event loop
        else:
            self._start_timer(wait)

    def _start_timer(self, wait: float) -> None:
        self._timer = gevent.get_hub().loop.timer(wait)
        self._timer.start(self._write_slice)

    def _write_slice(self) -> None:
        """Write until all had their turn or the slice of time is used up; runs in the event loop and never switches."""
        started = time.monotonic()
        self._few.begin()
        if not self._in_round:
            self._in_round = True
            self._many.begin()
        done = self._few.write(started + SLICE)
        done = self._many.write(time.monotonic() + SLICE) and done
        ended = time.monotonic()
        self._round_took += ended - started
        if done:
            self._end_round(ended)
        else:
            # The timer, unlike a callback, lets the event loop poll its sockets first.
            self._start_timer(0)

    def _longest_rest(self) -> float:
        """`rest` when the process is busy, and only a part of it while there is CPU to spare."""
        need = (self._cpu_share() - SPARE_SHARE) / (BUSY_SHARE - SPARE_SHARE)
        return self.rest * (CALM_REST + (1 - CALM_REST) * min(max(need, 0), 1))

    def _end_round(self, now: float) -> None:
        self._in_round = self._scheduled = False
        self._rested_at = now + min(self._longest_rest(), self._rest_factor * self._round_took)
        self._round_took = 0.0
        if self._few.waiting or self._many.waiting:
            self._schedule()
        if self._round_done is not None:
            self._round_done.set()
            self._round_done = None
