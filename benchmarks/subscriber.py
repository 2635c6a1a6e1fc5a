"""The base class of subscribers of all transports: opens the socket, and records the end of the connection."""

from __future__ import annotations

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from benchmarks.advice import with_advice
from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.receivers import Receiver
from benchmarks.target import Target

RECV_SIZE = 1 << 18


class Subscriber(ABC):
    """One client, which begins to connect in its constructor.

    `on_subscribed` is called once. If the server refuses, BenchmarkError is raised in the event loop.
    """

    def __init__(
        self,
        loop: EventLoop,
        target: Target,
        user: str,
        channel: str,
        receiver: Receiver,
        on_subscribed: Callable[[Any], None],
    ) -> None:
        self.receiver = receiver
        self.ended: str | None = None
        """How the server ended the connection, for people; None while it has not."""
        self._loop = loop
        self._target = target
        self._user = user
        self._channel = channel
        self._on_subscribed = on_subscribed
        self._subscribed = 0.0
        self._started = time.monotonic()
        self._socket = socket.socket(target.family)
        self._socket.setblocking(False)
        self._prepare()
        self._start_connecting()

    @property
    def is_open(self) -> bool:
        """Whether the connection is open on both sides."""
        return self._socket.fileno() >= 0

    @property
    def setup_seconds(self) -> float:
        """Seconds from the first packet to the reply to subscribe."""
        return self._subscribed - self._started

    @abstractmethod
    def _prepare(self) -> None:
        """Create what the transport needs before the connection is opened."""

    @abstractmethod
    def start_closing(self) -> None:
        """Start closing the connection in the way of the transport."""

    def drop(self) -> None:
        """Close the socket without a close frame. Does nothing if the connection has ended."""
        if self.is_open:
            self._loop.forget(self._socket)
            self._socket.close()

    @abstractmethod
    def _connected(self) -> None:
        """Continue after the TCP connection is open; nothing has been sent, and no event is watched."""

    def _start_connecting(self) -> None:
        try:
            self._socket.connect(self._target.address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._socket.close()
            raise self._failed(error.strerror) from None
        self._loop.watch(self._socket, self._finish_connecting, writing=True)

    def _finish_connecting(self) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise self._failed(os.strerror(error))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected()

    def _receive_available(self) -> bytes:
        """Return what has arrived, empty if nothing has. The end of the connection is noted in `ended`."""
        try:
            data = self._socket.recv(RECV_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._end(error.strerror or "the connection broke")
            return b""
        if not data:
            self._end("the connection ended")
        return data

    def _end(self, how: str) -> None:
        self.ended = self.ended or how
        self.drop()

    def _send(self, data: bytes) -> None:
        """Send a small amount of data. Errors are ignored, because the next read reports them."""
        try:
            self._socket.send(data)
        except OSError:
            pass

    def _is_reply(self, message: bytes, method: str) -> bool:
        try:
            return self._target.protocol.is_reply(message, method)
        except BenchmarkError as error:
            raise self._failed(str(error)) from None

    def _failed(self, reason: str | None) -> BenchmarkError:
        return BenchmarkError(f"the connection of {self._user} failed: {with_advice(str(reason))}")
