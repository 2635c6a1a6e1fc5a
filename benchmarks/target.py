"""The server to measure: its address, credentials and processes."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Processes
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol

WEBSOCKET_PATH = "/connection/websocket"


@dataclass(frozen=True)
class Target:
    """One server, or one of its nodes. Without `processes` no CPU and no memory is measured."""

    family: int
    address: tuple[str, int]
    host: str
    """The header Host."""
    prefix: str
    """Put before its paths."""
    secret: str
    """What signs the tokens of clients, and with protocol v1 the API requests."""
    processes: Processes | None = None
    protocol: Protocol = PROTOCOLS["v1"]
    api_key: str = ""
    """Of API requests with protocol v2."""
    engine: Processes | None = None
    """The processes of Redis, when they are measured too."""
    nodes: tuple[Target, ...] = ()
    """The other nodes of the server, when it has several."""

    def node(self, number: int) -> Target:
        """Return the node for the connection `number`: connections are spread over the nodes in turn."""
        return (self, *self.nodes)[number % (1 + len(self.nodes))]

    @classmethod
    def of(
        cls,
        url: str,
        secret: str,
        processes: Processes | None = None,
        protocol: Protocol = PROTOCOLS["v1"],
        api_key: str = "",
        engine: Processes | None = None,
    ) -> Target:
        """Return the server at `url`, or a cluster at several comma-separated URLs.

        Raises BenchmarkError for an invalid URL and for an unknown host.
        """
        url, *others = url.split(",")
        nodes = tuple(cls.of(other, secret, processes, protocol, api_key, engine) for other in others)
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port or 80
        except ValueError as error:
            raise BenchmarkError(f"{url}: {error}") from None
        if parts.scheme != "http" or not host or parts.query or parts.fragment:
            raise BenchmarkError(f"{url} is not a URL like http://127.0.0.1:8000 (https is not measured here)")
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except OSError as error:
            raise BenchmarkError(f"{url}: {host} is not a known host ({error.strerror})") from None
        # Numeric addresses: 5000 connections shall not ask a name server 5000 times.
        where = int(family), (str(address[0]), port), parts.netloc, parts.path.rstrip("/")
        return cls(*where, secret, processes, protocol, api_key, engine, nodes)

    @property
    def websocket_path(self) -> str:
        """Path of the WebSocket endpoint, with the prefix."""
        return self.prefix + WEBSOCKET_PATH
