"""Settings of the Redis engine: the addresses of its shards, its timeouts, and the queues that it reads."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a server; as text, `host:port`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is encrypted."""

    verify: bool = True
    """Whether to check the certificate and the name of the server."""
    ca_file: str = ""
    """File with the certificates that are trusted; empty trusts those of the system."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The Sentinels that know the address of a master."""

    master: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """One of the Redis servers that channels are spread over."""

    endpoint: Endpoint
    """Its address; not used with Sentinels."""
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: Tls | None = None
    sentinels: Sentinels | None = None

    @property
    def name(self) -> str:
        """The name in the log, without secrets."""
        return f"master {self.sentinels.master}" if self.sentinels else str(self.endpoint)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each more than 0."""

    connect: float = 1.0
    """For connecting, and for each command that follows until the connection can be used."""
    read: float = 10.0
    """For a reply."""
    write: float = 1.0
    """For writing commands to the socket."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """All settings of the engine."""

    shards: tuple[ShardSettings, ...]
    prefix: str = "centrifugo"
    timeouts: Timeouts = Timeouts()
    api: bool = False
    """Whether to take API commands from a queue in each shard."""
    api_queues: int = 0
    """How many more queues, numbered from 0."""
