"""One connection to a Redis server: dialled and authenticated by redis-py, then written and read here directly.

Reading one message of a subscription takes redis-py 6.7 us, and hiredis on the plain socket
0.4; a command through a client of redis-py takes 109 us, one of a hundred written together 0.9.
So redis-py does what is done once, and what is done for every message is done here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import gevent
import gevent.socket
import gevent.ssl
import hiredis
import redis

from ...app.runtime.yielding import give_turn
from .scripts import ALL, ENTER
from .settings import Endpoint, Sentinels, ShardSettings, Timeouts, Tls

READ_SIZE = 1 << 16
RESP2 = 2

Command: TypeAlias = tuple[str | bytes | int, ...]
Dial: TypeAlias = Callable[[], "Connection"]

pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its own hint is too narrow


class ConnectionLost(OSError):
    """The connection cannot be used, or not any more; the text says why."""


class _Dialled(redis.Connection):
    """redis-py's connection, over gevent's sockets whether or not the process is patched."""

    def __init__(self, shard: ShardSettings, endpoint: Endpoint, timeout: float) -> None:
        self._tls = shard.tls
        super().__init__(  # type: ignore[no-untyped-call]
            endpoint.host,
            endpoint.port,
            db=shard.db,
            username=shard.username or None,
            password=shard.password or None,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            client_name="gentrifugo",
            driver_info=None,
            protocol=RESP2,
        )

    def _connect(self) -> Any:
        socket = gevent.socket.create_connection((self.host, self.port), timeout=self.socket_connect_timeout)
        socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        return _encrypted(socket, self.host, self._tls) if self._tls else socket

    def take_socket(self) -> Any:
        """The socket, which is the caller's from now on."""
        socket, self._sock = self._sock, None
        return socket


def _encrypted(socket: Any, host: str, tls: Tls) -> Any:
    """The socket under TLS; closed when that fails."""
    try:
        # Not create_default_context: it makes one whose sockets block the process, unless that is patched.
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca_file:
            context.load_verify_locations(tls.ca_file)
        else:
            context.load_default_certs()
        socket = context.wrap_socket(socket, server_hostname=host, do_handshake_on_connect=False)
        socket.do_handshake()
        return socket
    except BaseException:
        socket.close()
        raise


class Connection:
    """A connection that is open. One greenlet may write and another one read."""

    def __init__(self, socket: Any, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self.endpoint = endpoint
        self._socket = socket
        self._timeouts = timeouts
        self._reader = hiredis.Reader()
        socket.settimeout(timeouts.read)

    def send(self, commands: Iterable[Command]) -> None:
        """Write commands. Raises ConnectionLost when they are not taken in time."""
        data = b"".join(map(pack, commands))
        # Not settimeout: the reader has the same socket, and a time limit of its own.
        with gevent.Timeout(self._timeouts.write, ConnectionLost(_too_long("took nothing", self._timeouts.write))):
            try:
                self._socket.sendall(data)
            except OSError as error:
                raise _lost(error) from None

    def read(self) -> Any:
        """The next reply; an error that Redis reports is returned as a `hiredis.ReplyError`. Raises ConnectionLost."""
        while (reply := self._reader.gets()) is False:
            self.feed()
        return reply

    def read_ready(self) -> Any:
        """The next reply if it has come in whole, False otherwise."""
        return self._reader.gets()

    def feed(self) -> None:
        """Wait for bytes. Raises ConnectionLost, also when there are none for as long as an answer may take."""
        try:
            data = self._socket.recv(READ_SIZE)
        except TimeoutError:
            raise ConnectionLost(_too_long("did not answer", self._socket.gettimeout())) from None
        except OSError as error:
            raise _lost(error) from None
        if not data:
            raise ConnectionLost("the server closed the connection")
        give_turn()
        try:
            self._reader.feed(data)
        except hiredis.ProtocolError as error:
            raise ConnectionLost(f"the server speaks another protocol: {error}") from None

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Write commands and read their replies."""
        self.send(commands)
        return [self.read() for _ in commands]

    def expect_answers_within(self, timeout: float) -> None:
        """Let reads take this many seconds from now on."""
        self._socket.settimeout(timeout)

    def shut_down(self) -> None:
        """Let whoever reads find that the connection has ended."""
        with suppress(OSError):
            self._socket.shutdown(gevent.socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. A second call does nothing."""
        self._socket.close()


def dialler(shard: ShardSettings, timeouts: Timeouts, epoch_key: str) -> Dial:
    """What opens a connection to a shard that is ready for the engine. It raises ConnectionLost."""
    finder = _Finder(shard.sentinels, timeouts) if shard.sentinels else None

    def dial() -> Connection:
        endpoint = finder.master() if finder else shard.endpoint
        connection = _open(shard, endpoint, timeouts)
        try:
            connection.expect_answers_within(timeouts.connect)
            _check_role(connection, bool(finder))
            _prepare(connection, epoch_key)
            connection.expect_answers_within(timeouts.read)
        except BaseException:
            connection.close()
            raise
        return connection

    return dial


def _open(shard: ShardSettings, endpoint: Endpoint, timeouts: Timeouts) -> Connection:
    dialled = _Dialled(shard, endpoint, timeouts.connect)
    try:
        dialled.connect()  # type: ignore[no-untyped-call]
    except (OSError, redis.RedisError, UnicodeError) as error:  # UnicodeError: a host that is no name
        raise _lost(error) from None
    except BaseException:
        dialled.disconnect()  # type: ignore[no-untyped-call]
        raise
    return Connection(dialled.take_socket(), endpoint, timeouts)


def _check_role(connection: Connection, must_be_master: bool) -> None:
    (role,) = connection.ask([("ROLE",)])
    if must_be_master and isinstance(role, list) and role[0] != b"master":
        raise ConnectionLost(f"{connection.endpoint} is not the master, but a {role[0].decode()}")


def _prepare(connection: Connection, epoch_key: str) -> None:
    """Load the scripts, and let the server note that it is the one that is asked now (lua/enter.lua)."""
    load_scripts(connection)
    (server,) = connection.ask([("INFO", "server")])
    (entered,) = connection.ask([enter_command(epoch_key, server)])
    if isinstance(entered, hiredis.ReplyError):
        raise ConnectionLost(str(entered))


def load_scripts(connection: Connection) -> None:
    """Make the scripts known to the server. Raises ConnectionLost when it will not have them."""
    for reply in connection.ask([("SCRIPT", "LOAD", script.source) for script in ALL]):
        if isinstance(reply, hiredis.ReplyError):
            raise ConnectionLost(str(reply))


def enter_command(epoch_key: str, server: Any) -> Command:
    """Tells a server that it is the one that is asked now; `server` is what its INFO says. Raises ConnectionLost."""
    return "EVALSHA", ENTER.sha, 1, epoch_key, _run_id(server)


def _run_id(info: Any) -> bytes:
    if isinstance(info, bytes):
        for line in info.splitlines():
            if line.startswith(b"run_id:"):
                return line.removeprefix(b"run_id:")
    raise ConnectionLost(f"INFO does not tell the run id of the server: {info!r}")


class _Finder:
    """Asks the Sentinels, beginning with the one that knew last."""

    def __init__(self, sentinels: Sentinels, timeouts: Timeouts) -> None:
        self._name = sentinels.master
        self._endpoints = list(sentinels.endpoints)
        self._timeouts = timeouts

    def master(self) -> Endpoint:
        """Where the master is. Raises ConnectionLost when no Sentinel knows."""
        answers = []
        for endpoint in list(self._endpoints):
            try:
                master = self._ask(endpoint)
            except ConnectionLost as error:
                answers.append(f"{endpoint}: {error}")
                continue
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)
            return master
        raise ConnectionLost(f"no Sentinel tells where the master {self._name} is ({'; '.join(answers)})")

    def _ask(self, endpoint: Endpoint) -> Endpoint:
        connection = _open(ShardSettings(endpoint), endpoint, self._timeouts)
        try:
            connection.expect_answers_within(self._timeouts.connect)
            (answer,) = connection.ask([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)])
        finally:
            connection.close()
        if not isinstance(answer, list):
            raise ConnectionLost("does not know that master" if answer is None else str(answer))
        return Endpoint(answer[0].decode(), int(answer[1]))


def _lost(error: Exception) -> ConnectionLost:
    return ConnectionLost((getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip("."))


def _too_long(what: str, timeout: float) -> str:
    return f"the server {what} for {timeout:g} s"
