"""The service of one process: its node, and the parts that serve the clients and backends of this node.

The HTTP server, the Flask views and the admin interface share it. This module only puts the parts together.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from .._version import __version__
from ..engines.base import Engine
from ..engines.memory import MemoryEngine
from .api.calls import MethodCalls
from .api.http_api import OTHER_SCHEME, MethodAPI, has_key
from .config.config import Config
from .config.endpoints import SOCKJS_PATH
from .config.node_name import with_worker_name
from .config.options import ConfigError, split_list
from .config.redis_options import redis_settings
from .http.client_address import ClientOf, TrustedProxies, parse_trusted_proxies, unknown_client
from .http.opening_request import Opening
from .http.origins import OriginPolicy, Origins
from .http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from .http.response import HTTPResponse
from .model.errors import CLOSE_SHUTDOWN, Disconnect
from .net.transport import Transport
from .node.hooks import CONNECT, HOOK_URL, PROXY, CallHook, Hooks, call_directly
from .node.node import Node
from .node.proxy_events import CONNECT_PROXY
from .protocol.connection import ClientConnection
from .protocol.v1.api import CommandAPI
from .protocol.v1.http_api import HTTPCommandAPI
from .protocol.v1.wire import encode_publication
from .protocol.v2.tokens import TokenVerifier
from .sockjs.endpoint import SockJS
from .sockjs.options import SOCKJS_INTEGRITY, SOCKJS_URL, SockJSOptions
from .sockjs.session_directory import SessionDirectory
from .streams.endpoint import Streams
from .websocket.compression import Compression, Deflate
from .websocket.connection import WebSocket

log = logging.getLogger(__name__)

READ_FACTOR = 2
"""Messages up to this many times client_request_max_size are read, so that the client can be told the reason."""
IDLE_CHECK_INTERVAL = 0.02
"""Seconds between two checks whether the service is still busy."""


class IdleConnection(Protocol):
    """A connection that waits for its next request."""

    def interrupt(self) -> None:
        """Stop waiting, because the service is shutting down."""


class PassedConnections(Protocol):
    """Serves the connections that other processes of this machine pass to this one."""

    def start(self) -> None:
        """Start accepting connections from other processes. Raises OSError."""

    def stop(self) -> None:
        """Stop accepting connections from other processes. A second call does nothing."""


class Operator(Protocol):
    """A connection of the admin interface, which is not a client."""

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection with the code and reason in `disconnect`."""


def build_engine(config: Config) -> Engine:
    """Create the engine that option engine selects. Raises ConfigError if its options contradict each other."""
    if config.engine == "redis":
        # Imported only when it is asked for: the memory engine needs none of it.
        from ..engines.redis.engine import RedisEngine

        settings, problems = redis_settings(config)
        if settings is None:
            raise ConfigError(problems)
        return RedisEngine(settings)
    return MemoryEngine()


def add_backend_hooks(hooks: Hooks, config: Config) -> None:
    """Register the hooks that call backends over HTTP, if options contain their URLs."""
    add_hook_url(hooks, config)
    add_proxies(hooks, config)


def add_hook_url(hooks: Hooks, config: Config) -> None:
    """Register hooks that call the backend at hook_url, if the option is set."""
    if config.hook_url:
        # This is imported only when needed, because it imports an HTTP client.
        from .node.hook_url import HookURL

        hook = HookURL(config)
        for event in hook_events(config):
            hooks.add(event, hook, hook.limit, HOOK_URL)


def add_proxies(hooks: Hooks, config: Config) -> None:
    """Register hooks that call the backends of the options proxy_…_endpoint, if these are set."""
    if config.has_proxies:
        # This is imported only when needed, because it imports an HTTP client.
        from .node.proxy import proxies

        for event, proxy in proxies(config):
            hooks.add(event, proxy, proxy.limit, PROXY)


def hook_events(config: Config) -> Sequence[str]:
    """Return the names of the events that are sent to the backend at hook_url."""
    return split_list(config.hook_events)


def compression_of(config: Config) -> Compression | None:
    """Return the compression settings of the configuration; None if compression is off."""
    if not config.websocket_compression:
        return None
    return Compression(config.websocket_compression_level, config.websocket_compression_min_size)


class Service:
    """The parts of one process. `start` it in the process that serves, after a fork; `stop` it once.

    `call_hook` calls a function of the application in the context that the application needs. `passed_connections`
    creates the object that receives connections from other processes, given the directory in which they find this
    process. Without it, or without Redis, no connections are passed. `engine` replaces the engine of the configuration.
    `shares_origin` means that pages of an application have the same origin as the endpoints, and must be protected
    from pages of other origins. `note_start` is called once, when the service has started.
    """

    def __init__(
        self,
        config: Config,
        *,
        call_hook: CallHook = call_directly,
        passed_connections: Callable[[SessionDirectory], PassedConnections] | None = None,
        engine: Engine | None = None,
        shares_origin: bool = False,
        note_start: Callable[[], None] | None = None,
    ) -> None:
        engine = engine or build_engine(config)
        self._queue = engine.queue
        self.node = Node(config, engine, __version__, encode_publication, call_hook)
        add_backend_hooks(self.node.hooks, config)
        self.method_api, self.api = MethodAPI(self.node, MethodCalls(self.node)), CommandAPI(self.node)
        self.http_api = HTTPCommandAPI(self.node, self.api)
        self.origin_policy = OriginPolicy()
        self.session_directory = self._open_directory()
        """The directory of SockJS sessions and their processes; None if this is the only process."""
        self.sockjs = self._open_sockjs()
        self.streams = Streams(self, config.http_prefix)
        self.open_websockets = 0
        """Open WebSocket connections of clients."""
        self.idle: set[IdleConnection] = set()
        """HTTP connections that wait for their next request."""
        self.operators: set[Operator] = set()
        """Open admin sockets."""
        self.started = False
        self.process_id = 0
        """The process that serves with the node. Its child processes have a copy of the node, which nobody reaches."""
        self.needs_own_name = False
        """Whether the name of the node must still become that of this process, one of several with the same options."""
        self._starting = BoundedSemaphore()
        self.compression = compression_of(config)
        self._shares_origin = shares_origin
        self._note_start = note_start
        self._tokens = TokenVerifier(config)
        self._options: tuple[Config, int, SockJSOptions] | None = None
        self._passed_connections = self._create_receiver(passed_connections)

    def _open_directory(self) -> SessionDirectory | None:
        return None if self.is_single else SessionDirectory(f"{self.config.http_prefix} {self.node.group}")

    def _open_sockjs(self) -> SockJS:
        return SockJS(
            self.config.http_prefix + SOCKJS_PATH,
            self._connect,
            self.serve_websocket,
            self.node.flusher,
            self.node.timers,
            self._sockjs_options,
            self.session_directory,
        )

    def _create_receiver(
        self, make: Callable[[SessionDirectory], PassedConnections] | None
    ) -> PassedConnections | None:
        return make(self.session_directory) if make is not None and self.session_directory is not None else None

    @property
    def config(self) -> Config:
        """The current configuration, which a reload replaces."""
        return self.node.config

    @property
    def tokens(self) -> TokenVerifier:
        """The verifier of tokens of protocol v2, with the keys of the current configuration."""
        self._tokens.reload(self.config)
        return self._tokens

    @property
    def origins(self) -> Origins:
        """The origins whose pages may connect. Cookies matter only if a hook or a backend can authenticate clients."""
        return self.origin_policy.origins(self.config.allowed_origins, self._uses_cookies)

    @property
    def _uses_cookies(self) -> bool:
        return self.node.hooks.has(CONNECT, CONNECT_PROXY)

    @property
    def credential_origins(self) -> Origins:
        """The origins whose pages may request credentials, about which a hook decides."""
        return self.origin_policy.origins(self.config.allowed_origins, may_use_cookies=True)

    @property
    def proxies(self) -> TrustedProxies:
        """The proxies that may report the address of a client."""
        return parse_trusted_proxies(self.config.trusted_proxies)

    @property
    def open_connections(self) -> int:
        """The number of open connections of clients, over all transports, and of operators."""
        http = self.sockjs.open_receivers + self.streams.open_connections
        return self.open_websockets + http + len(self.operators)

    @property
    def is_busy(self) -> bool:
        """Whether `stop` should wait: connections are still open, or hooks are still being called."""
        return self.open_connections > 0 or self.node.has_pending_notifications

    @property
    def is_single(self) -> bool:
        """Whether this process serves alone, because its engine does not connect it with other processes."""
        return not self.node.joins_nodes

    # -- start and stop

    def start(self, in_background: bool = True) -> None:
        """Start the node, unless it has started. If that fails, the next call retries.

        `in_background` is passed to `Node.start`.
        """
        if not self.started:
            with self._starting:
                if not self.started:
                    self._take_own_name()
                    self.node.start(in_background)
                    if self._queue is not None:
                        self._queue.start(self.api.process_queued)
                    self._accept_passed_connections()
                    self.started = True
                    if self._note_start is not None:
                        self._note_start()
        self.process_id = os.getpid()

    def _take_own_name(self) -> None:
        if self.needs_own_name:
            self.node.configure(with_worker_name(self.config, os.getpid()))
            self.needs_own_name = False

    def _accept_passed_connections(self) -> None:
        if self._passed_connections is None or self.session_directory is None:
            return
        try:
            self._passed_connections.start()
        except OSError as error:
            log.warning(
                "cannot share SockJS sessions between processes, sticky sessions are required: %s: %s",
                self.session_directory.path,
                error.strerror or error,
            )

    def close_connections(self) -> None:
        """Refuse new requests, close all clients with the reason `shutting down`, and close idle connections."""
        self.node.stopping = True
        for idle in list(self.idle):
            idle.interrupt()
        for operator in list(self.operators):
            operator.close(CLOSE_SHUTDOWN)
        self.node.close_connections(CLOSE_SHUTDOWN)

    def wait_until_idle(self, deadline: float, between: Callable[[], None] | None = None) -> None:
        """Wait until no connection is open and no hook is running, until `deadline` in monotonic time at most.

        `between` is called before each of the short pauses.
        """
        while self.is_busy and time.monotonic() < deadline:
            if between is not None:
                between()
            gevent.sleep(IDLE_CHECK_INTERVAL)

    def stop(self) -> None:
        """Stop accepting connections from other processes, and stop the node."""
        if self._passed_connections is not None:
            self._passed_connections.stop()
        if self._queue is not None:
            self._queue.stop()
        self.node.stop()

    # -- backends

    def authorize_api_request(
        self, headers: Mapping[str, str], client: ClientOf = unknown_client
    ) -> Callable[[bytes], HTTPResponse]:
        """Return the function that answers the body of a JSON request to /api/, before its body is read.

        Such a request is one of v1 with a signature, or one of a later version with an API key. Raises HTTPError if it
        has neither, or an invalid key. Header names are in lower case. `client` returns the address that is
        logged then.
        """
        sign = headers.get("x-api-sign", "")
        if not sign and has_key(headers):
            return self.method_api.authorize("", headers, "", client).answer
        source = partial(client, headers)
        self.http_api.require_sign(sign, OTHER_SCHEME if headers.get("authorization") else "", source)
        return partial(self.http_api.answer, sign, source=source)

    # -- clients

    def serve_websocket(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None:
        """Serve a client after the WebSocket handshake. Returns when the connection has ended.

        `request` is the ID of the handshake in the log, and `requested` is the protocol that it has requested.
        """
        node, config = self.node, self.config
        node.metrics.counters.http_raw_ws_num_requests += 1
        max_size = READ_FACTOR * config.client_request_max_size
        websocket = WebSocket(socket, recv, node.flusher, node.timers, config, max_size, deflate)
        client = self._connect(websocket, opening, request, requested)
        self.open_websockets += 1
        try:
            websocket.serve(client, client.handle)
        finally:
            self.open_websockets -= 1

    def _connect(
        self,
        transport: Transport,
        opening: Opening | None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> ClientConnection:
        client = ClientConnection(self, transport, opening, request, requested)
        if self.node.stopping:
            client.close(CLOSE_SHUTDOWN)
        return client

    def _sockjs_options(self) -> SockJSOptions:
        """Return the current options of SockJS, cached until a reload, because every request needs them."""
        config, hooks, cached = self.config, self.node.hooks.count, self._options
        if cached is None or cached[0] is not config or cached[1] != hooks:
            cached = self._options = config, hooks, self._build_options()
        return cached[2]

    def _build_options(self) -> SockJSOptions:
        config, origins = self.config, self.origins
        url = config.sockjs_url or SOCKJS_URL
        return SockJSOptions(
            sockjs_url=url,
            sockjs_integrity=config.sockjs_integrity or (SOCKJS_INTEGRITY if url == SOCKJS_URL else ""),
            iframe=config.sockjs_iframe,
            # Scripts in the page have the server's origin. If an application shares that origin, not every site may
            # embed the page.
            iframe_ancestors="" if origins.are_all and not self._shares_origin else origins.ancestors,
            iframe_may_change=True,
            heartbeat_delay=config.sockjs_heartbeat_delay,
            max_size=READ_FACTOR * config.client_request_max_size,
            body_timeout=config.http_header_timeout,
            client_queue_max_size=config.client_queue_max_size,
            client_message_write_timeout=config.client_message_write_timeout,
            ping_interval=config.ping_interval,
            compression=self.compression,
            origins=origins,
            remembers_requests=bool(self.node.hooks),
            proxies=self.proxies,
        )
