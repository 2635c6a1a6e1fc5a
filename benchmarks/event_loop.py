"""The event loop of the load generator: calls functions for ready sockets and at given times."""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections.abc import Callable
from itertools import count

Callback = Callable[[], object]

MAX_POLL_TIME = 0.05
"""Seconds after which a condition is looked at again although nothing happened."""


class EventLoop:
    """A level-triggered event loop that calls functions when sockets are ready."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Callback]] = []
        self._numbers = count()

    def watch(self, sock: socket.socket, callback: Callback, writing: bool = False) -> None:
        """Call a function when `sock` is readable, or with `writing` writable. Replaces an earlier registration."""
        events = select.EPOLLOUT if writing else select.EPOLLIN
        if sock.fileno() in self._callbacks:
            self._epoll.modify(sock, events)
        else:
            self._epoll.register(sock, events)
        self._callbacks[sock.fileno()] = callback

    def forget(self, sock: socket.socket) -> None:
        """Remove the registration of `sock`. Call this before closing the socket."""
        if self._callbacks.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)

    def call_at(self, when: float, callback: Callback) -> None:
        """Call a function once at the monotonic time `when`, or up to a millisecond later."""
        heapq.heappush(self._timers, (when, next(self._numbers), callback))

    def run_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Run until `done` returns true, or the timeout is reached; returns the last result of `done`."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(min(left, MAX_POLL_TIME))
        return True

    def run_for(self, seconds: float) -> None:
        """Run the event loop for a number of seconds."""
        self.run_until(lambda: False, seconds)

    def close(self) -> None:
        """Remove all registrations. The sockets stay open."""
        self._callbacks.clear()
        self._timers.clear()
        self._epoll.close()

    def _turn(self, longest: float) -> None:
        if self._timers:
            longest = max(min(longest, self._timers[0][0] - time.monotonic()), 0)
        callbacks = self._callbacks
        for descriptor, _ in self._epoll.poll(longest):
            callback = callbacks.get(descriptor)
            if callback is not None:  # a callback before this one may have closed it
                callback()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
