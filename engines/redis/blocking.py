"""Commands through Redis for programs that are not nodes: publishing, lookups, and messages to all nodes.

It uses the client of redis-py, which blocks only the calling thread. So it works in any Python program, such as a
worker of a task queue, a shell, or a program that gevent has not patched. Formats and names are those of the engine
(docs/redis.md).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from ...app.model.events import Publication, RawClientInfo
from ..base import (
    CommandEngine,
    EngineError,
    HistoryFilter,
    HistoryOptions,
    PublishConditions,
    PublishEffect,
    PublishItem,
    PublishOutcome,
    Stream,
)
from . import commands, history
from .codec import CHANNEL_LIST, SkipLog, decode_names, decode_presence, presence_pairs
from .connection import ConnectionLost, RedisCommand
from .dialling import IDENTITY, enter_command
from .jump import bucket
from .keys import Keys
from .permissions import SEE_RULES, is_refusal, is_unknown_user, note_default_user
from .scripts import ALL_SCRIPTS
from .settings import RedisSettings, ShardSettings, Timeouts
from .streams import decode_redis_stream, effect_of, read_command, stream_of

RESP2 = 2
PUBLISHER_NAME = "gentrifugo-publisher"
"""The client name of connections of programs that are not nodes, for CLIENT LIST."""


class BlockingRedis(CommandEngine):
    """The shards, for a program that is not a node. Threads may share it; it connects when it is first used."""

    def __init__(self, settings: RedisSettings) -> None:
        self._keys = Keys(settings.prefix)
        # Any: redis-py has no complete type hints.
        self._shards: list[tuple[str, Any]] = [
            (
                f"redis {shard.name}",
                _client(shard, settings.timeouts, redis_connect_func=_connection_initializer(self._keys.epoch)),
            )
            for shard in settings.shards
        ]
        self._skipped = SkipLog()

    def close(self) -> None:
        """Close the connections. A later command opens new ones."""
        for _, client in self._shards:
            client.close()

    # -- publish

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        """Store a publication according to `history`, and send it to all subscribed nodes. Returns its position.

        Returns None without a history, and `Suppressed` if `once` does not allow it. Raises EngineError.
        """
        command = commands.publish(self._keys, publication, history, once)
        return effect_of(self._ask(self._choose_shard(publication.channel), command))

    def publish_all(self, batch: Sequence[PublishItem]) -> list[PublishOutcome]:
        """Publish several publications, in order for each channel. Returns the position or the error of each."""
        outcome: list[PublishOutcome] = [None] * len(batch)
        by_shard: dict[int, list[int]] = {}
        for place, (publication, _, _) in enumerate(batch):
            by_shard.setdefault(self._choose_shard(publication.channel), []).append(place)
        for number, places in by_shard.items():
            results = self._try_batch(number, [commands.publish(self._keys, *batch[place]) for place in places])
            for place, result in zip(places, results, strict=True):
                outcome[place] = result
        return outcome

    def publish_control(self, message: bytes) -> None:
        """Send a control message to all nodes. Raises EngineError."""
        self._ask(0, ("PUBLISH", self._keys.control, message))

    def control_messages_after(self, message: bytes, limit: float) -> Iterator[bytes]:
        """Publish a control message, and yield those that nodes publish within `limit` seconds. Raises EngineError."""
        name, client = self._shards[0]
        deadline = time.monotonic() + limit
        try:
            with client.pubsub(ignore_subscribe_messages=False) as listening:
                listening.subscribe(self._keys.control)
                listening.get_message(timeout=limit)  # after the confirmation, no message is missed
                client.publish(self._keys.control, message)
                while (left := deadline - time.monotonic()) > 0:
                    received = listening.get_message(ignore_subscribe_messages=True, timeout=left)
                    if received is not None:
                        yield received["data"]
        except redis.RedisError as error:
            raise EngineError(f"{name}: {reason(error)}") from error

    # -- look up

    def channels(self) -> list[str]:
        """List the channels with a subscriber on any node. Raises EngineError."""
        names = [
            name for number in range(len(self._shards)) for name in self._ask(number, commands.channels(self._keys))
        ]
        return list(decode_names(map(self._keys.channel_of, names), CHANNEL_LIST, self._skipped))

    def presence(self, channel: str) -> dict[str, RawClientInfo]:
        """Return the clients in a channel, by client ID. Raises EngineError."""
        reply = self._ask(self._choose_shard(channel), commands.presence(self._keys, channel))
        return decode_presence(presence_pairs(reply), self._skipped)

    def history(self, channel: str, limit: int = 0) -> list[Publication]:
        """Return the newest `limit` publications, newest first; 0 returns all of them. Raises EngineError."""
        number = self._choose_shard(channel)
        epoch, entries = (self._ask(number, asked) for asked in history.read_commands(self._keys, channel, limit))
        return history.decode(channel, epoch, entries, self._skipped).publications

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        """Return the publications that `wanted` selects, and the top.

        Raises EngineError and UnrecoverablePosition.
        """
        reply = self._ask(self._choose_shard(channel), read_command(self._keys, channel, wanted, meta_lifetime))
        return stream_of(decode_redis_stream(channel, reply, self._skipped), wanted)

    def remove_history(self, channel: str) -> None:
        """Delete the history of a channel; its stream continues. Raises EngineError."""
        self._ask(self._choose_shard(channel), commands.remove_history(self._keys, channel))

    # -- Redis

    def _choose_shard(self, channel: str) -> int:
        """Return the number of the shard for a channel."""
        return bucket(channel, len(self._shards)) if len(self._shards) > 1 else 0

    def _ask(self, number: int, command: RedisCommand) -> Any:
        name, client = self._shards[number]
        try:
            try:
                return client.execute_command(*command)
            except redis.exceptions.NoScriptError:  # the scripts were deleted, so nothing has been carried out
                _load_scripts(client.execute_command)
                return client.execute_command(*command)
        except redis.RedisError as error:
            raise EngineError(f"{name}: {reason(error)}") from error

    def _try_batch(self, number: int, batch: Sequence[RedisCommand]) -> list[PublishOutcome]:
        """Send several publish commands together. Returns the position or the error of each."""
        name, client = self._shards[number]
        try:
            with client.pipeline(transaction=False) as pipeline:
                for command in batch:
                    pipeline.execute_command(*command)
                replies = pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            return [EngineError(f"{name}: {reason(error)}")] * len(batch)
        return [self._outcome(number, command, reply) for command, reply in zip(batch, replies, strict=True)]

    def _outcome(self, number: int, command: RedisCommand, reply: Any) -> PublishOutcome:
        """Read the reply to a publish, or send the command again if Redis did not have its script."""
        if isinstance(reply, redis.exceptions.NoScriptError):
            try:
                reply = self._ask(number, command)
            except EngineError as error:
                return error
        return EngineError(f"{self._shards[number][0]}: {reply}") if isinstance(reply, Exception) else effect_of(reply)


def reason(error: Exception) -> str:
    """Return the text of an error of redis-py, without the client objects that it adds if no Sentinel answers."""
    text = str(error).partition(" : <")[0].rstrip(".") or type(error).__name__
    return f"{text}: the Redis user lacks a permission; {SEE_RULES}" if is_refusal(error) else text


def client_of(shard: ShardSettings, timeouts: Timeouts) -> Any:
    """Create a client of redis-py for one server, or for the master that the Sentinels know."""
    return _client(shard, timeouts)


def _client(shard: ShardSettings, timeouts: Timeouts, **more: Any) -> Any:
    options: dict[str, Any] = {
        "db": shard.db,
        "username": shard.username or None,
        "password": shard.password or None,
        "socket_timeout": timeouts.read,
        "socket_connect_timeout": timeouts.connect,
        # A command without a reply may have been carried out: sending it again might publish twice.
        "retry": Retry(NoBackoff(), 0),
        "protocol": RESP2,
        "redis_connect_func": _log_in,
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
        addresses = [(address.host, address.port) for address in shard.sentinels.addresses]
        limits = {"socket_timeout": timeouts.connect, "socket_connect_timeout": timeouts.connect}
        sentinel: Any = Sentinel(addresses, **limits)  # type: ignore[no-untyped-call]
        return sentinel.master_for(shard.sentinels.master, **options)
    return redis.Redis(shard.address.host, shard.address.port, **options)


def _log_in(connection: Any) -> None:
    """Log in like a node: with the password alone if the server does not know the user, and set the client name."""
    try:
        connection.on_connect()
    except redis.exceptions.AuthenticationError as error:
        if not _log_in_without_user(connection, error):
            raise
    with suppress(redis.exceptions.ResponseError):
        connection.send_command("CLIENT", "SETNAME", PUBLISHER_NAME)
        connection.read_response()


def _log_in_without_user(connection: Any, refusal: Exception) -> bool:
    """Log in with the password alone after user and password were refused; returns whether that succeeded."""
    username = connection.username
    if not username or not is_unknown_user(refusal):
        return False
    connection.username = None
    try:
        connection.on_connect()
    except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError):
        connection.username = username
        return False
    note_default_user(username, f"{connection.host}:{connection.port}", refusal)
    return True


def _connection_initializer(epoch_key: str) -> Callable[[Any], None]:
    """Return the function that prepares a new connection: it loads the scripts, and begins a new epoch if needed."""

    def enter(connection: Any) -> None:
        _log_in(connection)

        def ask(*command: Any) -> Any:
            connection.send_command(*command)
            return connection.read_response()

        _load_scripts(ask)
        try:
            ask(*enter_command(epoch_key, *(ask(*command) for command in IDENTITY)))
        except ConnectionLost as error:
            raise redis.ConnectionError(str(error)) from None

    return enter


def _load_scripts(ask: Callable[..., Any]) -> None:
    for script in ALL_SCRIPTS:
        ask("SCRIPT", "LOAD", script.source)
