"""One connection to a Redis server: a gevent socket on which commands are written and replies are read with hiredis.

For one message of a subscription redis-py takes 6.7 µs, and hiredis on the plain socket 0.4 µs. For one command a
client of redis-py takes 109 µs, and a hundred commands that are written together take 0.9 µs each. So nodes do not use
redis-py; programs that are not nodes use it (engines/redis/blocking.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import gevent.socket
import hiredis

from ...app.net.direct_tls import direct
from ...app.runtime.running_clock import TimeLimit
from .settings import ServerAddress, Timeouts

READ_SIZE = 1 << 16

RedisCommand: TypeAlias = tuple[str | bytes | int, ...]
Dial: TypeAlias = Callable[[], "RedisConnection"]
"""Opens a connection that is ready for use. Raises ConnectionLost."""

pack: Callable[[RedisCommand], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its own hint is too narrow


class ConnectionLost(OSError):
    """The connection could not be opened, or has broken; the text says why."""


class RedisConnection:
    """An open connection. One greenlet may write while another one reads."""

    def __init__(self, socket: Any, address: ServerAddress, timeouts: Timeouts) -> None:
        self.address = address
        self._socket = socket
        self._direct = direct(socket)
        self._timeouts = timeouts
        self._read_timeout = timeouts.read
        self._reader = hiredis.Reader()
        socket.settimeout(None)  # each read and write has a limit of its own

    def send(self, commands: Iterable[RedisCommand]) -> None:
        """Write commands. Raises ConnectionLost if they cannot all be written within `timeouts.write`."""
        data = b"".join(map(pack, commands))
        try:
            sent = self._direct.raw.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ConnectionLost(reason_of(error)) from None
        if sent < len(data):
            self._send_rest(data[sent:])

    def _send_rest(self, data: bytes) -> None:
        with TimeLimit(self._timeouts.write, ConnectionLost(_timeout_text("write", self._timeouts.write))):
            try:
                self._direct.sendall(data)
            except OSError as error:
                raise ConnectionLost(reason_of(error)) from None

    def read(self) -> Any:
        """Return the next reply; an error of Redis is returned as a `hiredis.ReplyError`. Raises ConnectionLost."""
        try:
            while (reply := self._reader.gets()) is False:
                self.feed()
        except hiredis.ProtocolError as error:
            raise _other_protocol(error) from None
        return reply

    def read_ready(self) -> Any:
        """Return the next reply if all of it has been received, False otherwise. Raises ConnectionLost."""
        try:
            return self._reader.gets()
        except hiredis.ProtocolError as error:
            raise _other_protocol(error) from None

    def feed(self) -> None:
        """Read from the socket once. Raises ConnectionLost, also if nothing arrives within the read timeout.

        Other greenlets run first, even if there is something to read already.
        """
        try:
            data = self._direct.recv_within(READ_SIZE, self._read_timeout)
        except TimeoutError:
            raise ConnectionLost(_timeout_text("read", self._read_timeout)) from None
        except OSError as error:
            raise ConnectionLost(reason_of(error)) from None
        if not data:
            raise ConnectionLost("the server closed the connection")
        self._reader.feed(data)

    def ask(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """Write commands and return their replies. Raises ConnectionLost."""
        self.send(commands)
        return [self.read() for _ in commands]

    def expect_answers_within(self, timeout: float) -> None:
        """Set the read timeout in seconds."""
        self._read_timeout = timeout

    def shut_down(self) -> None:
        """Shut down the connection, so that ConnectionLost is raised in the greenlet that reads."""
        with suppress(OSError):
            self._socket.shutdown(gevent.socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._direct.release_limit()
        self._socket.close()


def reason_of(error: Exception) -> str:
    """Return why a socket failed, as one line for the log."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _other_protocol(error: hiredis.ProtocolError) -> ConnectionLost:
    return ConnectionLost(f"the server does not speak the Redis protocol: {error}")


def _timeout_text(action: str, timeout: float) -> str:
    return f"{action} timeout after {timeout:g} s"
