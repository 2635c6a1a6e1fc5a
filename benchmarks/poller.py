"""One subscriber over SockJS polling: a session, connect, subscribe; from then on one poll after another."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable

from benchmarks.credentials import sign
from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.http_message import ResponseReader
from benchmarks.message import now
from benchmarks.receivers import Checker, Receiver
from benchmarks.target import Target

RECV_SIZE = 1 << 18


class Poller:
    """Does what `connection.Connection` does, over one HTTP connection; every message is checked."""

    def __init__(
        self,
        loop: EventLoop,
        target: Target,
        user: str,
        channel: str,
        receiver: Receiver,
        on_subscribed: Callable[[Poller], None],
    ) -> None:
        if not isinstance(receiver, Checker):
            raise TypeError("pollers check each message")
        self.receiver: Checker = receiver
        self.ended: str | None = None
        """How the server ended the session, for people; None while it has not."""
        self.took = 0.0
        self._loop = loop
        self._target = target
        self._user = user
        self._channel = channel
        self._on_subscribed = on_subscribed
        self._path = f"{target.prefix}/connection/000/{uuid.uuid4().hex}"
        self._poll_request = self._request("xhr", b"")
        self._reader = ResponseReader()
        self._take: Callable[[int, bytes], None] = self._take_open
        self._started = time.monotonic()
        self._socket = socket.socket(target.family)
        self._socket.setblocking(False)
        self._begin()

    @property
    def is_open(self) -> bool:
        """Whether neither side has hung up."""
        return self._socket.fileno() >= 0

    def say_goodbye(self) -> None:
        """Hang up: the server takes that for the end of the session."""
        self.drop()

    def drop(self) -> None:
        """Hang up. Does nothing to a connection that has ended."""
        if self.is_open:
            self._loop.forget(self._socket)
            self._socket.close()

    # -- requests

    def _begin(self) -> None:
        try:
            self._socket.connect(self._target.address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._socket.close()
            raise self._failed(error.strerror) from None
        self._loop.watch(self._socket, self._open, writing=True)

    def _open(self) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise self._failed(os.strerror(error))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.watch(self._socket, self._read)
        self._send(self._poll_request)

    def _request(self, transport: str, body: bytes) -> bytes:
        lines = [
            f"POST {self._path}/{transport} HTTP/1.1",
            f"Host: {self._target.host}",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _send(self, request: bytes) -> None:
        """Send little; a socket that has no room for that, or is broken, shows so when it is read."""
        try:
            self._socket.send(request)
        except OSError:
            pass

    # -- responses

    def _read(self) -> None:
        try:
            data = self._socket.recv(RECV_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror or "the connection broke")
            return
        if not data:
            self._end("the connection ended")
            return
        response = self._reader.feed(data)
        if response is not None:
            self._take(response.status, response.body)

    def _take_open(self, status: int, body: bytes) -> None:
        if (status, body) != (200, b"o\n"):
            raise self._failed(f"the first poll was answered with {status} and {body[:80]!r}")
        timestamp = str(int(time.time()))
        token = sign(self._target.secret, self._user, timestamp)
        commands = [
            {"method": "connect", "params": {"user": self._user, "timestamp": timestamp, "token": token}},
            {"method": "subscribe", "params": {"channel": self._channel}},
        ]
        self._take = self._take_sent
        self._send(self._request("xhr_send", json.dumps([json.dumps(command) for command in commands]).encode()))

    def _take_sent(self, status: int, body: bytes) -> None:
        if status != 204:
            raise self._failed(f"the commands were answered with {status} and {body[:80]!r}")
        self._take = self._take_replies
        self._send(self._poll_request)

    def _take_replies(self, status: int, body: bytes) -> None:
        if body.startswith(b"c["):
            raise self._failed(f"the server closed it: {json.loads(body[1:])[1]}")
        replies = [json.loads(message) for message in self._messages(status, body)]
        if [reply.get("method") for reply in replies] != ["connect", "subscribe"] or "error" in replies[1]:
            raise self._failed(f"the replies to connect and subscribe were {replies}")
        self.took = time.monotonic() - self._started
        self._take = self._take_messages
        self._send(self._poll_request)
        self._on_subscribed(self)

    def _take_messages(self, status: int, body: bytes) -> None:
        received = now()
        if body != b"h\n":
            for message in self._messages(status, body):
                self.receiver.check(json.loads(message), received)
        if self.is_open:
            self._send(self._poll_request)

    def _messages(self, status: int, body: bytes) -> list[str]:
        if status == 200 and body.startswith(b"a["):
            return [str(message) for message in json.loads(body[1:].decode())]
        self._end(f"a poll was answered with {status} and {body[:120]!r}")
        return []

    def _end(self, how: str) -> None:
        self.ended = self.ended or how
        self.drop()

    def _failed(self, reason: str | None) -> BenchmarkError:
        return BenchmarkError(f"the session of {self._user} failed: {reason}")
