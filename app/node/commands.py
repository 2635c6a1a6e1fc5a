"""The commands of backends, checked against the options of their channels and given to an engine.

A node has these commands, and a program that is not a node has them too (extension/publisher.py).
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ...engines.base import CommandEngine, EngineError, HistoryOptions
from ..config.channel_options import ChannelOptions
from ..config.config import Config
from ..model.errors import INVALID_MESSAGE, NOT_AVAILABLE, Error, Refused
from ..model.events import Publication, RawClientInfo
from .channels import ChannelRules
from .control import DisconnectUser, Unsubscribe
from .engine_failures import EngineFailures
from .metrics import Counters

ApplyToUsers: TypeAlias = Callable[[Unsubscribe | DisconnectUser], None]
"""Applies a command to the connections of a user on all nodes. Raises Refused."""


class PublicationObserver(Protocol):
    """Sees what is published in channels with option `watch`."""

    wanted: bool
    """Whether to call `note`."""

    def note(self, publication: Publication) -> None:
        """A publication has reached the engine. Does not block and does not raise."""


class PublishRequest(NamedTuple):
    """What a backend publishes."""

    channel: str
    data: bytes
    client: str = ""
    uid: str = ""


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

    @property
    def batches(self) -> bool:
        """Whether `publish_all` is faster than as many calls of `publish`."""
        return self._engine.batches

    def publish(
        self,
        channel: str,
        data: bytes,
        client: str = "",
        info: RawClientInfo | None = None,
        uid: str = "",
    ) -> None:
        """Publish JSON into a channel. Refused with NAMESPACE_NOT_FOUND, or INTERNAL_ERROR when the engine fails."""
        options = self.rules.options(channel)
        publication = Publication(uid or self._new_uid(), channel, data, client, info)
        self._counters.node_num_client_msg_published += 1
        try:
            self._engine.publish(publication, history_options(options))
        except EngineError as error:
            raise self._failures.refusal("publish", error, channel) from error
        if options.watch and self._observer is not None and self._observer.wanted:
            self._observer.note(publication)

    def publish_all(self, requests: Sequence[PublishRequest]) -> list[Error | None]:
        """Publish for a backend, in order for each channel; returns the error of each request, or None.

        An engine that `batches` needs less time for it than for single calls of `publish`.
        """
        outcome: list[Error | None] = [None] * len(requests)
        batch: list[tuple[Publication, HistoryOptions | None]] = []
        places: list[int] = []
        watched: list[tuple[int, Publication]] = []
        for place, (channel, data, client, uid) in enumerate(requests):
            try:
                options = self.rules.options(channel)
            except Refused as refused:
                outcome[place] = refused.error
                continue
            publication = Publication(uid or self._new_uid(), channel, data, client)
            batch.append((publication, history_options(options)))
            places.append(place)
            if options.watch and self._observer is not None and self._observer.wanted:
                watched.append((place, publication))
        self._counters.node_num_client_msg_published += len(batch)
        failures = self._engine.publish_all(batch) if batch else []
        for place, failure in zip(places, failures, strict=True):
            if failure is not None:
                outcome[place] = self._failures.refusal("publish", failure, requests[place].channel).error
        for place, publication in watched:
            if outcome[place] is None and self._observer is not None:
                self._observer.note(publication)
        return outcome

    # -- look up

    def presence(self, channel: str) -> Mapping[str, RawClientInfo]:
        """The clients in a channel, by client id.

        Refused with INVALID_MESSAGE, NAMESPACE_NOT_FOUND, NOT_AVAILABLE or INTERNAL_ERROR.
        """
        if not self._options_of_named(channel).presence:
            raise Refused(NOT_AVAILABLE)
        self._counters.node_num_presence += 1
        try:
            return self._engine.presence(channel)
        except EngineError as error:
            raise self._failures.refusal("look up presence", error, channel) from error

    def history(self, channel: str) -> Sequence[Publication]:
        """The publications that are kept of a channel, newest first. Refused as `presence` is."""
        self._require_history(channel)
        return self._history(channel)

    def channels(self) -> list[str]:
        """The channels with a subscriber on any node. Refused with INTERNAL_ERROR."""
        try:
            return self._engine.channels()
        except EngineError as error:
            raise self._failures.refusal("list the channels", error) from error

    @abstractmethod
    def stats(self) -> dict[str, object]:
        """What is known of all nodes (docs/stats.md). Refused with INTERNAL_ERROR."""

    def _history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        try:
            return self._engine.history(channel, limit)
        except EngineError as error:
            raise self._failures.refusal("look up history", error, channel) from error

    def _require_history(self, channel: str) -> None:
        """Count a request for the history of a channel. Refused with NOT_AVAILABLE if none is kept."""
        if history_options(self._options_of_named(channel)) is None:
            raise Refused(NOT_AVAILABLE)
        self._counters.node_num_history += 1

    def _options_of_named(self, channel: str) -> ChannelOptions:
        if not channel:
            raise Refused(INVALID_MESSAGE)
        return self.rules.options(channel)

    # -- users

    def unsubscribe_user(self, user: str, channel: str) -> None:
        """End a user's subscription on a channel, on all channels when it is empty, on every node.

        Refused with INVALID_MESSAGE, NAMESPACE_NOT_FOUND or INTERNAL_ERROR.
        """
        if not user:
            raise Refused(INVALID_MESSAGE)
        if channel:
            self.rules.options(channel)
        self._apply_to_users(Unsubscribe(user, channel))

    def disconnect_user(self, user: str) -> None:
        """Close all connections of a user, on every node. Refused with INVALID_MESSAGE or INTERNAL_ERROR."""
        if not user:
            raise Refused(INVALID_MESSAGE)
        self._apply_to_users(DisconnectUser(user))


def history_options(options: ChannelOptions) -> HistoryOptions | None:
    """How the history of a channel with these options is kept; None when there is none."""
    if options.history_size <= 0 or options.history_lifetime <= 0:
        return None
    return HistoryOptions(options.history_size, options.history_lifetime, options.history_drop_inactive)


def _random_uid() -> str:
    return str(uuid.uuid4())
