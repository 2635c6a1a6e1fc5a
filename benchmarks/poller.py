"""One subscriber over SockJS polling: it opens a session, connects, subscribes, and then polls."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

from benchmarks.http_message import ResponseReader
from benchmarks.message import now
from benchmarks.protocols.base import reply_error
from benchmarks.receivers import CheckingReceiver
from benchmarks.subscriber import Subscriber


class Poller(Subscriber):
    """A subscriber with one HTTP connection; its receiver checks every message."""

    def _prepare(self) -> None:
        if not isinstance(self.receiver, CheckingReceiver):
            raise TypeError("a Poller requires a CheckingReceiver")
        self._checker = self.receiver
        self._path = f"{self._target.prefix}/connection/000/{uuid.uuid4().hex}"
        self._reader = ResponseReader()
        self._handle_response: Callable[[int, bytes], None] = self._handle_open

    def start_closing(self) -> None:
        """Close the connection, which ends the session."""
        self.drop()

    def _connected(self) -> None:
        self._poll_request = self._request("xhr", b"")
        self._loop.watch(self._socket, self._read)
        self._send(self._poll_request)

    def _request(self, transport: str, body: bytes) -> bytes:
        lines = [
            f"POST {self._path}/{transport} HTTP/1.1",
            f"Host: {self._target.host}",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    # -- responses

    def _read(self) -> None:
        data = self._receive_available()
        response = self._reader.feed(data) if data else None
        if response is not None:
            self._handle_response(response.status, response.body)

    def _handle_open(self, status: int, body: bytes) -> None:
        if (status, body) != (200, b"o\n"):
            raise self._failed(f"unexpected response to the first poll: status {status}, body {body[:80]!r}")
        protocol = self._target.protocol
        commands = [protocol.connect(self._user, self._target.secret), protocol.subscribe(self._channel)]
        self._handle_response = self._handle_sent
        self._send(self._request("xhr_send", json.dumps([command.decode() for command in commands]).encode()))

    def _handle_sent(self, status: int, body: bytes) -> None:
        if status != 204:
            raise self._failed(f"unexpected response to the commands: status {status}, body {body[:80]!r}")
        self._handle_response = self._handle_replies
        self._send(self._poll_request)

    def _handle_replies(self, status: int, body: bytes) -> None:
        if body.startswith(b"c["):
            raise self._failed(f"the server closed the session: {json.loads(body[1:])[1]}")
        replies = [json.loads(message) for message in self._messages(status, body)]
        if refused := [reply for reply in replies if reply.get("error")]:
            raise self._failed(str(reply_error(refused[0].get("method"), refused[0]["error"])))
        if [reply.get("method") for reply in replies] != ["connect", "subscribe"]:
            raise self._failed(f"unexpected replies to connect and subscribe: {replies}")
        self._subscribed = time.monotonic()
        self._handle_response = self._handle_messages
        self._send(self._poll_request)
        self._on_subscribed(self)

    def _handle_messages(self, status: int, body: bytes) -> None:
        received = now()
        if body != b"h\n":
            for message in self._messages(status, body):
                self._checker.check(self._target.protocol.publications(message.encode()), received)
        if self.is_open:
            self._send(self._poll_request)

    def _messages(self, status: int, body: bytes) -> list[str]:
        if status == 200 and body.startswith(b"a["):
            return [str(message) for message in json.loads(body[1:].decode())]
        self._end(f"unexpected response to a poll: status {status}, body {body[:120]!r}")
        return []
