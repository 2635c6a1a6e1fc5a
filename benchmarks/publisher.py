"""A backend that publishes over one keep-alive connection, one request at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from benchmarks.advice import with_advice
from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.http_message import Response, ResponseReader, api_request
from benchmarks.message import Format, Message
from benchmarks.protocols.base import Protocol, error_text
from benchmarks.target import Target

CONNECT_TIMEOUT = 10.0
RECV_SIZE = 65536


class Publisher:
    """Publishes to the channels in turn. If the server refuses, BenchmarkError is raised in the event loop."""

    def __init__(
        self,
        loop: EventLoop,
        target: Target,
        number: int,
        channels: Sequence[str],
        data_format: Format,
        on_answer: Callable[[Publisher], None],
    ) -> None:
        self.published = 0
        """Messages that the server has accepted."""
        self._loop = loop
        self._target = target
        self._number = number
        self._format = data_format
        self._on_answer = on_answer
        self._commands = [target.protocol.command(channel) for channel in channels]
        self._sent = 0
        self._unsent = b""
        self._in_flight = 0
        self._responses = ResponseReader()
        self._good_body = b""
        self._socket = _connect(target)
        loop.watch(self._socket, self._receive)

    @property
    def busy(self) -> bool:
        """Whether a response has not arrived yet."""
        return self._in_flight > 0

    def publish(self, times: Sequence[int]) -> None:
        """Publish one message for each of `times`, the times of sending, in one request.

        The response to the previous request must have arrived.
        """
        commands = [self._next_command(sent) for sent in times]
        self._in_flight = len(commands)
        request = self._target.protocol.request(commands, self._target.secret, self._target.api_key)
        self._unsent = api_request(self._target, request)
        self._send()

    def published_in(self, channel: int) -> int:
        """Return the number of accepted messages in a channel, given by its position."""
        rounds, rest = divmod(self.published, len(self._commands))
        return rounds + (channel < rest)

    def close(self) -> None:
        """Close the connections to the server."""
        self._loop.forget(self._socket)
        self._socket.close()

    def _next_command(self, sent: int) -> str:
        number, channel = divmod(self._sent, len(self._commands))
        self._sent += 1
        return self._commands[channel] % self._format.data(Message(self._number, number, sent))

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise BenchmarkError(f"cannot send an API request: {error.strerror}") from None
        if self._unsent:
            self._loop.watch(self._socket, self._send_rest, writing=True)

    def _send_rest(self) -> None:
        self._send()
        if not self._unsent:
            self._loop.watch(self._socket, self._receive)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(RECV_SIZE)
        except OSError as error:
            raise BenchmarkError(f"API connection lost: {error.strerror}") from None
        if not data:
            raise BenchmarkError("the server closed a keep-alive connection of the API")
        response = self._responses.feed(data)
        if response is not None:
            self._accept(response)

    def _accept(self, response: Response) -> None:
        # The same request gets the same answer, so all but the first need only be compared.
        if response.body != self._good_body or response.status != 200:
            check_replies(self._target.protocol, response, self._in_flight)
            self._good_body = response.body
        self.published += self._in_flight
        self._in_flight = 0
        self._on_answer(self)


def check_replies(protocol: Protocol, response: Response, count: int) -> None:
    """Raise BenchmarkError unless all of `count` commands were carried out."""
    if response.status != 200:
        reason = response.body.decode("utf-8", "replace").strip()[:200]
        hint = "; check --secret, or --api-key with protocol v2" if response.status == 401 else ""
        raise BenchmarkError(f"the API answered with status {response.status}: {reason}{hint}")
    try:
        errors = protocol.errors(response.body, count)
    except (ValueError, LookupError, AttributeError):
        raise BenchmarkError(f"invalid reply of the API to {count} commands: {response.body[:200]!r}") from None
    if errors:
        raise BenchmarkError(with_advice(f"the API refused a publish: {error_text(errors[0])}"))


def _connect(target: Target) -> socket.socket:
    sock = socket.socket(target.family)
    try:
        sock.settimeout(CONNECT_TIMEOUT)
        sock.connect(target.address)
    except OSError as error:
        sock.close()
        raise BenchmarkError(f"cannot connect to {target.host}: {error.strerror or error}") from None
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
