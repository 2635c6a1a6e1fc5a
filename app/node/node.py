"""One node: the connections and subscriptions of its clients, between the hub and the engine.

Methods named publish_… call the engine. The engine calls methods named handle_…, which broadcast events to the
subscribers of this node. Independent of Redis, Flask, transports and versions of the protocol. `commands.py` contains
the commands that backends use as well; `cluster.py` contains the communication with other nodes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from ...engines.base import Engine, EngineError, HistoryFilter, Recovery, StreamRecovery
from ...engines.health import ServerFigures
from ..config.config import Config
from ..model.errors import CLOSE_SHUTDOWN, Disconnect, Refused
from ..model.events import Encoding, Event, Join, Leave, Publication, RawClientInfo, StreamPosition
from ..net.flusher import Flusher
from ..runtime.log_throttle import ThrottledLog
from ..runtime.random_ids import counted_ids
from ..runtime.timers import Timers
from . import hooks
from .answers import NodeAnswers
from .channel_rates import ChannelRates
from .channel_samples import ChannelSamples
from .channels import ChannelRules
from .closed_clients import ClosedClients
from .cluster import Cluster
from .commands import Commands
from .engine_failures import EngineFailures
from .hooks import CallHook, Context, Hooks, call_directly
from .hub import Connection, Hub, OpenConnection
from .live_streams import LiveStreams
from .metrics import Metrics
from .node_parts import NodeParts
from .refusals import Refusals
from .watched import EncodePublication
from .watched_namespaces import WatchedNamespaces

log = logging.getLogger(__name__)

CHANNEL_LOCKS = 64
"""Number of locks that all channels share. It is large enough that two channels rarely wait for each other."""
CLOSED_PER_SECOND = 100
"""Minimum number of connections closed per second while the node drains: a few clients do not need `drain_time`."""
DRAIN_BATCH_SIZE = 10
HOOKS_STOP_TIMEOUT = 1.0
"""Seconds for hooks that are still running when the node stops."""


class Node(Commands):
    """One node of the server, started in the process that serves connections, and stopped once.

    `encode` encodes the messages that operators watch. `call_hook` calls a hook in the context that the application
    needs.
    """

    _engine: Engine

    def __init__(
        self,
        config: Config,
        engine: Engine,
        version: str,
        encode: EncodePublication,
        call_hook: CallHook = call_directly,
    ) -> None:
        self.config = config
        self.version = version
        self.flusher = Flusher(config.client_write_delay)
        self.timers = Timers()
        self.metrics = Metrics(self.flusher)
        self.renewals = Timers(clock=time.monotonic)
        """Timers for data that expires in other processes, even while this process is suspended."""
        self.hub = Hub(self.flusher)
        self.refusals = Refusals()
        self.hooks = Hooks(lambda: self.config.hook_timeout, call_hook, self.metrics.breakdowns, self.refusals)
        """The hooks of the application; all are added before the node starts."""
        self.stopping = False
        """Whether the node is shutting down and refuses new requests."""
        self.closed_clients = ClosedClients()
        self.rates = ChannelRates(self.timers.after)
        self.channel_samples = ChannelSamples(self.hub, self._count_presence)
        self.watched_namespaces = WatchedNamespaces(self.timers.after, self._update_rules)
        failures = EngineFailures()
        parts, watch = self._own_parts(engine.name), self.watched_namespaces.watch
        self.cluster = Cluster(parts, engine, failures, encode, lambda question: self.answers.answer(question), watch)
        self.answers = NodeAnswers(parts, self.cluster)
        super().__init__(
            config, engine, self.metrics.counters, failures, self.cluster.apply_to_users, self.cluster.watched
        )
        self._slow_clients = ThrottledLog(log, logging.WARNING)
        self.streams = LiveStreams(self.hub, self.top, self._spread)
        self._locks = [BoundedSemaphore() for _ in range(CHANNEL_LOCKS)]

    def _own_parts(self, engine: str) -> NodeParts:
        return NodeParts(
            self.version,
            engine,
            lambda: self.config,
            self.hub,
            self.metrics,
            self.rates,
            self.channel_samples,
            self.closed_clients,
        )

    def _count_presence(self, channel: str) -> int | None:
        """Return how many clients are present in a channel on all nodes, or None if that is not known.

        It is not known in a channel without the option `presence`, and if the engine fails, which is logged.
        """
        try:
            return self._engine.count_presence(channel) if self.rules.options(channel).presence else None
        except Refused:  # a reload has removed the namespace
            return None
        except EngineError as error:
            self._failures.note("count presence", error, channel)
            return None

    # -- life

    def configure(self, config: Config) -> None:
        """Apply a new configuration; connections use it from their next command."""
        self.config = config
        self.answers.loaded_at = time.time()
        self._update_rules()
        self.flusher.rest = config.client_write_delay

    def _update_rules(self) -> None:
        self.rules = ChannelRules(self.config, self.watched_namespaces.names)

    def start(self, in_background: bool = True) -> None:
        """Start the engine and the greenlets of the node, with a new identity.

        If `in_background` is false, it starts no greenlets: there are no pings between nodes, and the caller must start
        `timers` to let time pass for the connections.
        """
        # The uid is created after a possible fork, because two processes must not share it.
        self.cluster.identify()
        self.metrics.watch_process()
        self._new_uid = counted_ids()
        self.hooks.seal()
        if self.hooks.has(hooks.OCCUPIED, hooks.VACATED):
            self._engine.enable_occupancy_events(self, self.hooks.max_timeout(hooks.OCCUPIED, hooks.VACATED))
        self._engine.start(self)
        self.cluster.announce()
        if in_background:
            self.timers.start()
            self.renewals.start()
            self.cluster.start()
            self.streams.start()

    def close_connections(self, disconnect: Disconnect = CLOSE_SHUTDOWN) -> None:
        """Refuse new requests, and close the connections of all clients, spread over `drain_time`."""
        self.stopping = True
        self._spread(list(self.hub.open), lambda connection: connection.close(disconnect))

    def _spread(self, connections: Sequence[OpenConnection], action: Callable[[OpenConnection], None]) -> None:
        """Call `action`, which may block, for connections, spread over `drain_time`."""
        # Concurrently: each connection publishes its leaves, and all that wait for the engine share one round trip. An
        # unavailable engine must not delay the close of the others.
        calling = Group()
        spread = min(self.config.drain_time, len(connections) / CLOSED_PER_SECOND)
        started = time.monotonic()
        for number, connection in enumerate(connections):
            if number % DRAIN_BATCH_SIZE == 0:
                gevent.sleep(max(started + spread * number / len(connections) - time.monotonic(), 0))
            calling.spawn(action, connection)
        calling.join()

    def stop(self) -> None:
        """Stop the greenlets of the node, and the engine. A second call does nothing."""
        self.stopping = True
        self.cluster.stop()
        self.streams.stop()
        self.timers.stop()
        self.renewals.stop()
        self.hooks.finish(HOOKS_STOP_TIMEOUT)  # they may still publish
        self._engine.stop()

    @property
    def has_pending_notifications(self) -> bool:
        """Whether hooks are running, or will be called immediately, so that `stop` would interrupt them."""
        return self.hooks.running > 0 or self._engine.has_pending_notifications

    @property
    def engine_name(self) -> str:
        """The name of the engine, as the admin interface shows it."""
        return self._engine.name

    def engine_servers(self) -> list[ServerFigures]:
        """Return what this node knows of the servers that its engine uses; empty if it uses none."""
        return self._engine.servers()

    @property
    def group(self) -> str:
        """Identifies the nodes that the engine connects with this one."""
        return self._engine.group

    @property
    def joins_nodes(self) -> bool:
        """Whether there may be other nodes."""
        return self._engine.joins_nodes

    def stats(self) -> dict[str, object]:
        """Return the last ping of each node, with the counters of its last metrics interval."""
        return self.cluster.stats()

    # -- publish: towards the engine

    def publish_join(self, channel: str, info: RawClientInfo) -> None:
        """Publish that a client joined; a failure is only logged, because the subscription works without it."""
        self.metrics.counters.node_num_join_msg_published += 1
        self._publish_event(Join(channel, info))

    def publish_leave(self, channel: str, info: RawClientInfo) -> None:
        """Publish that a client left; a failure is only logged."""
        self.metrics.counters.node_num_leave_msg_published += 1
        self._publish_event(Leave(channel, info))

    def _publish_event(self, event: Event) -> None:
        try:
            self._engine.publish_event(event)
        except EngineError as error:
            self._failures.note(f"publish a {type(event).__name__.lower()}", error, event.channel)

    # -- handle: back from the engine

    def handle_event(self, event: Event) -> None:
        """Deliver an event to the subscribers of this node."""
        counters = self.metrics.counters
        if isinstance(event, Publication):
            counters.node_num_client_msg_received += 1
            if self.rates.counts is not None:
                self.rates.counts[event.channel] += 1
            if event.channel in self.channel_samples.published:
                self.channel_samples.published[event.channel] += 1
            self.streams.deliver(event)
            return
        if isinstance(event, Join):
            counters.node_num_join_msg_received += 1
        else:
            counters.node_num_leave_msg_received += 1
        self.hub.broadcast(event)

    def handle_missed(self, channel: str, found: int | None, seconds: float) -> bool:
        """Make subscribers recover if publications may be missing. Returns whether publications may be missing."""
        try:
            options = self.rules.options(channel)
        except Refused:  # a reload has removed the namespace
            return False
        if found is not None and found < options.history_size and seconds < options.history_lifetime:
            return False
        self.streams.mark_incomplete(channel, only_positioned=not options.recover)
        return True

    def handle_control(self, message: bytes) -> None:
        """Carry out a control message of another node."""
        self.cluster.handle(message)

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        """Call the hooks for a channel that is occupied or vacated. Returns False if one could not deliver it."""
        return self.hooks.notify(Context(hooks.OCCUPIED if is_occupied else hooks.VACATED, channel=channel))

    # -- connections and subscriptions

    def note_slow(self, connection: Connection, more: int = 0) -> None:
        """Count and log that the connection of a slow client is closed. The client cannot receive a reason.

        `more` is the number of waiting bytes in addition to those in the outbox.
        """
        self.metrics.counters.client_num_closed_slow += 1
        self.closed_clients.note_slow(connection.uid, connection.outbox.size + more)
        self._slow_clients.log(
            "slow",
            "client %s (user %r): slow client, closing connection: %d bytes unsent (option client_queue_max_size)",
            connection.uid,
            connection.user,
            connection.outbox.size + more,
        )

    def add_connection(self, connection: Connection) -> None:
        """Register an authenticated connection."""
        self.metrics.counters.node_num_add_client_conn += 1
        self.hub.add(connection)

    def remove_connection(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self.metrics.counters.node_num_remove_client_conn += 1
        self.hub.remove(connection)

    def add_subscription(
        self, channel: str, connection: Connection, hold: bool = False, encoding: Encoding | None = None
    ) -> None:
        """Subscribe a connection. Raises Refused with INTERNAL_ERROR, without a subscription, if the engine fails.

        With `hold`, publications wait in the hub until they are released. `encoding` replaces the encoding of the
        connection for this subscription.
        """
        self.metrics.counters.node_num_add_client_sub += 1
        # Hub and engine must agree: without the lock a last leave and a first join could run at the same time.
        with self._lock(channel):
            if not self.hub.add_subscription(channel, connection, hold, encoding):
                return
            try:
                self._engine.subscribe(channel)
            except EngineError as error:
                self.hub.remove_subscription(channel, connection)
                raise self._failures.refusal("subscribe", error, channel) from error

    def remove_subscription(self, channel: str, connection: Connection) -> None:
        """End a subscription. A failure of the engine is only logged, and further events are discarded."""
        self.metrics.counters.node_num_remove_client_sub += 1
        with self._lock(channel):
            if not self.hub.remove_subscription(channel, connection):
                return
            self.streams.forget(channel)
            try:
                self._engine.unsubscribe(channel)
            except EngineError as error:
                self._failures.note("unsubscribe", error, channel)

    def _lock(self, channel: str) -> BoundedSemaphore:
        return self._locks[hash(channel) % CHANNEL_LOCKS]

    # -- presence and recovery of subscribers

    def add_presence(self, channel: str, client: str, info: RawClientInfo) -> None:
        """Store that a client is in a channel. Raises Refused with INTERNAL_ERROR if the engine fails."""
        self.metrics.counters.node_num_add_presence += 1
        try:
            self._engine.add_presence(channel, client, info, self.config.presence_expire_interval)
        except EngineError as error:
            raise self._failures.refusal("add presence", error, channel) from error

    def remove_presence(self, channel: str, client: str) -> None:
        """Remove a client from the presence of a channel. A failure is only logged, because presence expires."""
        self.metrics.counters.node_num_remove_presence += 1
        try:
            self._engine.remove_presence(channel, client)
        except EngineError as error:
            self._failures.note("remove presence", error, channel)

    def recover(self, channel: str, last: str) -> Recovery:
        """Return the publications after the uid `last`. Raises Refused with the errors of `history`."""
        self._require_history(channel)
        try:
            return self._engine.recover(channel, last)
        except EngineError as error:
            raise self._failures.refusal("recover", error, channel) from error

    def top(self, channel: str) -> StreamPosition:
        """Return the position of the newest publication of a channel. Raises Refused with the errors of `history`."""
        # `stream` cannot be used: only after `recover` has the node received everything up to the top.
        return self.recover_since(channel, StreamPosition(0, ""), 0).top

    def recover_since(self, channel: str, position: StreamPosition, limit: int) -> StreamRecovery:
        """Return the publications after a position. Raises Refused with the errors of `history`."""
        options = self._require_history(channel)
        try:
            return self._engine.recover_since(channel, position, limit, options.meta_lifetime)
        except EngineError as error:
            raise self._failures.refusal("recover", error, channel) from error

    def recover_newest(
        self, channel: str, position: StreamPosition, passes: Callable[[Event], bool] | None = None
    ) -> StreamRecovery:
        """Return only the newest publication, or none if the subscriber has reached the top of the stream.

        With `passes`, the newest one for which this function returns True. Raises Refused with the errors of `history`.
        """
        limit = 1 if passes is None else self.config.client_recovery_max_publication_limit
        publications, top = self.stream(channel, HistoryFilter(limit, reverse=True))
        if not publications:
            return StreamRecovery((), top, False)
        if position == top:
            return StreamRecovery((), top, True)
        found = [publication for publication in publications if passes is None or passes(publication)]
        return StreamRecovery(found[:1], top, True)

    def last_uid(self, channel: str) -> str:
        """Return the uid of the newest publication in the history, or "". Raises Refused with INTERNAL_ERROR."""
        self.metrics.counters.node_num_last_message_id += 1
        newest = self._history(channel, limit=1)
        return newest[0].uid if newest else ""
