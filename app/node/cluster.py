"""The communication of one node with the other nodes of the cluster, through control messages.

Contains the identity of this node, pings and the registry of nodes, surveys, the messages that operators watch, and
commands for the connections of a user on all nodes.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence

import gevent
import msgspec

from ...engines.base import ControlSender, EngineError
from ...engines.health import ServerHealth
from ..model.errors import Refused
from ..model.json_codec import InvalidJSON
from ..runtime.background import PeriodicTask
from ..runtime.log_throttle import ThrottledLog, kind_of
from ..runtime.running_clock import running_time
from . import control
from .control import (
    ControlMessage,
    Ping,
    SessionInput,
    SessionInputTaken,
    SurveyReport,
    SurveyRequest,
    WatchedMessages,
    WatchNamespace,
)
from .engine_failures import EngineFailures
from .node_parts import NodeParts
from .questions import SurveyAnswer, SurveyQuestion
from .registry import KnownNode, NodeDetails, NodeInfo, NodeRegistry
from .replacements import Replacements
from .samples import Gauges, NodeHistory
from .session_relay import SessionRelay
from .survey import Surveys
from .user_commands import AnyUserCommand, ReplaceConnections, SendMessage, UserCommand, carry_out
from .watched import EncodePublication, WatchedFeed

log = logging.getLogger(__name__)

MAX_SKIPPED_KINDS = 10
"""Maximum number of kinds of invalid control messages that are logged in ten seconds."""
MAX_MISSED_PINGS = 3
"""A node without pings for this many `node_ping_interval`s is removed from the registry."""

LEAVING_TIMEOUT = 1.0
"""Maximum seconds for the last ping of a node that stops."""

INTRODUCTION_PINGS = 1.5
"""A node that has run for this many `node_ping_interval`s has received a ping from every other node."""


class Cluster:
    """The connection of the node that has `parts` with all others.

    `answer` answers questions about this node; `watch` carries out a WatchNamespace. Neither raises.
    """

    def __init__(
        self,
        parts: NodeParts,
        engine: ControlSender,
        failures: EngineFailures,
        encode: EncodePublication,
        answer: Callable[[SurveyQuestion], SurveyAnswer],
        watch: Callable[[WatchNamespace], None],
    ) -> None:
        self._config = parts.config
        self._watch = watch
        self._version = parts.version
        self._engine = engine
        self._hub = parts.hub
        self._metrics = parts.metrics
        self._failures = failures
        self._skipped = ThrottledLog(log, logging.WARNING, max_keys=MAX_SKIPPED_KINDS)
        self._snapshot: dict[str, int] = {}
        self._tasks: list[PeriodicTask] = []
        self.watched = WatchedFeed(encode, parts.metrics.counters, self._send_watched, self._ping_peers_soon)
        self.samples = NodeHistory(parts.metrics, self._gauges, parts.channel_samples)
        self.surveys = Surveys(parts.config, lambda: self.registry.peers, self.publish, answer)
        self.sessions = SessionRelay(lambda: self.uid, lambda: self.registry.peers, self.knows_all_peers, self.publish)
        self.replacements = Replacements(parts.hub, self.publish, failures)
        self.identify()

    def identify(self) -> None:
        """Generate a new uid and forget all other nodes, because two processes after a fork must not share a uid."""
        self.uid = str(uuid.uuid4())
        self._started_at = int(time.time())
        self._start_time = time.monotonic()
        self.registry = NodeRegistry(self.uid, running_time)

    def knows_all_peers(self) -> bool:
        """Return whether every other node has sent a ping since this one started."""
        first_pings = INTRODUCTION_PINGS * self._config().node_ping_interval
        return not self._engine.joins_nodes or time.monotonic() - self._start_time > first_pings

    def announce(self) -> None:
        """Send the first ping. Must be called after the engine has started."""
        self._end_metrics_interval()
        self._send_ping()

    def start(self) -> None:
        """Start the greenlets that send pings and end metrics intervals. Must be called after `announce`."""
        self._tasks = [
            PeriodicTask("pings", lambda: self._config().node_ping_interval, self._ping),
            PeriodicTask("metrics", lambda: self._config().node_metrics_interval, self._end_metrics_interval),
            self.samples,
        ]
        for task in self._tasks:
            task.start()

    def stop(self) -> None:
        """Stop the greenlets, and tell the other nodes that this one leaves. A second call does nothing."""
        self.watched.stop()
        for task in self._tasks:
            task.stop()
        if self._tasks and self._engine.joins_nodes:
            # In another greenlet: an engine that hangs must not delay the stop for long.
            gevent.spawn(self._send_ping, leaving=True).join(LEAVING_TIMEOUT)
        self._tasks = []

    # -- all nodes

    def stats(self) -> dict[str, object]:
        """Return the last ping of each node, with the counters of its last metrics interval."""
        self._forget_silent()
        return {"nodes": self.registry.nodes(), "metrics_interval": int(self._config().node_metrics_interval)}

    def known_nodes(self) -> list[KnownNode]:
        """Return the last ping of each other node, and the current data of this node."""
        self._forget_silent()
        self.registry.add(self._info(self._snapshot), details=self._details())
        return self.registry.known()

    def own_info(self) -> NodeInfo:
        """Return the data of this node, with its counters since the start."""
        return self._info(self._metrics.totals())

    def servers(self) -> list[ServerHealth]:
        """Return the state of the connections of this node to the servers of its engine."""
        return [figures.health for figures in self._engine.servers()]

    def _gauges(self) -> Gauges:
        servers = self.servers()
        return Gauges(
            clients=self._hub.num_connections,
            users=self._hub.num_users,
            channels=self._hub.num_channels,
            subscriptions=self._hub.num_subscriptions,
            engine_up=all(server.reachable for server in servers),
            waiting=sum(server.waiting for server in servers),
            round_trip=max((server.round_trip for server in servers), default=0.0),
        )

    def apply_to_users(self, command: AnyUserCommand) -> None:
        """Apply a command to the connections of a user on all nodes; on this node even if the engine fails.

        Raises Refused with INTERNAL_ERROR if the engine fails.
        """
        try:
            # The control message comes first, so that all earlier publications of this backend are delivered before.
            self.publish(command)
        finally:
            self._apply_here(command)

    def _apply_here(self, command: AnyUserCommand) -> None:
        if isinstance(command, SendMessage) and not command.user:
            connections = self._hub.connections_with(command.client)
        else:
            connections = self._hub.user_connections(command.user)
        carry_out(command, connections)

    # -- control messages

    def publish(self, message: ControlMessage) -> None:
        """Send a message to all nodes. Raises Refused with INTERNAL_ERROR if the engine fails."""
        self._metrics.counters.node_num_control_msg_published += 1
        try:
            self._engine.publish_control(control.encode(self.uid, message))
        except EngineError as error:
            raise self._failures.refusal("publish a control message", error) from error

    def handle(self, data: bytes) -> None:
        """Carry out a control message of another node; of this node only ReplaceConnections. Does not block."""
        self._metrics.counters.node_num_control_msg_received += 1
        try:
            envelope = control.decode(data)
        except InvalidJSON as error:
            self._skipped.log(kind_of(str(error)), "skipping invalid control message: %s", error)
            return
        if isinstance(envelope.message, ReplaceConnections):
            self.replacements.handle(envelope.message)
        if envelope.node == self.uid:
            return
        match envelope.message:
            case Ping(info, watching, details, leaving):
                if leaving:
                    self.registry.remove(info.uid)
                else:
                    self.registry.add(info, watching, details)
                self.watched.set_peers_watching(self.registry.peers_watch)
            case UserCommand() as command:
                gevent.spawn(self._apply_here, command)
            case WatchedMessages() | SurveyRequest() | SurveyReport() | WatchNamespace() as message:
                self._handle_for_operators(envelope.node, message)
            case SessionInput() as message:
                self.sessions.handle_input(message)
            case SessionInputTaken() as message:
                self.sessions.handle_taken(message)

    def _handle_for_operators(
        self, node: str, message: WatchedMessages | SurveyRequest | SurveyReport | WatchNamespace
    ) -> None:
        match message:
            case WatchedMessages(messages, missed):
                self._metrics.counters.node_num_admin_msg_received += len(messages)
                self.watched.show([bytes(message) for message in messages], missed)
            case SurveyRequest():
                self.surveys.handle_request(message)
            case SurveyReport():
                self.surveys.handle_report(node, message)
            case WatchNamespace():
                self._watch(message)

    def _send_watched(self, messages: Sequence[bytes], missed: int) -> None:
        try:
            self.publish(WatchedMessages([msgspec.Raw(message) for message in messages], missed))
        except Refused:
            pass  # logged already; operators miss a few messages

    # -- pings and metrics

    def _ping(self) -> None:
        self._send_ping()
        self._forget_silent()

    def _send_ping(self, leaving: bool = False) -> None:
        info, details = self._info(self._snapshot), self._details()
        self.registry.add(info, details=details)
        try:
            self.publish(Ping(info, self.watched.watching, details, leaving))
        except Refused:
            pass  # logged already; the next ping follows soon

    def _ping_peers_soon(self) -> None:
        if self._engine.joins_nodes:
            gevent.spawn(self._send_ping)

    def _forget_silent(self) -> None:
        self.registry.forget_silent(MAX_MISSED_PINGS * self._config().node_ping_interval)
        self.watched.set_peers_watching(self.registry.peers_watch)

    def _end_metrics_interval(self) -> None:
        self._snapshot = self._metrics.end_interval()

    def _info(self, metrics: dict[str, int]) -> NodeInfo:
        now = {
            "node_num_channels": self._hub.num_channels,
            "node_num_clients": self._hub.num_connections,
            "node_num_unique_clients": self._hub.num_users,
            "node_uptime_seconds": int(time.monotonic() - self._start_time),
        }
        return NodeInfo(self.uid, self._config().name, self._started_at, metrics | now)

    def _details(self) -> NodeDetails:
        return NodeDetails(self._version, self._hub.num_subscriptions, os.getpid())
