"""The contract between the node and what carries its messages.

An engine carries publications, joins and leaves to the nodes that subscribed to
their channel, keeps presence and history, and passes control messages between
nodes. It knows nothing of connections, protocols or transports: it calls back
through `EngineHandler`. `tests/engines/contract.py` checks every engine.

Calls may block the calling greenlet; each ends within the engine's timeouts.
An engine that cannot do what it was asked raises EngineError: a publish that
returns has reached the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ..app.model.events import ClientInfo, Event, Publication


class EngineError(Exception):
    """The engine could not do what it was asked; the text is for the log, never for a peer."""


class HistoryOptions(NamedTuple):
    """How the history of a channel is kept."""

    size: int
    """How many publications at most; more than 0."""
    lifetime: float
    """Seconds after the last publication until the whole history is dropped; more than 0."""
    drop_inactive: bool = False
    """Keep nothing of a channel that has no subscriber on any node and no history yet."""


class Recovery(NamedTuple):
    """What a returning subscriber is given."""

    publications: Sequence[Publication]
    """Newest first."""
    complete: bool
    """Whether that is for sure all that it has missed."""


class EngineHandler(Protocol):
    """What an engine calls when something arrives. No method blocks or raises, unless it says so."""

    def handle_event(self, event: Event) -> None:
        """A publication, join or leave in a channel this node is subscribed to."""

    def handle_control(self, message: bytes) -> None:
        """A control message; a node's own messages come back to it too."""

    def handle_api(self, entries: Sequence[bytes]) -> None:
        """Entries of a queue of API commands, to be carried out in order. This one may block; it does not raise."""

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        """A channel has its first subscriber, or none any more, on all nodes together; False to be told again later.

        Called by one node, and with the opposite only when this has returned. This one may block; it does not raise.
        """
        ...


class Engine(ABC):
    """One engine of one node."""

    name: str
    """As shown to operators."""
    joins_nodes = True
    """Whether several nodes can share what this engine carries."""
    group = ""
    """Names the nodes that share what this engine carries, the same in each of them; holds no secret."""
    batches = False
    """Whether `publish_all` takes less than as many calls of `publish`."""

    @abstractmethod
    def start(self, handler: EngineHandler) -> None:
        """Begin to call `handler`. Called once, in the process that serves.

        An engine whose server is away starts all the same and goes on trying.
        """

    @abstractmethod
    def stop(self) -> None:
        """Release everything; no callback follows. A second call does nothing."""

    @abstractmethod
    def notice_occupancy(self, longest: float) -> None:
        """Call `handle_occupancy` too, which takes `longest` seconds at most. Called before the start, if at all.

        What is told of one channel alternates and ends with what is true; what comes and goes in between may be
        left out. It is told at least once, by another node if need be: twice when a node ends while it tells.
        """

    @property
    def is_telling(self) -> bool:
        """Whether `handle_occupancy` is being called, or is about to be: what `stop` would cut short."""
        return False

    # -- publish

    @abstractmethod
    def publish(self, publication: Publication, history: HistoryOptions | None) -> None:
        """Carry a publication to all nodes subscribed to its channel, after adding it to the history, if kept.

        Publications of one caller in one channel arrive everywhere in the order of the calls.
        """

    def publish_all(self, batch: Sequence[tuple[Publication, HistoryOptions | None]]) -> list[EngineError | None]:
        """Publish all of them as `publish` does, in order for each channel; what went wrong with each."""
        return [self._try_to_publish(*item) for item in batch]

    def _try_to_publish(self, publication: Publication, history: HistoryOptions | None) -> EngineError | None:
        try:
            self.publish(publication, history)
        except EngineError as error:
            return error
        return None

    @abstractmethod
    def publish_event(self, event: Event) -> None:
        """Carry a join or leave to all nodes subscribed to its channel.

        If this node is one of them, it has been called back when this returns: clients hear of their
        own join and leave before the reply.
        """

    @abstractmethod
    def publish_control(self, message: bytes) -> None:
        """Carry a control message to all nodes.

        This one has been called back when this returns, also with what it published before.
        """

    # -- subscribe

    @abstractmethod
    def subscribe(self, channel: str) -> None:
        """Receive the events of `channel` from now on. The node calls this for its first subscriber only."""

    @abstractmethod
    def unsubscribe(self, channel: str) -> None:
        """Receive no more events of `channel`. The node calls this after its last subscriber left."""

    @abstractmethod
    def channels(self) -> list[str]:
        """All channels with a subscriber, of all nodes, in no particular order."""

    # -- presence

    @abstractmethod
    def add_presence(self, channel: str, client: str, info: ClientInfo, expire: float) -> None:
        """Note that `client` is there, for `expire` seconds unless it is added again."""

    @abstractmethod
    def remove_presence(self, channel: str, client: str) -> None:
        """Forget `client`; nothing happens when it is not there."""

    @abstractmethod
    def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Who is there, by client id."""

    # -- history

    @abstractmethod
    def history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        """The newest `limit` publications, newest first; all that are kept when `limit` is 0."""

    def recover(self, channel: str, last: str) -> Recovery:
        """What the history has after the publication with the uid `last`, or all of it when that is not there.

        Complete only if nothing that was published since can be missing.
        """
        history = self.history(channel)
        for position, publication in enumerate(history):
            if publication.uid == last:
                return Recovery(history[:position], True)
        return Recovery(history, False)
