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
    """TLS of the connections to a server."""

    verify: bool = True
    """Whether the certificate of the server is verified."""
    ca_file: str = ""
    """File with the certificates that are trusted; empty trusts those of the system."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The Sentinels that know the address of a master."""

    master: str
    addresses: tuple[ServerAddress, ...]


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """One of the Redis servers among which channels are distributed."""

    address: ServerAddress
    """Its address; not used with Sentinels."""
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: Tls | None = None
    sentinels: Sentinels | None = None

    @property
    def name(self) -> str:
        """Its name in the log, which contains no secret."""
        return f"master {self.sentinels.master}" if self.sentinels else str(self.address)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each more than 0."""

    connect: float = 1.0
    """For opening a connection, including TLS and the login."""
    read: float = 10.0
    """For a reply."""
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
