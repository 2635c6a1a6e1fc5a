"""Rounds of the C module for sending with sockets that are closed and opened between them, run under a sanitizer.

The argument is the directory of the module. The program prints a line when every socket got exactly its own frames.
"""

from __future__ import annotations

import random
import socket
import sys
import threading
from typing import Any

SOCKETS, ROUNDS = 200, 150


class Counts:
    """What was sent."""

    frames_sent = bytes_sent = 0


class Waiting:
    """An outbox for a socket."""

    __slots__ = ("counts", "fileno", "frames", "limit", "size")

    def __init__(self, socket: socket.socket, counts: Counts) -> None:
        self.counts, self.fileno, self.limit, self.size = counts, socket.fileno, 100, 0
        self.frames: list[bytes] = []


def main(directory: str) -> None:
    """Send, close and open in turn, while a thread acquires and releases the GIL."""
    sys.path.insert(0, directory)
    module: Any = __import__("_send_many")
    sys.setswitchinterval(0.0001)  # otherwise each call that releases the GIL may wait 5 ms for it
    finished = threading.Event()
    thread = threading.Thread(target=lambda: [sum(range(100)) for _ in iter(finished.is_set, True)])
    thread.start()
    pairs = [socket.socketpair() for _ in range(SOCKETS)]
    expected = [b""] * SOCKETS
    choose, counts = random.Random(1), Counts()
    for number in range(ROUNDS):
        frames = [b"%d:%d " % (number, place) for place in range(SOCKETS)]
        outboxes = [Waiting(ours, counts) for ours, _ in pairs]
        waiting: list[Any] = []
        for outbox, frame in zip(outboxes, frames, strict=True):
            module.queue_frame({outbox}, frame, waiting)
        module.queue_frame(set(outboxes), b"all ", waiting)
        assert waiting == outboxes
        assert module.send_waiting(outboxes, number % 3 > 0) == []
        assert not any(outbox.frames or outbox.size for outbox in outboxes)
        expected = [before + frame + b"all " for before, frame in zip(expected, frames, strict=True)]
        for place in choose.sample(range(SOCKETS), 20):
            check(pairs[place], expected[place])
            pairs[place], expected[place] = socket.socketpair(), b""
    for pair, frames_sent in zip(pairs, expected, strict=True):
        check(pair, frames_sent)
    finished.set()
    thread.join()
    assert counts.frames_sent == SOCKETS * ROUNDS * 2
    print("all frames arrived")


def check(pair: tuple[socket.socket, socket.socket], frames: bytes) -> None:
    """Close our end, and check that the peer has received exactly these frames."""
    ours, theirs = pair
    ours.close()
    with theirs, theirs.makefile("rb") as stream:
        received = stream.read()
    assert received == frames, (received, frames)


if __name__ == "__main__":
    main(sys.argv[1])
