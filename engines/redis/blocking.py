"""What processes that are no nodes can ask through Redis: publish, look things up, and tell all nodes something.

By redis-py's own client, which blocks the thread that calls and no other, so it works wherever Python does: in a worker
of a queue, a shell, a program that gevent has not patched. Formats and names are the engine's (docs/redis.md).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from ...app.model.events import ClientInfo, Event, Publication
from ..base import Engine, EngineError, EngineHandler, HistoryOptions
from . import commands, history
from .codec import SkipLog, decode_presence
from .connection import ConnectionLost, RedisCommand
from .dialling import enter_command
from .jump import bucket
from .keys import Keys
from .scripts import ALL
from .settings import RedisSettings, ShardSettings, Timeouts

RESP2 = 2
NO_NODE = "this process is no node: nobody is connected to it"


class OutsideEngine(Engine):
    """The engine of a node that is never started. May be used by several threads; connects when it has to."""

    name = "redis"
    batches = True

    def __init__(self, settings: RedisSettings) -> None:
        self._keys = Keys(settings.prefix)
        # Any: redis-py has no complete type hints.
        self._shards: list[tuple[str, Any]] = [
            (f"redis {shard.name}", _client(shard, settings.timeouts, redis_connect_func=_entering(self._keys.epoch)))
            for shard in settings.shards
        ]
        self._skipped = SkipLog()

    # -- life

    def start(self, handler: EngineHandler) -> None:
        raise EngineError(NO_NODE)

    def stop(self) -> None:
        for _, client in self._shards:
            client.close()

    # -- publish

    def publish(self, publication: Publication, history: HistoryOptions | None) -> None:
        self._ask(self._number(publication.channel), commands.publish(self._keys, publication, history))

    def publish_all(self, batch: Sequence[tuple[Publication, HistoryOptions | None]]) -> list[EngineError | None]:
        outcome: list[EngineError | None] = [None] * len(batch)
        by_shard: dict[int, list[int]] = {}
        for place, (publication, _) in enumerate(batch):
            by_shard.setdefault(self._number(publication.channel), []).append(place)
        for number, places in by_shard.items():
            failures = self._try_all(number, [commands.publish(self._keys, *batch[place]) for place in places])
            for place, failure in zip(places, failures, strict=True):
                outcome[place] = failure
        return outcome

    def publish_event(self, event: Event) -> None:
        raise EngineError(NO_NODE)

    def publish_control(self, message: bytes) -> None:
        self._ask(0, ("PUBLISH", self._keys.control, message))

    def answers(self, question: bytes, limit: float) -> Iterator[bytes]:
        """Tell all nodes something, and then what is said among them for `limit` seconds. Raises EngineError."""
        name, client = self._shards[0]
        deadline = time.monotonic() + limit
        try:
            with client.pubsub(ignore_subscribe_messages=False) as listening:
                listening.subscribe(self._keys.control)
                listening.get_message(timeout=limit)  # from now on nothing is missed
                client.publish(self._keys.control, question)
                while (left := deadline - time.monotonic()) > 0:
                    message = listening.get_message(ignore_subscribe_messages=True, timeout=left)
                    if message is not None:
                        yield message["data"]
        except redis.RedisError as error:
            raise EngineError(f"{name}: {reason(error)}") from error

    # -- look up

    def channels(self) -> list[str]:
        return [
            self._keys.channel_of(found)
            for number in range(len(self._shards))
            for found in self._ask(number, commands.channels(self._keys))
        ]

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        reply = self._ask(self._number(channel), commands.presence(self._keys, channel))
        return decode_presence(reply, self._skipped)

    def history(self, channel: str, limit: int = 0) -> list[Publication]:
        number = self._number(channel)
        epoch, entries = (self._ask(number, asked) for asked in history.read_commands(self._keys, channel, limit))
        return history.decode(channel, epoch, entries, self._skipped).publications

    # -- what only nodes do

    def notice_occupancy(self, longest: float) -> None:
        raise EngineError(NO_NODE)

    def subscribe(self, channel: str) -> None:
        raise EngineError(NO_NODE)

    def unsubscribe(self, channel: str) -> None:
        raise EngineError(NO_NODE)

    def add_presence(self, channel: str, client: str, info: ClientInfo, expire: float) -> None:
        raise EngineError(NO_NODE)

    def remove_presence(self, channel: str, client: str) -> None:
        raise EngineError(NO_NODE)

    # -- Redis

    def _number(self, channel: str) -> int:
        return bucket(channel, len(self._shards)) if len(self._shards) > 1 else 0

    def _ask(self, number: int, command: RedisCommand) -> Any:
        name, client = self._shards[number]
        try:
            try:
                return client.execute_command(*command)
            except redis.exceptions.NoScriptError:  # made to forget them, so it has not been carried out
                _load_scripts(client.execute_command)
                return client.execute_command(*command)
        except redis.RedisError as error:
            raise EngineError(f"{name}: {reason(error)}") from error

    def _try_all(self, number: int, batch: Sequence[RedisCommand]) -> list[EngineError | None]:
        """Run commands in one trip; what went wrong with each."""
        name, client = self._shards[number]
        try:
            with client.pipeline(transaction=False) as pipeline:
                for command in batch:
                    pipeline.execute_command(*command)
                replies = pipeline.execute(raise_on_error=False)
            if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
                return [self._try(number, command, reply) for command, reply in zip(batch, replies, strict=True)]
        except redis.RedisError as error:
            return [EngineError(f"{name}: {reason(error)}")] * len(batch)
        return [EngineError(f"{name}: {reply}") if isinstance(reply, Exception) else None for reply in replies]

    def _try(self, number: int, command: RedisCommand, reply: Any) -> EngineError | None:
        """Run a command again if Redis did not know its script."""
        if isinstance(reply, redis.exceptions.NoScriptError):
            try:
                self._ask(number, command)
            except EngineError as error:
                return error
            return None
        return EngineError(f"{self._shards[number][0]}: {reply}") if isinstance(reply, Exception) else None


def reason(error: Exception) -> str:
    """What redis-py says is wrong, without the clients that it shows when no Sentinel names a master."""
    return str(error).partition(" : <")[0].rstrip(".") or type(error).__name__


def client_of(shard: ShardSettings, timeouts: Timeouts) -> Any:
    """redis-py's client of one server, or of whatever master the Sentinels name."""
    return _client(shard, timeouts)


def _client(shard: ShardSettings, timeouts: Timeouts, **more: Any) -> Any:
    options: dict[str, Any] = {
        "db": shard.db,
        "username": shard.username or None,
        "password": shard.password or None,
        "socket_timeout": timeouts.read,
        "socket_connect_timeout": timeouts.connect,
        # What was sent may have been carried out: to send it again might publish twice.
        "retry": Retry(NoBackoff(), 0),
        "protocol": RESP2,
        "client_name": "gentrifugo-publisher",
        **more,
    }
    if shard.tls is not None:
        options |= {
            "ssl": True,
            "ssl_cert_reqs": ssl.CERT_REQUIRED if shard.tls.verify else ssl.CERT_NONE,
            "ssl_check_hostname": shard.tls.verify,
            "ssl_ca_certs": shard.tls.ca_file or None,
        }
    if shard.sentinels is not None:
        endpoints = [(endpoint.host, endpoint.port) for endpoint in shard.sentinels.endpoints]
        patience = {"socket_timeout": timeouts.connect, "socket_connect_timeout": timeouts.connect}
        sentinel: Any = Sentinel(endpoints, **patience)  # type: ignore[no-untyped-call]
        return sentinel.master_for(shard.sentinels.master, **options)
    return redis.Redis(shard.endpoint.host, shard.endpoint.port, **options)


def _entering(epoch_key: str) -> Callable[[Any], None]:
    """What each connection says first, as those of nodes do: a history is whole within one life of one server."""

    def enter(connection: Any) -> None:
        connection.on_connect()

        def ask(*command: Any) -> Any:
            connection.send_command(*command)
            return connection.read_response()

        _load_scripts(ask)
        try:
            ask(*enter_command(epoch_key, ask("INFO", "server")))
        except ConnectionLost as error:
            raise redis.ConnectionError(str(error)) from None

    return enter


def _load_scripts(ask: Callable[..., Any]) -> None:
    for script in ALL:
        ask("SCRIPT", "LOAD", script.source)
