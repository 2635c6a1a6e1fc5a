"""What the Redis engine is told: where its shards are, how long things may take, and which queues it reads."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one server listens; written as operators know it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is encrypted."""

    verify: bool = True
    """Whether the server has to prove its name."""
    ca_file: str = ""
    """File with the certificates that are trusted; empty trusts those of the system."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The watchers that know where a master is."""

    master: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """One of the Redis servers that channels are spread over."""

    endpoint: Endpoint
    """Where it is; of no account with Sentinels."""
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: Tls | None = None
    sentinels: Sentinels | None = None

    @property
    def name(self) -> str:
        """As the log calls it; holds no secret."""
        return f"master {self.sentinels.master}" if self.sentinels else str(self.endpoint)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each more than 0."""

    connect: float = 1.0
    """For opening a connection, all that is said first included."""
    read: float = 10.0
    """For an answer."""
    write: float = 1.0
    """For taking what is sent."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Everything the engine is told."""

    shards: tuple[ShardSettings, ...]
    prefix: str = "centrifugo"
    timeouts: Timeouts = Timeouts()
    api: bool = False
    """Whether to take API commands from a queue in each shard."""
    api_queues: int = 0
    """How many more queues, numbered from 0."""
