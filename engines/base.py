"""The interfaces between the server and the engines that distribute its messages, one for each task.

An engine carries publications, joins and leaves to the nodes that are subscribed to their channel, stores presence and
history, and passes control messages between nodes. It does not depend on connections, protocols or transports, and
calls the node through `EngineHandler`. A program that is not a node only needs `CommandEngine`, the part of an engine
that commands of backends use. `tests/engines/contract.py` checks every engine.

Calls may block the calling greenlet; each ends within the timeouts of the engine. An engine that cannot carry out a
call raises EngineError: a publish that returns has reached the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ..app.model.events import Event, Publication, RawClientInfo, StreamPosition
from .health import ServerFigures


class EngineError(Exception):
    """The engine could not carry out a call. The text is for the log, not for clients or backends."""


class UnrecoverablePosition(Exception):
    """The epoch of a position is not that of the stream, so the publications after the position are unknown."""


IDEMPOTENCY_LIFETIME = 300.0
"""Seconds for which the result of a publish with an idempotency key is stored."""
MAX_VERSION = 2**64 - 1
"""The largest version of a publication."""
ALL = -1
"""The value of the limit of a `HistoryFilter` for all publications."""


class HistoryOptions(NamedTuple):
    """The limits of a channel's history."""

    size: int
    """Maximum number of publications; more than 0."""
    lifetime: float
    """Seconds after the last publication until the whole history is deleted; more than 0."""
    drop_inactive: bool = False
    """Whether to add nothing to an empty history while the channel has no subscriber on any node."""
    meta_lifetime: float = 0
    """Seconds after the last publication until offset and epoch of the stream are deleted; at least `lifetime`."""


class PublishConditions(NamedTuple):
    """Conditions for publishing a publication; if one of them is not met, the publish changes nothing."""

    key: str = ""
    """If not empty: there was no publish with this key in this channel during the last IDEMPOTENCY_LIFETIME."""
    version: int = 0
    """If more than 0: it is greater than the last version in the channel. Only for channels with a history."""
    version_epoch: str = ""
    """Versions of different epochs are not compared; if empty, they are compared with those of every epoch."""


class Suppressed(NamedTuple):
    """The result of a publish that a condition has suppressed: nothing was stored, and nobody receives anything."""

    position: StreamPosition | None
    """The result of the first publish with the same key, or the top of the stream if the version is not newer."""


class HistoryFilter(NamedTuple):
    """Which publications of a history to return."""

    limit: int = 0
    """Maximum number of publications; 0 for none, ALL for all."""
    since: StreamPosition | None = None
    """Only publications after it; with `reverse` only those before it. An empty epoch means the current epoch."""
    reverse: bool = False
    """Whether to return the newest first; otherwise the oldest are first."""


class Stream(NamedTuple):
    """The publications of a channel that a `HistoryFilter` selects."""

    publications: Sequence[Publication]
    """The selected publications, in the order of the filter."""
    top: StreamPosition
    """The position of the newest publication of the channel, even if that publication has expired."""


class StreamRecovery(NamedTuple):
    """The publications that a returning subscriber has missed since a position."""

    publications: Sequence[Publication]
    """Oldest first; empty unless `recovered`."""
    top: StreamPosition
    """The position of the newest publication of the channel."""
    recovered: bool
    """Whether these are certainly all publications after the position."""


class Recovery(NamedTuple):
    """The publications that a returning subscriber has missed."""

    publications: Sequence[Publication]
    """Newest first."""
    complete: bool
    """Whether these are certainly all publications that were missed."""


# -- what an engine calls


class EngineHandler(Protocol):
    """The methods of a node that an engine calls when something arrives. They do not block and do not raise."""

    def handle_event(self, event: Event) -> None:
        """Handle a publication, join or leave in a channel that this node is subscribed to."""

    def handle_missed(self, channel: str, found: int | None, seconds: float) -> bool:
        """Handle a gap: the connection was lost for up to `seconds`, and the history does not contain the newest
        publication that was delivered before.

        `found` is the number of publications in the history that may be newer; they are delivered next. It is None if
        the history could not be read. Returns whether other publications may be missing, because the history was too
        short to keep them or they have expired.
        """
        ...

    def handle_control(self, message: bytes) -> None:
        """Handle a control message, including those that this node has published."""


class OccupancyHandler(Protocol):
    """The method that an engine calls when a channel gets its first subscriber or loses its last one."""

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        """Handle the first subscriber of a channel, or the loss of its last one, counted over all nodes.

        Returns False to be called again later. May block; does not raise. Only one node at a time is called for a
        channel, and the next change of the channel is reported after this call has returned.
        """
        ...


CommandHandler: TypeAlias = Callable[[Sequence[bytes]], None]
"""Carries out entries of a queue of API commands, in order. May block; does not raise."""

PublishItem: TypeAlias = tuple[Publication, HistoryOptions | None, PublishConditions | None]
"""The arguments of one call of `publish`."""
PublishEffect: TypeAlias = StreamPosition | Suppressed | None
"""The result of one call of `publish`: the position of the publication, or None without a history."""
PublishOutcome: TypeAlias = PublishEffect | EngineError
"""The result of one call of `publish`, or the error that it has raised."""


# -- the interfaces that commands of backends use


class PublicationSender(ABC):
    """Publishes into channels, one publication at a time or several together."""

    def may_have_subscribers(self, channel: str) -> bool:
        """Return whether a node may be subscribed to a channel. Does not block.

        If not, a publication without history would reach nobody, and a caller need not publish it.
        """
        return True

    @abstractmethod
    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        """Add a publication to the history, if `history` is given, and send it to all nodes subscribed to its channel.

        Returns its position, or None without a history. Subscribers receive it with this position. If a condition of
        `once` is not met, the result is `Suppressed`. Publications of one caller in one channel arrive on all nodes in
        the order of the calls. Raises EngineError.
        """

    def publish_all(self, batch: Sequence[PublishItem]) -> list[PublishOutcome]:
        """Publish a batch, in order for each channel. Returns the result or the error for each publication.

        May block, and other greenlets may run between two publications, also in engines whose `publish` never blocks.
        """
        return [self._try_to_publish(*item) for item in batch]

    def _try_to_publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None
    ) -> PublishOutcome:
        try:
            return self.publish(publication, history, once)
        except EngineError as error:
            return error


class ControlSender(ABC):
    """Sends control messages to all nodes."""

    joins_nodes = True
    """Whether there may be more than one node."""

    def servers(self) -> list[ServerFigures]:
        """Return what this node knows of the servers that the engine uses; empty if it uses none. Does not block."""
        return []

    @abstractmethod
    def publish_control(self, message: bytes) -> None:
        """Send a control message to all nodes. Raises EngineError.

        When the call returns, a caller that is a node has received the message itself, and everything that it has
        published before. All nodes receive all control messages in the same order.
        """


class ChannelLister(ABC):
    """Lists the channels that have subscribers."""

    @abstractmethod
    def channels(self) -> list[str]:
        """List all channels with a subscriber on any node, in no particular order. Raises EngineError."""


class PresenceReader(ABC):
    """Looks up the clients in a channel."""

    @abstractmethod
    def presence(self, channel: str) -> Mapping[str, RawClientInfo]:
        """Look up the clients in a channel, by client ID. Raises EngineError."""


class HistoryReader(ABC):
    """Looks up the publications in the history of a channel."""

    @abstractmethod
    def history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        """Return the newest `limit` publications, newest first; 0 returns all of them. Raises EngineError."""

    @abstractmethod
    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        """Return the publications that `wanted` selects, and the top of the stream.

        A channel without a stream gets a new one at offset 0, and its next publication has offset 1. The position is
        stored for at least `meta_lifetime` seconds after this call. Raises EngineError, and UnrecoverablePosition if
        `wanted.since` has another epoch.
        """


class HistoryRemover(ABC):
    """Deletes the history of a channel."""

    @abstractmethod
    def remove_history(self, channel: str) -> None:
        """Delete the history of a channel. Offset and epoch of the stream stay. Raises EngineError."""


class CommandEngine(PublicationSender, ControlSender, ChannelLister, PresenceReader, HistoryReader, HistoryRemover):
    """The part of an engine that commands of backends use, in a node or in any other program."""


# -- the interfaces that only nodes use


class EventBroker(PublicationSender):
    """Distributes the events of channels to the nodes that are subscribed to them."""

    @abstractmethod
    def subscribe(self, channel: str) -> None:
        """Start receiving the events of `channel`. Called for the first subscriber on this node.

        Raises EngineError, and then the node is not subscribed.
        """

    @abstractmethod
    def unsubscribe(self, channel: str) -> None:
        """Stop receiving the events of `channel`. Called after the last subscriber on this node has unsubscribed.

        Raises EngineError, and then the engine ends the subscription later.
        """

    @abstractmethod
    def publish_event(self, event: Event) -> None:
        """Send a join or leave to all nodes subscribed to its channel. Raises EngineError.

        If this node is subscribed, it has received the event when this method returns. So a client receives its own
        join and leave before the reply.
        """


class PresenceStore(PresenceReader):
    """Stores which clients are in a channel."""

    @abstractmethod
    def count_presence(self, channel: str) -> int:
        """Count the clients in a channel, without looking up their information. Raises EngineError."""

    @abstractmethod
    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        """Store that `client` is in `channel`; expires after `expire` seconds if not renewed. Raises EngineError."""

    @abstractmethod
    def remove_presence(self, channel: str, client: str) -> None:
        """Remove `client` from the presence of `channel`. Does nothing if it is not stored. Raises EngineError."""


class HistoryStore(HistoryReader):
    """Stores publications, so that returning subscribers can recover them."""

    def recover(self, channel: str, last: str) -> Recovery:
        """Return the publications after the one with the uid `last`, or the whole history if it does not have `last`.

        The result is complete only if no publication after `last` can be missing. If the node is subscribed to the
        channel, `handle_event` has been called for all publications in the result before this method returns, so later
        calls of `handle_event` are for newer ones. Raises EngineError.
        """
        history = self.history(channel)
        for position, publication in enumerate(history):
            if publication.uid == last:
                return Recovery(history[:position], True)
        return Recovery(history, False)

    @abstractmethod
    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        """Return the publications after `position`, if certainly none is missing and there are at most `limit`.

        An empty epoch means the current one. With a `limit` of ALL there may be any number. Like in `recover`,
        `handle_event` has been called for them before. Like in `stream`, the position is stored for at least
        `meta_lifetime` seconds. Raises EngineError.
        """


class OccupancyNotifier(ABC):
    """Reports which channels have subscribers, on all nodes together."""

    @abstractmethod
    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        """Report occupancy to `handler`, whose calls take at most `longest` seconds. Must be called before `start`.

        The reports for one channel alternate, and the last one is true. Short changes in between may be left out. Each
        report is made at least once, by another node if this one ends, and twice if a node ends during the report.
        """

    @property
    @abstractmethod
    def has_pending_notifications(self) -> bool:
        """Whether the handler is being called or will be called immediately, so that `stop` would interrupt it."""


class CommandQueue(ABC):
    """A queue of API commands that backends fill (docs/redis.md)."""

    @abstractmethod
    def start(self, handler: CommandHandler) -> None:
        """Start taking entries, and pass them to `handler`. Called once, after the engine has started."""

    @abstractmethod
    def stop(self) -> None:
        """Stop taking entries, and wait for a limited time for those that are being carried out.

        Called before the engine stops. A second call does nothing.
        """


class Engine(CommandEngine, EventBroker, PresenceStore, HistoryStore, OccupancyNotifier):
    """The engine of one node."""

    name: str
    """The name of the engine, as the admin interface shows it."""
    group = ""
    """Identifies the nodes that use it together: the same text in each of them, without secrets."""
    queue: CommandQueue | None = None
    """The queue of API commands of this engine, if it has one."""

    @abstractmethod
    def start(self, handler: EngineHandler) -> None:
        """Start calling `handler`. Called once, in the process that serves connections.

        An engine that cannot reach its server starts nevertheless, and retries in the background.
        """

    @abstractmethod
    def stop(self) -> None:
        """Release all resources, and stop calling the handlers. A second call does nothing."""
