"""The interfaces between the server and what carries its messages, one for each duty.

An engine carries publications, joins and leaves to the nodes that are subscribed to their channel, stores presence and
history, and passes control messages between nodes. It knows nothing about connections, protocols or transports, and
calls the node back through `EngineHandler`. A program that is not a node needs less: `CommandEngine` is the part of an
engine that commands of backends use. `tests/engines/contract.py` checks every engine.

Calls may block the calling greenlet; each ends within the timeouts of the engine. An engine that cannot carry out a
call raises EngineError: a publish that returns has reached the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ..app.model.events import Event, Publication, RawClientInfo, StreamPosition


class EngineError(Exception):
    """The engine could not carry out a call; the text is for the log, not for clients or backends."""


class UnrecoverablePosition(Exception):
    """A position has another epoch than the stream of its channel: what follows it cannot be known."""


IDEMPOTENCY_LIFETIME = 300.0
"""Seconds for which the result of a publish with an idempotency key is kept."""
LARGEST_VERSION = 2**64 - 1
"""The largest version of a publication."""
ALL = -1
"""The limit of a `HistoryFilter` that takes everything."""


class HistoryOptions(NamedTuple):
    """How the history of a channel is kept."""

    size: int
    """Largest number of publications; more than 0."""
    lifetime: float
    """Seconds after the last publication until the whole history is deleted; more than 0."""
    drop_inactive: bool = False
    """Add nothing to an empty history while the channel has no subscriber on any node."""
    meta_lifetime: float = 0
    """Seconds after the last publication until offset and epoch of the stream are deleted; at least `lifetime`."""


class Once(NamedTuple):
    """Conditions under which a publication is published; if one is not met, the publish changes nothing."""

    key: str = ""
    """If not empty: no publish with this idempotency key in this channel in the last IDEMPOTENCY_LIFETIME."""
    version: int = 0
    """If more than 0: it is larger than that of the last publication with a version. Only where a history is kept."""
    version_epoch: str = ""
    """Versions of different epochs are not compared; if empty, they are compared with those of every epoch."""


class HistoryFilter(NamedTuple):
    """Which publications of a history to return."""

    limit: int = 0
    """Largest number of publications; 0 for none, ALL for all."""
    since: StreamPosition | None = None
    """Only later ones; with `reverse` only earlier ones. An empty epoch stands for the current one."""
    reverse: bool = False
    """Newest first; otherwise oldest first."""


class Stream(NamedTuple):
    """The publications of a channel that a `HistoryFilter` selects."""

    publications: Sequence[Publication]
    """In the order of the filter."""
    top: StreamPosition
    """The position of the newest publication of the channel, also if that has expired."""


class StreamRecovery(NamedTuple):
    """What a subscriber that returns to a position has missed."""

    publications: Sequence[Publication]
    """Oldest first; empty unless `recovered`."""
    top: StreamPosition
    """The position of the newest publication of the channel."""
    recovered: bool
    """Whether it is certain that these are all publications after the position."""


class Recovery(NamedTuple):
    """What a subscriber that returns has missed."""

    publications: Sequence[Publication]
    """Newest first."""
    complete: bool
    """Whether it is certain that nothing else was missed."""


# -- what an engine calls


class EngineHandler(Protocol):
    """What an engine calls when something arrives. The methods do not block and do not raise."""

    def handle_event(self, event: Event) -> None:
        """A publication, join or leave in a channel that this node is subscribed to."""

    def handle_missed(self, channel: str, found: int | None, seconds: float) -> bool:
        """The connection was broken for up to `seconds`, and the newest publication delivered is not in the history.

        `found` publications, all that the history has that may be newer, are delivered next; None when it could not be
        read. Returns whether others may be missing: those that were more than a history holds, or have expired.
        """
        ...

    def handle_control(self, message: bytes) -> None:
        """A control message, also one that this node has published."""


class OccupancyHandler(Protocol):
    """What an engine calls when a channel gets its first subscriber or loses its last one."""

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        """The channel has its first subscriber on all nodes together, or has none any more.

        Returns False to be called again later. May block; does not raise. One node at a time is called for a channel,
        and the next change of the channel is reported after this call has returned.
        """
        ...


CommandHandler: TypeAlias = Callable[[Sequence[bytes]], None]
"""Carries out entries of a queue of API commands, in order. May block; does not raise."""

PublishItem: TypeAlias = tuple[Publication, HistoryOptions | None, Once | None]
"""The arguments of one publish."""
PublishOutcome: TypeAlias = StreamPosition | EngineError | None
"""What one publish has returned, or the error that it has raised."""


# -- what commands of backends need


class PublicationSender(ABC):
    """Publishes into channels."""

    batches = False
    """Whether `publish_all` is faster than as many calls of `publish`."""

    @abstractmethod
    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: Once | None = None
    ) -> StreamPosition | None:
        """Add a publication to the history, if `history` is given, and carry it to all nodes subscribed to its channel.

        Returns its position, None if it is not kept. Subscribers receive it with this position. If `once` does not let
        it be published, the result is that of the first publish with the same key, or the top of the stream for a
        version that is not newer. Publications of one caller in one channel arrive everywhere in the order of the
        calls. Raises EngineError.
        """

    def publish_all(self, batch: Sequence[PublishItem]) -> list[PublishOutcome]:
        """Publish each as `publish` does, in order for each channel; returns the result or the error of each."""
        return [self._try_to_publish(*item) for item in batch]

    def _try_to_publish(
        self, publication: Publication, history: HistoryOptions | None, once: Once | None
    ) -> PublishOutcome:
        try:
            return self.publish(publication, history, once)
        except EngineError as error:
            return error


class ControlSender(ABC):
    """Sends control messages to all nodes."""

    joins_nodes = True
    """Whether there may be more than one node."""

    @abstractmethod
    def publish_control(self, message: bytes) -> None:
        """Send a control message to all nodes. Raises EngineError.

        When a node calls this, it has received the message itself, and everything that it published before, when the
        call returns.
        """


class ChannelLister(ABC):
    """Knows the channels that are in use."""

    @abstractmethod
    def channels(self) -> list[str]:
        """All channels with a subscriber on any node, in no particular order. Raises EngineError."""


class PresenceReader(ABC):
    """Looks up the clients in a channel."""

    @abstractmethod
    def presence(self, channel: str) -> Mapping[str, RawClientInfo]:
        """The clients in a channel, by client id. Raises EngineError."""


class HistoryReader(ABC):
    """Looks up the publications that are kept of a channel."""

    @abstractmethod
    def history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        """The newest `limit` publications, newest first, or all of them when it is 0. Raises EngineError."""

    @abstractmethod
    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        """The publications that `wanted` selects, and the top of the stream.

        A channel without a stream gets one: it is at offset 0 of an epoch, in which the next publication has offset 1.
        Its position is kept for at least `meta_lifetime` seconds from now on. Raises EngineError, and
        UnrecoverablePosition if `wanted.since` is of another epoch.
        """


class HistoryRemover(ABC):
    """Deletes what is kept of a channel."""

    @abstractmethod
    def remove_history(self, channel: str) -> None:
        """Delete the publications that are kept. Offset and epoch of the stream continue. Raises EngineError."""


class CommandEngine(PublicationSender, ControlSender, ChannelLister, PresenceReader, HistoryReader, HistoryRemover):
    """What commands of backends need, in a node or in any other program."""


# -- what nodes need besides


class EventBroker(PublicationSender):
    """Carries what happens in channels to the nodes that are subscribed to them."""

    @abstractmethod
    def subscribe(self, channel: str) -> None:
        """Receive the events of `channel` from now on; called for the first subscriber on this node.

        Raises EngineError; then there is no subscription.
        """

    @abstractmethod
    def unsubscribe(self, channel: str) -> None:
        """Stop receiving the events of `channel`; called after the last subscriber on this node left.

        Raises EngineError; then the subscription ends later.
        """

    @abstractmethod
    def publish_event(self, event: Event) -> None:
        """Carry a join or leave to all nodes subscribed to its channel. Raises EngineError.

        If this node is subscribed, it has received the event when this returns: a client gets its own join and leave
        before the reply.
        """


class PresenceStore(PresenceReader):
    """Stores the clients in a channel."""

    @abstractmethod
    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        """Store that `client` is in `channel`, for `expire` seconds unless it is added again. Raises EngineError."""

    @abstractmethod
    def remove_presence(self, channel: str, client: str) -> None:
        """Remove `client`, if it is there. Raises EngineError."""


class HistoryStore(HistoryReader):
    """Keeps publications, for subscribers that return."""

    def recover(self, channel: str, last: str) -> Recovery:
        """The publications after the one with the uid `last`, or the whole history when that is not in it.

        The result is complete only if no publication after `last` can be missing. When this returns on a node that is
        subscribed to the channel, `handle_event` has been called with all publications in the result that the node
        receives as a subscriber: later calls bring newer ones. Raises EngineError.
        """
        history = self.history(channel)
        for position, publication in enumerate(history):
            if publication.uid == last:
                return Recovery(history[:position], True)
        return Recovery(history, False)

    @abstractmethod
    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        """The publications after `position`, if it is certain that none is missing and there are at most `limit`.

        An empty epoch stands for the current one. With a `limit` of ALL there may be any number. `handle_event` has
        been called before as for `recover`, and the stream is kept as for `stream`. Raises EngineError.
        """


class OccupancyNotifier(ABC):
    """Reports which channels have subscribers, on all nodes together."""

    @abstractmethod
    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        """Call `handler`, which takes up to `longest` seconds for a call. Called before the engine starts, if at all.

        The reports of one channel alternate, and the last one is true; short changes in between may be left out. Each
        is made at least once, by another node if this one ends: twice when a node ends during the call.
        """

    @property
    @abstractmethod
    def has_pending_notifications(self) -> bool:
        """Whether the handler is being called, or will be immediately: `stop` would interrupt it."""


class CommandQueue(ABC):
    """A queue of API commands that backends fill (docs/redis.md)."""

    @abstractmethod
    def start(self, handler: CommandHandler) -> None:
        """Begin to take entries and to give them to `handler`. Called once, after the engine has started."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more entries, and wait for those that are being carried out, for a limited time.

        Called before the engine stops. A second call does nothing.
        """


class Engine(CommandEngine, EventBroker, PresenceStore, HistoryStore, OccupancyNotifier):
    """The engine of one node."""

    name: str
    """As operators see it."""
    group = ""
    """Identifies the nodes that use it together: the same text in each of them, without secrets."""
    queue: CommandQueue | None = None
    """The queue of commands that comes with it, if there is one."""

    @abstractmethod
    def start(self, handler: EngineHandler) -> None:
        """Begin to call `handler`. Called once, in the process that serves.

        An engine that cannot reach its server starts as well, and continues to connect.
        """

    @abstractmethod
    def stop(self) -> None:
        """Release everything; the handlers are not called any more. A second call does nothing."""
