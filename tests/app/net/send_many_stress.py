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


def main(directory: str) -> None:
    """Send, close and open in turn, while a thread acquires and releases the GIL."""
    sys.path.insert(0, directory)
    send_many: Any = __import__("_send_many").send_many
    sys.setswitchinterval(0.0001)  # otherwise each call that releases the GIL may wait 5 ms for it
    finished = threading.Event()
    thread = threading.Thread(target=lambda: [sum(range(100)) for _ in iter(finished.is_set, True)])
    thread.start()
    pairs = [socket.socketpair() for _ in range(SOCKETS)]
    expected = [b""] * SOCKETS
    choose = random.Random(1)
    for number in range(ROUNDS):
        frames = [b"%d:%d " % (number, place) for place in range(SOCKETS)]
        sent = send_many([ours.fileno() for ours, _ in pairs], frames, number % 3 > 0)
        assert sent == [len(frame) for frame in frames]
        expected = [before + frame for before, frame in zip(expected, frames, strict=True)]
        for place in choose.sample(range(SOCKETS), 20):
            check(pairs[place], expected[place])
            pairs[place], expected[place] = socket.socketpair(), b""
    for pair, frames_sent in zip(pairs, expected, strict=True):
        check(pair, frames_sent)
    finished.set()
    thread.join()
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
