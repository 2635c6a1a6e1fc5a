"""One node: joins hub and engine, and knows the channels' options.

publish_… goes towards the engine, handle_… comes back from it, and what comes back
is broadcast to the subscribers here. Knows neither Redis nor Flask, nor which
transport or protocol version a connection uses.
"""

from __future__ import annotations

import itertools
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import gevent
import msgspec
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from ...engines.base import Engine, EngineError, HistoryOptions, Recovery
from ..config.config import ChannelOptions, Config
from ..model.errors import (
    CLOSE_DISCONNECT,
    CLOSE_SHUTDOWN,
    INTERNAL_ERROR,
    INVALID_MESSAGE,
    NOT_AVAILABLE,
    Disconnect,
    Error,
    Refused,
)
from ..model.events import ClientInfo, Event, Join, Leave, Publication
from ..model.json_codec import InvalidJSON
from ..net.outbox import Flusher
from ..runtime.log_throttle import Complaints
from ..runtime.timers import Timers
from . import control, hooks
from .channels import ChannelRules
from .hooks import Context, Hooks
from .hub import Connection, Hub
from .metrics import Metrics
from .registry import NodeInfo, NodeRegistry
from .survey import Surveys
from .watched import Watched

log = logging.getLogger(__name__)

CHANNEL_LOCKS = 64
"""Locks shared by all channels: enough that two channels rarely wait for each other."""
CLOSED_A_SECOND = 100
"""Clients that are closed at least while the node drains: few are not kept waiting for the sake of spreading them."""
DRAINED_TOGETHER = 10
HOOKS_END = 1.0
"""Seconds for hooks that are still being told of something when the node stops."""
SILENT_PINGS = 3
"""A node that was silent for this many node_ping_intervals is forgotten."""


class Message(NamedTuple):
    """What a backend publishes."""

    channel: str
    data: bytes
    client: str = ""
    uid: str = ""


class Node:
    """One node of the server. `start` it in the process that serves, `stop` it once."""

    def __init__(self, config: Config, engine: Engine, version: str) -> None:
        self.version = version
        self.metrics = Metrics()
        self.flusher = Flusher(config.client_write_delay)
        self.timers = Timers()
        self._complaints = Complaints(log)
        self.hooks = Hooks(lambda: self.config.hook_timeout)
        """The application's; all are added before the node starts."""
        self.hub = Hub(self.flusher)
        self.stopping = False
        """Whether the node takes leave: new requests are refused."""
        self.on_api: Callable[[Sequence[bytes]], None] | None = None
        """Carries out commands that come through the engine."""
        self.watched = Watched(self._tell_peers_of_watched, self._tell_of_watching)
        self.surveys = Surveys(
            self.hub, lambda: self.config, self.info, lambda: self._registry.peers, self._publish_control
        )
        self._engine = engine
        self._snapshot: dict[str, int] = {}
        self._locks = [BoundedSemaphore() for _ in range(CHANNEL_LOCKS)]
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._identify()
        self.configure(config)

    # -- life

    def configure(self, config: Config) -> None:
        """Put a configuration into force; connections see it with their next command."""
        self.config = config
        self.rules = ChannelRules(config)
        self.flusher.rest = config.client_write_delay

    def start(self) -> None:
        """Start the engine and the node's own greenlets, as a node with an identity of its own."""
        self._identify()  # not before a possible fork: two processes must not share uids
        self.hooks.seal()
        if self.hooks.has(hooks.OCCUPIED, hooks.VACATED):
            self._engine.notice_occupancy(self.hooks.longest(hooks.OCCUPIED, hooks.VACATED))
        self._engine.start(self)
        self.timers.start()
        self._snapshot = self._end_metrics_interval()
        self._tell_of_itself()
        self._greenlets = [
            gevent.spawn(self._repeat, lambda: self.config.node_ping_interval, self._ping),
            gevent.spawn(self._repeat, lambda: self.config.node_metrics_interval, self._rotate_metrics),
        ]

    def _identify(self) -> None:
        self.uid = str(uuid.uuid4())
        self._new_uid = _uid_source()
        self._started_at = int(time.time())
        self._registry = NodeRegistry(self.uid)
        self.metrics.watch_process()

    def close_connections(self, disconnect: Disconnect = CLOSE_SHUTDOWN) -> None:
        """Refuse what is new from now on and close every client's connection, spread over option drain_time."""
        self.stopping = True
        # Side by side, however many: each has to tell the engine of its leave, and all that wait for it share one
        # trip. An engine that is away must not keep those that come later from being told.
        closing = Group()
        connections = list(self.hub.open)
        spread = min(self.config.drain_time, len(connections) / CLOSED_A_SECOND)
        started = time.monotonic()
        for number, connection in enumerate(connections):
            if number % DRAINED_TOGETHER == 0:
                gevent.sleep(max(started + spread * number / len(connections) - time.monotonic(), 0))
            closing.spawn(connection.close, disconnect)
        closing.join()

    def stop(self) -> None:
        """End the node's greenlets and the engine. A second call does nothing."""
        self.stopping = True
        self.watched.stop()
        gevent.killall(self._greenlets)
        self._greenlets = []
        self.timers.stop()
        self.hooks.finish(HOOKS_END)  # they may still publish
        self._engine.stop()

    @property
    def is_telling(self) -> bool:
        """Whether hooks are being told of something, or are about to be: what `stop` would cut short."""
        return self.hooks.running > 0 or self._engine.is_telling

    @property
    def engine_name(self) -> str:
        """As shown to operators."""
        return self._engine.name

    @property
    def group(self) -> str:
        """Names the nodes that the engine joins with this one."""
        return self._engine.group

    # -- publish: towards the engine

    def publish(
        self,
        channel: str,
        data: bytes,
        client: str = "",
        info: ClientInfo | None = None,
        uid: str = "",
    ) -> None:
        """Publish JSON into a channel. Refused with NAMESPACE_NOT_FOUND, or INTERNAL_ERROR when the engine fails."""
        options = self.rules.options(channel)
        publication = Publication(uid or self._new_uid(), channel, data, client, info)
        self.metrics.counters.node_num_client_msg_published += 1
        try:
            self._engine.publish(publication, _history_options(options))
        except EngineError as error:
            raise self._engine_failed("publish", error, channel) from error
        if options.watch and self.watched.wanted:
            self._note_watched(publication)

    def publish_all(self, messages: Sequence[Message]) -> list[Error | None]:
        """Publish messages of a backend, which takes the engine less than one after another; what each is refused with.

        Those of one channel keep their order.
        """
        outcome: list[Error | None] = [None] * len(messages)
        batch: list[tuple[Publication, HistoryOptions | None]] = []
        places: list[int] = []
        watched: list[tuple[int, Publication]] = []
        for place, (channel, data, client, uid) in enumerate(messages):
            try:
                options = self.rules.options(channel)
            except Refused as refused:
                outcome[place] = refused.error
                continue
            publication = Publication(uid or self._new_uid(), channel, data, client)
            batch.append((publication, _history_options(options)))
            places.append(place)
            if options.watch and self.watched.wanted:
                watched.append((place, publication))
        self.metrics.counters.node_num_client_msg_published += len(batch)
        failures = self._engine.publish_all(batch) if batch else []
        for place, failure in zip(places, failures, strict=True):
            if failure is not None:
                outcome[place] = self._engine_failed("publish", failure, messages[place].channel).error
        for place, publication in watched:
            if outcome[place] is None:
                self._note_watched(publication)
        return outcome

    def _note_watched(self, publication: Publication) -> None:
        self.metrics.counters.node_num_admin_msg_published += 1
        self.watched.note(publication)

    @property
    def batches(self) -> bool:
        """Whether `publish_all` is worth its while."""
        return self._engine.batches

    @property
    def joins_nodes(self) -> bool:
        """Whether there may be other nodes."""
        return self._engine.joins_nodes

    def publish_join(self, channel: str, info: ClientInfo) -> None:
        """Tell the channel that a client joined; a failure is logged only, the subscription stands without it."""
        self.metrics.counters.node_num_join_msg_published += 1
        self._publish_event(Join(channel, info))

    def publish_leave(self, channel: str, info: ClientInfo) -> None:
        """Tell the channel that a client left; a failure is logged only."""
        self.metrics.counters.node_num_leave_msg_published += 1
        self._publish_event(Leave(channel, info))

    def _publish_event(self, event: Event) -> None:
        try:
            self._engine.publish_event(event)
        except EngineError as error:
            self._note_failure(f"publish a {type(event).__name__.lower()}", error, event.channel)

    # -- handle: back from the engine

    def handle_event(self, event: Event) -> None:
        """Deliver to the subscribers here."""
        counters = self.metrics.counters
        if isinstance(event, Publication):
            counters.node_num_client_msg_received += 1
        elif isinstance(event, Join):
            counters.node_num_join_msg_received += 1
        else:
            counters.node_num_leave_msg_received += 1
        self.hub.broadcast(event)

    def handle_control(self, message: bytes) -> None:
        """Do here what another node tells all nodes; its own messages are ignored."""
        self.metrics.counters.node_num_control_msg_received += 1
        try:
            envelope = control.decode(message)
        except InvalidJSON as error:
            log.warning("a control message is skipped: %s", error)
            return
        if envelope.node == self.uid:
            return
        match envelope.message:
            case control.Ping(info, watching):
                self._registry.add(info, watching)
                self.watched.heed_peers(self._registry.peers_watch)
            case control.Unsubscribe(user, channel):
                gevent.spawn(self._unsubscribe_here, user, channel)
            case control.DisconnectUser(user):
                gevent.spawn(self._disconnect_here, user)
            case control.Watched(messages, missed):
                self.metrics.counters.node_num_admin_msg_received += len(messages)
                self.watched.show([bytes(message) for message in messages], missed)
            case control.Question() as question:
                self.surveys.handle_question(question)
            case control.Answer() as answer:
                self.surveys.handle_answer(envelope.node, answer)

    def handle_api(self, entries: Sequence[bytes]) -> None:
        """Give commands that came through the engine to whoever carries them out."""
        if self.on_api is not None:
            self.on_api(entries)

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        """Tell the hooks; whether they could tell whomever they tell."""
        return self.hooks.tell(Context(hooks.OCCUPIED if is_occupied else hooks.VACATED, channel=channel))

    # -- connections and subscriptions

    def add_connection(self, connection: Connection) -> None:
        """Register an authenticated connection."""
        self.metrics.counters.node_num_add_client_conn += 1
        self.hub.add(connection)

    def remove_connection(self, connection: Connection) -> None:
        """Forget a connection that closed."""
        self.metrics.counters.node_num_remove_client_conn += 1
        self.hub.remove(connection)

    def add_subscription(self, channel: str, connection: Connection) -> None:
        """Subscribe a connection. Refused with INTERNAL_ERROR when the engine fails; then nothing is left behind."""
        self.metrics.counters.node_num_add_client_sub += 1
        # Hub and engine must agree: without the lock the last leave and a first join could cross.
        with self._lock(channel):
            if not self.hub.add_subscription(channel, connection):
                return
            try:
                self._engine.subscribe(channel)
            except EngineError as error:
                self.hub.remove_subscription(channel, connection)
                raise self._engine_failed("subscribe", error, channel) from error

    def remove_subscription(self, channel: str, connection: Connection) -> None:
        """End a subscription here; an engine that fails is logged, it will go on receiving for nobody."""
        self.metrics.counters.node_num_remove_client_sub += 1
        with self._lock(channel):
            if not self.hub.remove_subscription(channel, connection):
                return
            try:
                self._engine.unsubscribe(channel)
            except EngineError as error:
                self._note_failure("unsubscribe", error, channel)

    def _lock(self, channel: str) -> BoundedSemaphore:
        return self._locks[crc32(channel.encode()) % CHANNEL_LOCKS]

    # -- presence and history

    def add_presence(self, channel: str, client: str, info: ClientInfo) -> None:
        """Note that a client is there. Refused with INTERNAL_ERROR when the engine fails."""
        self.metrics.counters.node_num_add_presence += 1
        try:
            self._engine.add_presence(channel, client, info, self.config.presence_expire_interval)
        except EngineError as error:
            raise self._engine_failed("add presence", error, channel) from error

    def remove_presence(self, channel: str, client: str) -> None:
        """Forget a client; a failure is logged only, presence expires by itself."""
        self.metrics.counters.node_num_remove_presence += 1
        try:
            self._engine.remove_presence(channel, client)
        except EngineError as error:
            self._note_failure("remove presence", error, channel)

    def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Who is in a channel. Refused with INVALID_MESSAGE, NAMESPACE_NOT_FOUND, NOT_AVAILABLE or INTERNAL_ERROR."""
        if not self._options_of_named(channel).presence:
            raise Refused(NOT_AVAILABLE)
        self.metrics.counters.node_num_presence += 1
        try:
            return self._engine.presence(channel)
        except EngineError as error:
            raise self._engine_failed("look up presence", error, channel) from error

    def history(self, channel: str) -> Sequence[Publication]:
        """What a channel remembers, newest first. Refused as `presence` is."""
        if _history_options(self._options_of_named(channel)) is None:
            raise Refused(NOT_AVAILABLE)
        self.metrics.counters.node_num_history += 1
        return self._history(channel)

    def recover(self, channel: str, last: str) -> Recovery:
        """What a subscriber that last saw the uid `last` has missed. Refused as `history` is."""
        if _history_options(self._options_of_named(channel)) is None:
            raise Refused(NOT_AVAILABLE)
        self.metrics.counters.node_num_history += 1
        try:
            return self._engine.recover(channel, last)
        except EngineError as error:
            raise self._engine_failed("recover", error, channel) from error

    def last_uid(self, channel: str) -> str:
        """The uid of the newest publication a channel remembers, or nothing. Refused with INTERNAL_ERROR."""
        self.metrics.counters.node_num_last_message_id += 1
        newest = self._history(channel, limit=1)
        return newest[0].uid if newest else ""

    def _history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        try:
            return self._engine.history(channel, limit)
        except EngineError as error:
            raise self._engine_failed("look up history", error, channel) from error

    def _options_of_named(self, channel: str) -> ChannelOptions:
        if not channel:
            raise Refused(INVALID_MESSAGE)
        return self.rules.options(channel)

    # -- what backends ask of all nodes

    def unsubscribe_user(self, user: str, channel: str) -> None:
        """End a user's subscription on a channel, on all when it is empty, on every node.

        Refused with INVALID_MESSAGE, NAMESPACE_NOT_FOUND or INTERNAL_ERROR.
        """
        if not user:
            raise Refused(INVALID_MESSAGE)
        if channel:
            self.rules.options(channel)
        try:
            # First, since then what this backend has published before has come back and been delivered.
            self._publish_control(control.Unsubscribe(user, channel))
        finally:
            self._unsubscribe_here(user, channel)

    def disconnect_user(self, user: str) -> None:
        """Close all connections of a user, on every node. Refused with INVALID_MESSAGE or INTERNAL_ERROR."""
        if not user:
            raise Refused(INVALID_MESSAGE)
        try:
            self._publish_control(control.DisconnectUser(user))
        finally:
            self._disconnect_here(user)

    def channels(self) -> list[str]:
        """The channels with a subscriber on any node. Refused with INTERNAL_ERROR."""
        try:
            return self._engine.channels()
        except EngineError as error:
            raise self._engine_failed("list the channels", error) from error

    def stats(self) -> dict[str, object]:
        """What all nodes last told of themselves."""
        self._forget_silent()
        return {"nodes": self._registry.nodes(), "metrics_interval": int(self.config.node_metrics_interval)}

    def info(self) -> NodeInfo:
        """This node now, with counters since its start."""
        self._count_sent()
        return self._info(self.metrics.totals())

    def _unsubscribe_here(self, user: str, channel: str) -> None:
        for connection in self.hub.user_connections(user):
            for name in [channel] if channel else list(connection.channels):
                connection.unsubscribe(name)

    def _disconnect_here(self, user: str) -> None:
        for connection in self.hub.user_connections(user):
            connection.close(CLOSE_DISCONNECT)

    def _publish_control(self, message: control.Message) -> None:
        self.metrics.counters.node_num_control_msg_published += 1
        try:
            self._engine.publish_control(control.encode(self.uid, message))
        except EngineError as error:
            raise self._engine_failed("publish a control message", error) from error

    def _engine_failed(self, action: str, error: EngineError, channel: str = "") -> Refused:
        self._note_failure(action, error, channel)
        return Refused(INTERNAL_ERROR)

    def _note_failure(self, action: str, error: EngineError, channel: str = "") -> None:
        """Log it, but not for every request and client that an engine which is away lets down."""
        self._complaints.add(f"cannot {action}", f"in {channel!r}: {error}" if channel else str(error))

    # -- telling of itself

    def _repeat(self, interval: Callable[[], float], action: Callable[[], None]) -> None:
        while True:
            gevent.sleep(interval())
            try:
                action()
            except Exception:
                log.exception("%s failed", getattr(action, "__name__", action))

    def _ping(self) -> None:
        self._tell_of_itself()
        self._forget_silent()

    def _forget_silent(self) -> None:
        self._registry.forget_silent(SILENT_PINGS * self.config.node_ping_interval)
        self.watched.heed_peers(self._registry.peers_watch)

    def _tell_of_itself(self) -> None:
        info = self._info(self._snapshot)
        self._registry.add(info)
        try:
            self._publish_control(control.Ping(info, self.watched.watching))
        except Refused:
            pass  # logged already; the next ping comes soon

    def _tell_of_watching(self) -> None:
        if self.joins_nodes:
            gevent.spawn(self._tell_of_itself)

    def _tell_peers_of_watched(self, messages: Sequence[bytes], missed: int) -> None:
        try:
            self._publish_control(control.Watched([msgspec.Raw(message) for message in messages], missed))
        except Refused:
            pass  # logged already; operators miss a few messages

    def _rotate_metrics(self) -> None:
        self._snapshot = self._end_metrics_interval()

    def _end_metrics_interval(self) -> dict[str, int]:
        self._count_sent()
        return self.metrics.end_interval()

    def _count_sent(self) -> None:
        counters = self.metrics.counters
        counters.client_num_msg_queued = self.flusher.frames_queued
        counters.client_num_msg_sent = self.flusher.frames_sent
        counters.client_bytes_out = self.flusher.bytes_sent

    def _info(self, metrics: dict[str, int]) -> NodeInfo:
        now = {
            "node_num_channels": self.hub.num_channels,
            "node_num_clients": self.hub.num_connections,
            "node_num_unique_clients": self.hub.num_users,
            "node_uptime_seconds": int(time.time()) - self._started_at,
        }
        return NodeInfo(self.uid, self.config.name, self._started_at, metrics | now)


def _history_options(options: ChannelOptions) -> HistoryOptions | None:
    if options.history_size <= 0 or options.history_lifetime <= 0:
        return None
    return HistoryOptions(options.history_size, options.history_lifetime, options.history_drop_inactive)


def _uid_source() -> Callable[[], str]:
    """Uids for publications: a random uuid whose last group counts. A whole uuid4 each takes five times as long."""
    prefix = str(uuid.uuid4())[:24]
    count = itertools.count()
    return lambda: f"{prefix}{next(count):012x}"
