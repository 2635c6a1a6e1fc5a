"""Settings of the Redis engine: the addresses of its shards, timeouts, and the API queues that it reads."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of a Redis or Sentinel server. Its text is `host:port`, or `[host]:port` for IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings of the connections to a server."""

    verify: bool = True
    """Whether the certificate of the server is verified."""
    ca_file: str = ""
    """Path of a file with trusted CA certificates; if empty, those of the system are trusted."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The name of a master, and the addresses of its Sentinels."""

    master: str
    addresses: tuple[ServerAddress, ...]


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """Settings of one of the Redis servers among which channels are distributed."""

    address: ServerAddress
    """The address of the server; not used with Sentinels."""
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: Tls | None = None
    sentinels: Sentinels | None = None

    @property
    def name(self) -> str:
        """The name of the server in the log, without secrets."""
        return f"master {self.sentinels.master}" if self.sentinels else str(self.address)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds, each more than 0."""

    connect: float = 1.0
    """For opening a connection, including the TLS handshake and the login."""
    read: float = 10.0
    """For receiving a reply."""
    write: float = 1.0
    """For one write."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """All settings of the engine."""

    shards: tuple[ShardSettings, ...]
    prefix: str = "centrifugo"
    timeouts: Timeouts = Timeouts()
    api: bool = False
    """Whether the engine reads API commands from a queue in each shard."""
    api_queues: int = 0
    """The number of additional queues, which are numbered from 0."""
