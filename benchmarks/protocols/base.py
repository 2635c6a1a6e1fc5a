"""The interface of a protocol: encoding and decoding for clients and backends of the load generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.frames import TEXT


class Published(NamedTuple):
    """A publication as a subscriber receives it."""

    channel: str
    data: Any
    """Decoded JSON."""


class APIRequest(NamedTuple):
    """A request of a backend: path below the prefix, the header with its credentials, and the body."""

    path: str
    credential: str
    body: bytes


class Protocol(ABC):
    """One protocol and format. It has no state."""

    name: str
    """On the command line."""
    subprotocol = ""
    """What a client asks for in the WebSocket handshake."""
    opcode = TEXT
    """Of the frames in both directions."""
    ping: bytes | None = None
    """The payload with which the server asks whether a client is there; it is answered with the same."""

    @abstractmethod
    def connect(self, user: str, secret: str) -> bytes:
        """Encode the first command of a client."""

    @abstractmethod
    def subscribe(self, channel: str) -> bytes:
        """Encode the command that subscribes to a channel."""

    @abstractmethod
    def is_reply(self, payload: bytes, method: str) -> bool:
        """Return whether a frame has the reply to `method`. Raises BenchmarkError when the reply is an error."""

    @abstractmethod
    def publications(self, payload: bytes) -> Iterable[Published]:
        """Return the publications in a frame. Raises BenchmarkError for anything else."""

    @abstractmethod
    def command(self, channel: str) -> str:
        """Return a publish command of a backend, in which `%s` stands for the data."""

    @abstractmethod
    def request(self, commands: Sequence[str], secret: str, api_key: str) -> APIRequest:
        """Return a request with these commands."""

    @abstractmethod
    def errors(self, body: bytes, count: int) -> list[Any]:
        """Return the errors in the response to `count` commands. Raises ValueError or LookupError for other bodies."""


def reply_error(method: str, error: object) -> BenchmarkError:
    """Return the exception for a refused command of a client."""
    return BenchmarkError(f"the reply to {method} was the error {error_text(error)}")


def error_text(error: Any) -> str:
    """Return the code and the text of an error in a reply; errors of protocol v1 have no code."""
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[name]) for name in ("code", "message") if name in error)


def other_push(kind: object) -> BenchmarkError:
    """Return the exception for a push that is not part of the load."""
    return BenchmarkError(f"the server sent a {kind!r}; turn off option join_leave for the channels")
