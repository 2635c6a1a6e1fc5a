"""The service of one process: a node and the two doors to it, for clients and for backends.

What the HTTP handler, the Flask views and the adapters share. The one place below
the command line where the parts are joined.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

from gevent.lock import BoundedSemaphore

from .._version import __version__
from ..engines.base import Engine
from ..engines.memory import MemoryEngine
from .config.config import Config
from .config.endpoints import SOCKJS_PATH
from .config.options import ALL_ORIGINS, AUTO, ConfigError, listed
from .config.redis_options import redis_settings
from .http.client_address import TrustedProxies, trusted
from .http.head import HTTPError
from .http.opening_request import Opening
from .http.origins import Origins, RefusalLog
from .model import signing
from .model.errors import CLOSE_INTERNAL_ERROR, CLOSE_LIMIT_EXCEEDED, CLOSE_SHUTDOWN, Disconnect
from .node.hooks import CONNECT, CallHook, Hooks, call_directly
from .node.node import Node
from .protocol.v1.api import Api, BadRequest
from .protocol.v1.client import Client
from .protocol.v1.wire import encode_publication
from .sockjs.endpoint import SockJS
from .sockjs.options import SOCKJS_URL, Options
from .sockjs.peer import Transport
from .sockjs.session_directory import Siblings
from .websocket.compression import Compression, Deflate
from .websocket.connection import WebSocket

log = logging.getLogger(__name__)


FRAME_ROOM = 2
"""Messages up to this many times client_request_max_size are read, so that the client learns that it was too large."""
TOO_LARGE = (CLOSE_LIMIT_EXCEEDED.code, CLOSE_LIMIT_EXCEEDED.close_reason)
"""What a client is told that sent more."""


class Idle(Protocol):
    """A connection that waits for its next request."""

    def interrupt(self) -> None:
        """Wait no longer."""


class Reception(Protocol):
    """Serves the connections that other processes give to this one."""

    def start(self) -> None:
        """Begin. Raises OSError."""

    def stop(self) -> None:
        """End; a second call does nothing."""


class Operator(Protocol):
    """A connection of somebody who looks after the server; not a client."""

    def close(self, disconnect: Disconnect | None = None) -> None:
        """End it, and say why."""


class Answer(NamedTuple):
    """The answer to an API request."""

    status: int
    content_type: str
    body: bytes


def build_engine(config: Config) -> Engine:
    """The engine the configuration asks for. Raises ConfigError when its options do not fit together."""
    if config.engine == "redis":
        # Imported only when it is asked for: the memory engine needs none of it.
        from ..engines.redis.engine import RedisEngine

        settings, problems = redis_settings(config)
        if settings is None:
            raise ConfigError(problems)
        return RedisEngine(settings)
    return MemoryEngine()


def add_hook_url(hooks: Hooks, config: Config) -> None:
    """Ask and tell the backend behind `hook_url`, if the configuration has one."""
    if config.hook_url:
        # Imported only when it is asked for, as above.
        from .node.hook_url import HookURL

        hook = HookURL(config)
        for event in hook_events(config):
            hooks.add(event, hook, hook.limit)


def hook_events(config: Config) -> Sequence[str]:
    """The events that go to the backend behind `hook_url`."""
    return listed(config.hook_events)


def compression_of(config: Config) -> Compression | None:
    """How the configuration has WebSockets compressed."""
    if not config.websocket_compression:
        return None
    return Compression(config.websocket_compression_level, config.websocket_compression_min_size)


class Service:
    """The parts of one process. `start` it where it serves, after a fork; `stop` it once.

    `call_hook` calls a function of the application, in whatever the application wants it to run in.
    """

    def __init__(self, config: Config, call_hook: CallHook = call_directly) -> None:
        engine = build_engine(config)
        self._queue = engine.queue
        self.node = Node(config, engine, __version__, encode_publication, call_hook)
        add_hook_url(self.node.hooks, config)
        self.api = Api(self.node)
        self._starting = BoundedSemaphore()
        self.open_websockets = 0
        """Connections that `serve_websocket` serves now."""
        self.refusals = RefusalLog()
        """Pages that may not connect, as the log has them."""
        self._origins_of = lru_cache(8)(partial(Origins, refusals=self.refusals))
        self.compression = compression_of(config)
        """How WebSockets are compressed, if they are."""
        self.sockjs = SockJS(
            config.http_prefix + SOCKJS_PATH,
            self._connect_sockjs,
            self.serve_websocket,
            self.node.flusher,
            self.node.timers,
            self._sockjs_options,
        )
        self.siblings = None if self.is_single else Siblings(f"{config.http_prefix} {self.node.group}")
        """Processes of this machine that requests may reach in place of this one."""
        self.reception: Reception | None = None
        """Where these give us the connections whose sessions are here."""
        self.idle: set[Idle] = set()
        """Connections between two requests."""
        self.operators: set[Operator] = set()
        """Open admin sockets."""
        self.started = False
        self.leave_is_arranged = False
        """Whether somebody has seen to it that the clients are told when the process ends."""

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.node.config

    @property
    def origins(self) -> Origins:
        """Whose pages may connect.

        Left to us: all, as long as only tokens let a client in. A hook may go by cookies, which a browser sends with
        the requests of any page, so then it is those of our own host.
        """
        allowed = self.config.allowed_origins
        if allowed == AUTO and not self.node.hooks.has(CONNECT):
            allowed = ALL_ORIGINS
        return self._origins_of("" if allowed == AUTO else allowed)

    @property
    def credential_origins(self) -> Origins:
        """Whose pages may ask for credentials, which a hook decides on; left to us: those of our own host."""
        allowed = self.config.allowed_origins
        return self._origins_of("" if allowed == AUTO else allowed)

    @property
    def proxies(self) -> TrustedProxies:
        """Who may say whose request it is."""
        return trusted(self.config.trusted_proxies)

    @property
    def remembers_requests(self) -> bool:
        """Whether hooks want to know the request that opened a connection."""
        return bool(self.node.hooks)

    @property
    def open_connections(self) -> int:
        """Clients, and operators, that wait for messages now, over whatever transport."""
        return self.open_websockets + self.sockjs.open_receivers + len(self.operators)

    @property
    def is_busy(self) -> bool:
        """Whether there is something to wait for before `stop`: who has not left, or what hooks are being told."""
        return self.open_connections > 0 or self.node.has_pending_notifications

    @property
    def is_single(self) -> bool:
        """Whether one process must do it all, because nothing joins it with others."""
        return not self.node.joins_nodes

    def start(self) -> None:
        """Start the node, unless that has happened; when it fails, the next call tries again."""
        if not self.started:
            with self._starting:
                if not self.started:
                    self.node.start()
                    if self._queue is not None:
                        self._queue.start(self.api.process_queued)
                    self._join_siblings()
                    self.started = True

    def _join_siblings(self) -> None:
        if self.reception is None or self.siblings is None:
            return
        try:
            self.reception.start()
        except OSError as error:
            log.warning("SockJS needs sticky sessions: %s: %s", self.siblings.directory, error.strerror or error)
        else:
            self.sockjs.siblings = self.siblings

    def leave_siblings(self) -> None:
        """Take no connections any more that other processes want to give. A second call does nothing."""
        self.sockjs.siblings = None
        if self.reception is not None:
            self.reception.stop()

    def close_connections(self) -> None:
        """Refuse new requests, tell every client that the server is shutting down, and end idle connections."""
        self.node.stopping = True
        for idle in list(self.idle):
            idle.interrupt()
        for operator in list(self.operators):
            operator.close(CLOSE_SHUTDOWN)
        self.node.close_connections(CLOSE_SHUTDOWN)

    def stop(self) -> None:
        """Stop the node."""
        self.leave_siblings()
        if self._queue is not None:
            self._queue.stop()
        self.node.stop()

    # -- backends

    def answer_api(self, sign: str, body: bytes) -> Answer:
        """Check the sign of an API request and carry it out (docs/api.md). Errors say what is wrong."""
        started = time.perf_counter()
        self.node.metrics.counters.http_api_num_requests += 1
        try:
            self._check_api_sign(sign, body)
            answer = Answer(200, "application/json", self.api.process(body))
        except BadRequest as error:
            answer = refusal(400, str(error))
        except HTTPError as error:
            answer = refusal(error.status, error.reason)
        self.node.metrics.http_api.record(time.perf_counter() - started)
        return answer

    def _check_api_sign(self, sign: str, body: bytes) -> None:
        if not self.config.insecure_api:
            if not sign:
                raise HTTPError(400, "the request has no sign (header X-API-Sign, or form field sign)")
            if not self.config.secret:
                raise HTTPError(400, "the server has no secret to check signs with")
        if not body:
            raise HTTPError(400, "the request is empty")
        if not self.config.insecure_api and not signing.matches(signing.api_sign(self.config.secret, body), sign):
            raise HTTPError(401, "the sign does not match the request")

    # -- clients

    def serve_websocket(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        request: str = "",
    ) -> None:
        """Serve a client whose WebSocket handshake is done; returns when the connection has ended.

        `request` is the id that the handshake has in the log.
        """
        config = self.config
        self.node.metrics.counters.http_raw_ws_num_requests += 1
        websocket = WebSocket(
            socket,
            recv,
            self.node.flusher,
            self.node.timers,
            config,
            max_size=FRAME_ROOM * config.client_request_max_size,
            too_big=TOO_LARGE,
            deflate=deflate,
        )
        client = Client(self.node, websocket, opening, request)
        websocket.owner = client
        self.open_websockets += 1
        try:
            if self.node.stopping:
                client.close(CLOSE_SHUTDOWN)
            while (message := websocket.receive()) is not None:
                client.handle(message.data)
        except Exception:
            ids = client.ids
            log.exception(
                "client %s (user %r) is closed because of an error of ours", client.uid, client.user, extra=ids
            )
            client.close(CLOSE_INTERNAL_ERROR)
        finally:
            client.close()
            websocket.finish()
            self.open_websockets -= 1

    def _connect_sockjs(self, transport: Transport, opening: Opening | None) -> SockJSClient:
        client = Client(self.node, transport, opening)
        if self.node.stopping:
            client.close(CLOSE_SHUTDOWN)
        return SockJSClient(client)

    def _sockjs_options(self) -> Options:
        config = self.config
        return Options(
            sockjs_url=config.sockjs_url or SOCKJS_URL,
            heartbeat_delay=config.sockjs_heartbeat_delay,
            max_size=FRAME_ROOM * config.client_request_max_size,
            too_large=TOO_LARGE,
            body_timeout=config.http_header_timeout,
            client_queue_max_size=config.client_queue_max_size,
            client_message_write_timeout=config.client_message_write_timeout,
            ping_interval=config.ping_interval,
            compression=self.compression,
            origins=self.origins,
            remembers_requests=self.remembers_requests,
            proxies=self.proxies,
        )


class SockJSClient:
    """A client behind SockJS (sockjs.peer.Peer): the same connection as over a WebSocket, given text for bytes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.close_slow = client.close_slow
        self.close_silent = client.close_silent
        self.close_failed = client.close_failed

    def handle(self, message: str) -> None:
        """Carry out one request. Half of a surrogate pair, which is not UTF-8, becomes the JSON escape for it."""
        client = self._client
        try:
            client.handle(message.encode("utf-8", "backslashreplace"))
        except Exception:
            ids = client.ids
            log.exception(
                "client %s (user %r) is closed because of an error of ours", client.uid, client.user, extra=ids
            )
            client.close(CLOSE_INTERNAL_ERROR)

    def end(self) -> None:
        """The client has gone, or was closed."""
        self._client.close()


def refusal(status: int, reason: str) -> Answer:
    """A refused request: the reason as a line of text."""
    return Answer(status, "text/plain; charset=utf-8", reason.encode() + b"\n")
