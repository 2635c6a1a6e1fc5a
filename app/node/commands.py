"""The commands of backends: checks them against the options of their channels, and passes them to an engine.

A node has these commands, and so does a program that only publishes (extension/publisher.py).
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Raw

from ...engines.base import (
    CommandEngine,
    EngineError,
    HistoryFilter,
    HistoryOptions,
    PublishConditions,
    PublishItem,
    Stream,
    Suppressed,
    UnrecoverablePosition,
)
from ..config.config import Config
from ..model.errors import INVALID_MESSAGE, NO_CHANNEL, Error, Refused
from ..model.events import Publication, RawClientInfo, StreamPosition
from .channels import ChannelRules
from .engine_failures import EngineFailures
from .metrics import Counters
from .user_commands import AddSubscription, AnyUserCommand, CloseConnections, EndSubscriptions

PUBLISH_BATCH_SIZE = 256
"""Maximum number of publications of one request that are passed to the engine together."""

ApplyToUsers: TypeAlias = Callable[[AnyUserCommand], None]
"""Applies a command to the connections of a user on all nodes. Raises Refused."""


class PublicationObserver(Protocol):
    """Observes the publications in channels with option `watch`."""

    wanted: bool
    """Whether anybody observes, so that `note` should be called."""

    def note(self, publication: Publication) -> None:
        """Record a publication that the engine has sent to the subscribers. Does not block and does not raise."""


class PublishOptions(NamedTuple):
    """Options of one publication, in addition to those of its channel."""

    tags: Mapping[str, str] | None = None
    """Tags that subscribers receive with the publication."""
    skip_history: bool = False
    """Whether the publication is not added to the history."""
    once: PublishConditions | None = None
    """Conditions under which it is published; None publishes always."""


PLAIN_PUBLISH = PublishOptions()
"""Publish with the options of the channel only."""


class RequestedPublish(Protocol):
    """One publication of a backend, as requested."""

    @property
    def channel(self) -> str: ...

    @property
    def data(self) -> bytes | Raw: ...

    @property
    def client(self) -> str: ...

    @property
    def uid(self) -> str: ...

    @property
    def options(self) -> PublishOptions: ...


class PublishRequest(NamedTuple):
    """A `RequestedPublish`, for those that are not decoded directly from a request (plain_publish.py)."""

    channel: str
    data: bytes
    client: str = ""
    uid: str = ""
    options: PublishOptions = PLAIN_PUBLISH


class PresenceStats(NamedTuple):
    """The numbers of clients and of distinct users in a channel."""

    num_clients: int
    num_users: int


UNRECOVERABLE = Error("unrecoverable position")
"""The epoch of a position is not that of the stream. Version 1 of the protocol has no positions, and no such error."""


class Commands(ABC):
    """Publishing, presence, history, channels, and the connections of users.

    `apply_to_users` carries out the commands that concern users.
    """

    def __init__(
        self,
        config: Config,
        engine: CommandEngine,
        counters: Counters,
        failures: EngineFailures,
        apply_to_users: ApplyToUsers,
        observer: PublicationObserver | None = None,
    ) -> None:
        self.rules = ChannelRules(config)
        self._engine = engine
        self._counters = counters
        self._failures = failures
        self._apply_to_users = apply_to_users
        self._observer = observer
        self._new_uid: Callable[[], str] = _random_uid

    # -- publish

    def publish(
        self,
        channel: str,
        data: bytes,
        client: str = "",
        info: RawClientInfo | None = None,
        uid: str = "",
        options: PublishOptions = PLAIN_PUBLISH,
    ) -> StreamPosition | None:
        """Publish a payload into a channel. Returns its position, or None if it is not stored in a history.

        Raises Refused with NAMESPACE_NOT_FOUND, or with INTERNAL_ERROR if the engine fails.
        """
        channel_options, history = self.rules.options_and_history(channel)
        tags, skip_history, once = options
        if skip_history:
            history = None
        self._counters.node_num_client_msg_published += 1
        is_for_subscribers_only = history is None and once is None and not channel_options.watch
        if is_for_subscribers_only and not self._engine.may_have_subscribers(channel):
            return None
        publication = _new(Publication, (uid or self._new_uid(), channel, data, client, info, tags, 0, ""))
        try:
            result = self._engine.publish(publication, history, once)
        except EngineError as error:
            raise self._failures.refusal("publish", error, channel) from error
        if isinstance(result, Suppressed):
            return result.position
        if channel_options.watch and self._observer is not None and self._observer.wanted:
            self._observer.note(publication)
        return result

    def publish_all(self, requests: Sequence[RequestedPublish]) -> list[StreamPosition | Error | None]:
        """Publish several publications, in order for each channel. Returns the position or the error of each.

        Faster than single calls of `publish`. Other greenlets may run in the meantime.
        """
        rules = self.rules
        outcomes: list[StreamPosition | Error | None] = [None] * len(requests)
        places, items = self._items(rules, requests, outcomes)
        if not items:
            return outcomes
        results = self._engine.publish_all(items)
        for place, result in zip(places, results, strict=True):
            if result is None or isinstance(result, StreamPosition):
                outcomes[place] = result
            elif isinstance(result, Suppressed):
                outcomes[place] = result.position
            else:
                outcomes[place] = self._failures.refusal("publish", result, requests[place].channel).error
        if self._observer is not None and self._observer.wanted:
            for (publication, _, _), result in zip(items, results, strict=True):
                if rules.options(publication.channel).watch and not isinstance(result, EngineError | Suppressed):
                    self._observer.note(publication)
        return outcomes

    def _items(
        self,
        rules: ChannelRules,
        requests: Sequence[RequestedPublish],
        outcomes: list[StreamPosition | Error | None],
    ) -> tuple[list[int], list[PublishItem]]:
        """Return the places of the requests that must reach the engine, and their publications.

        Sets the outcomes of those that are refused. The others, which would reach nobody, keep the outcome None.
        """
        places: list[int] = []
        items: list[PublishItem] = []
        looked_up: str | None = None
        history: HistoryOptions | None = None
        is_unheard = False
        refused = 0
        new_uid = self._new_uid
        for place, request in enumerate(requests):
            channel = request.channel
            if channel != looked_up:  # many publications in a row often have the same channel
                try:
                    options, history = rules.options_and_history(channel)
                except Refused as refusal:
                    outcomes[place] = refusal.error
                    refused += 1
                    continue
                looked_up = channel
                is_unheard = not options.watch and not self._engine.may_have_subscribers(channel)
            tags, skip_history, once = request.options
            kept_in = None if skip_history else history
            if is_unheard and kept_in is None and once is None:
                continue
            uid, data = request.uid or new_uid(), bytes(request.data)
            publication = _new(Publication, (uid, channel, data, request.client, None, tags, 0, ""))
            places.append(place)
            items.append((publication, kept_in, once))
        self._counters.node_num_client_msg_published += len(requests) - refused
        return places, items

    # -- look up

    def presence(self, channel: str) -> Mapping[str, RawClientInfo]:
        """Return the clients in a channel, by client ID.

        Raises Refused with INVALID_MESSAGE, NAMESPACE_NOT_FOUND, NOT_AVAILABLE or INTERNAL_ERROR.
        """
        if not channel:
            raise Refused(INVALID_MESSAGE, NO_CHANNEL)
        if not self.rules.options(channel).presence:
            raise self.rules.no_presence(channel)
        self._counters.node_num_presence += 1
        try:
            return self._engine.presence(channel)
        except EngineError as error:
            raise self._failures.refusal("look up presence", error, channel) from error

    def presence_stats(self, channel: str) -> PresenceStats:
        """Count the clients and users in a channel. Raises Refused with the same errors as `presence`."""
        clients = self.presence(channel).values()
        return PresenceStats(len(clients), len({info.user for info in clients}))

    def history(self, channel: str) -> Sequence[Publication]:
        """Return the history of a channel, newest first. Raises Refused with the same errors as `presence`."""
        self._require_history(channel)
        return self._history(channel)

    def stream(self, channel: str, wanted: HistoryFilter) -> Stream:
        """Return the publications of a channel that `wanted` selects, and the top of its stream.

        Raises Refused with the same errors as `presence`, and with UNRECOVERABLE if `wanted.since` has another epoch.
        """
        meta_lifetime = self._require_history(channel).meta_lifetime
        try:
            return self._engine.stream(channel, wanted, meta_lifetime)
        except UnrecoverablePosition:
            raise Refused(UNRECOVERABLE) from None
        except EngineError as error:
            raise self._failures.refusal("look up history", error, channel) from error

    def remove_history(self, channel: str) -> None:
        """Delete the history of a channel; its stream continues. Raises Refused with the same errors as `presence`."""
        self._require_history(channel)
        try:
            self._engine.remove_history(channel)
        except EngineError as error:
            raise self._failures.refusal("delete history", error, channel) from error

    def channels(self) -> list[str]:
        """Return the channels with a subscriber on any node. Raises Refused with INTERNAL_ERROR."""
        try:
            return self._engine.channels()
        except EngineError as error:
            raise self._failures.refusal("list the channels", error) from error

    @abstractmethod
    def stats(self) -> dict[str, object]:
        """Return the statistics of all nodes (docs/stats.md). Raises Refused with INTERNAL_ERROR."""

    def _history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        try:
            return self._engine.history(channel, limit)
        except EngineError as error:
            raise self._failures.refusal("look up history", error, channel) from error

    def _require_history(self, channel: str) -> HistoryOptions:
        """Count a request for the history of a channel, and return its options. Raises Refused if it has none."""
        if not channel:
            raise Refused(INVALID_MESSAGE, NO_CHANNEL)
        _, history = self.rules.options_and_history(channel)
        if history is None:
            raise self.rules.no_history(channel)
        self._counters.node_num_history += 1
        return history

    # -- users

    def unsubscribe_user(self, user: str, channel: str) -> None:
        """Unsubscribe a user from a channel on every node; an empty channel stands for all channels.

        Raises Refused with INVALID_MESSAGE, NAMESPACE_NOT_FOUND or INTERNAL_ERROR.
        """
        if not user:
            raise Refused(INVALID_MESSAGE)
        if channel:
            self.rules.options(channel)
        self._apply_to_users(EndSubscriptions(user, channel=channel))

    def disconnect_user(self, user: str) -> None:
        """Close all connections of a user on every node. Raises Refused with INVALID_MESSAGE or INTERNAL_ERROR."""
        if not user:
            raise Refused(INVALID_MESSAGE)
        self._apply_to_users(CloseConnections(user))

    def carry_out(self, command: AnyUserCommand) -> None:
        """Apply a command to the connections of a user that it selects, on every node.

        Raises Refused with NAMESPACE_NOT_FOUND for its channel, or with INTERNAL_ERROR.
        """
        if isinstance(command, (EndSubscriptions, AddSubscription)) and command.channel:
            self.rules.options(command.channel)
        self._apply_to_users(command)


_new = tuple.__new__  # in half the time of the constructor


def _random_uid() -> str:
    return str(uuid.uuid4())
