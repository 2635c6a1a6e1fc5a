"""One shard: a pipeline for commands, a subscriber for events, and the names of its keys and channels."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import gevent
import hiredis
from gevent.event import Event as Signal

from ...app.model.events import Event, StreamPosition
from ...app.runtime.backoff import Backoff
from ...app.runtime.running_clock import running_time, wait_for
from ...app.runtime.yielding import iterate_yielding
from ..base import EngineError, EngineHandler, HistoryFilter, OccupancyHandler
from ..health import ServerFigures, ServerHealth
from . import commands, history
from .catch_up import CatchUp
from .codec import CHANNEL_LIST, SkipLog, Unreadable, decode_event, decode_names
from .connection import RedisCommand
from .dialling import dialler
from .history import History
from .keys import Keys
from .link import ServerReturn
from .occupancy import ShardOccupancy
from .permissions import explain_error
from .pipeline import Pipeline
from .settings import ShardSettings, Timeouts
from .streams import RedisStream, decode_redis_stream, read_command, recover_command
from .subscriber import Subscriber

log = logging.getLogger(__name__)

INITIAL_DELAY, MAX_DELAY = 0.01, 0.25
"""Seconds between two attempts to read the history for a client that recovers; see Backoff."""
ECHO_LIMIT = 1.0
"""Maximum seconds to wait until this node receives what it has published."""

Reading = TypeVar("Reading", History, RedisStream)


class Shard:
    """A Redis server that holds some of the channels; one of the shards also carries the control messages."""

    def __init__(self, settings: ShardSettings, keys: Keys, timeouts: Timeouts, carries_control: bool) -> None:
        self.name = f"redis {settings.name}"
        self._server = settings.name
        self.keys = keys
        self.dial = dialler(settings, timeouts, keys.epoch)
        self.server_return = ServerReturn()
        self.pipeline = Pipeline(f"{self.name} (commands)", self.dial, self.server_return, timeouts)
        self.subscriber = Subscriber(
            f"{self.name} (subscriptions)", self.dial, self.server_return, timeouts, self, [keys.control]
        )
        self._timeouts = timeouts
        self._carries_control = carries_control
        self._catch_up = CatchUp(self.name, self)
        self._handler: EngineHandler | None = None
        self._occupancy: ShardOccupancy | None = None
        self._skipped = SkipLog()
        self._channels: dict[bytes, str] = {}
        self._echoes: dict[tuple[bytes, bytes], Signal] = {}

    def start(self, handler: EngineHandler) -> None:
        """Start connecting, and call `handler` for events."""
        self._handler = handler
        self.pipeline.start()
        self.subscriber.start()
        self._catch_up.start()
        if self._occupancy is not None:
            self._occupancy.start()

    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        """Report occupancy to `handler`, whose calls take at most `longest` seconds. Must be called before `start`."""
        self._occupancy = ShardOccupancy(self.name, self.keys, self.pipeline, self._channels, handler, longest)

    @property
    def has_pending_notifications(self) -> bool:
        """Whether occupancy is being reported, or waits to be reported."""
        return self._occupancy is not None and self._occupancy.has_pending_notifications

    def stop(self) -> None:
        """Close the connections, and stop calling the handlers."""
        if self._occupancy is not None:
            self._occupancy.stop()
        self._handler = None
        self._catch_up.stop()
        self.subscriber.stop()
        self.pipeline.stop()

    def figures(self) -> ServerFigures:
        """Return what this node knows of the server."""
        pipeline, links = self.pipeline, (self.pipeline, self.subscriber)
        broken = [link for link in links if not link.is_ready]
        last = max(links, key=lambda link: link.error_at)
        health = ServerHealth(
            name=self._server,
            reachable=not broken,
            since=min(link.changed_at for link in broken) if broken else max(link.changed_at for link in links),
            error=last.error,
            error_at=last.error_at,
            round_trip=pipeline.round_trips.last,
            waiting=pipeline.waiting,
            reconnects={"commands": pipeline.reconnects, "subscriptions": self.subscriber.reconnects},
        )
        return ServerFigures(health, pipeline.round_trips)

    # -- channels

    def subscribe(self, channel: str) -> None:
        """Start receiving the events of a channel. Raises EngineError."""
        name = self.keys.channel(channel)
        self._channels[name] = channel
        try:
            self.subscriber.subscribe(name)
        except BaseException:  # including a timeout of the caller
            self._channels.pop(name, None)
            raise
        self._note_occupancy(channel)

    def unsubscribe(self, channel: str) -> None:
        """Stop receiving the events of a channel. Raises EngineError."""
        name = self.keys.channel(channel)
        self._channels.pop(name, None)
        self._catch_up.forget(channel)
        try:
            self.subscriber.unsubscribe(name)
        finally:
            self._note_occupancy(channel)

    def is_subscribed(self, channel: str) -> bool:
        """Return whether this node receives the events of a channel."""
        return self.keys.channel(channel) in self._channels

    def _note_occupancy(self, channel: str) -> None:
        if self._occupancy is not None:
            self._occupancy.note(channel)

    @property
    def publishing(self) -> Pipeline:
        """Return the pipeline for publishing. Raises EngineError while the subscriptions of this node are not restored.

        A server that has restarted knows no subscriptions at first, so a publish would succeed but reach no subscriber.
        """
        subscriber = self.subscriber
        if not subscriber.is_ready and (
            subscriber.unavailable_reason or not subscriber.wait_ready(self._timeouts.connect)
        ):
            raise EngineError(subscriber.unavailable_reason or f"{self.name}: subscriptions not restored yet")
        return self.pipeline

    def publish_and_wait(self, name: bytes, data: bytes) -> None:
        """Publish, and wait until this node has received the message itself, if it is subscribed to that name."""
        with self.awaiting_echo(name, data):
            self.publishing.ask("PUBLISH", name, data)

    @contextmanager
    def awaiting_echo(self, name: bytes, data: bytes) -> Iterator[Signal]:
        """Wait at the end of a `with` block that publishes `data` until this node has received it.

        Does not wait if this node is not subscribed to the channel. A block that fails without raising must set the
        signal, so that nothing is waited for.
        """
        if not self.subscriber.is_wanted(name):
            yield Signal()
            return
        echo = self._echoes.setdefault((name, data), Signal())
        try:
            yield echo
            wait_for(echo, ECHO_LIMIT)
        finally:
            self._echoes.pop((name, data), None)

    def wait_until_current(self) -> None:
        """Wait until this node has received everything published before. Returns immediately if not connected."""
        if self.subscriber.is_ready:
            with suppress(EngineError):
                self.publish_and_wait(self.keys.control, uuid.uuid4().bytes)

    def channels(self) -> list[str]:
        """List the channels of this shard with a subscriber on any node."""
        names = self.pipeline.ask(*commands.channels(self.keys))
        return list(decode_names(map(self.keys.channel_of, iterate_yielding(names)), CHANNEL_LIST, self._skipped))

    def history(self, channel: str, limit: int) -> History:
        """Read the newest `limit` publications of a channel; 0 reads all of them."""
        subscribed = self.is_subscribed(channel)
        (found,) = self.read_histories([channel], limit)
        if subscribed:
            self._catch_up.note_newest(channel, found.newest_uid)
        return found

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> RedisStream:
        """Read the part of the stream of a channel that `wanted` selects; waits like `passed_history`."""
        command = read_command(self.keys, channel, wanted, meta_lifetime, self.is_subscribed(channel))
        return self._read_passed(channel, lambda: self._ask_stream(channel, command))

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> RedisStream:
        """Read the stream of a channel after a position; waits like `passed_history`."""
        command = recover_command(
            self.keys, channel, position, limit, meta_lifetime, with_newest=self.is_subscribed(channel)
        )
        return self._read_passed(channel, lambda: self._ask_stream(channel, command))

    def _ask_stream(self, channel: str, command: RedisCommand) -> RedisStream:
        subscribed = self.is_subscribed(channel)
        found = decode_redis_stream(channel, self.pipeline.ask(*command), self._skipped)
        if subscribed:
            self._catch_up.note_newest(channel, found.newest_uid)
        return found

    def passed_history(self, channel: str) -> History:
        """Read the publications of a channel, after the node has handled those that it receives as a subscriber.

        Waits at most for the read timeout. Raises EngineError.
        """
        return self._read_passed(channel, lambda: self.history(channel, 0))

    def _read_passed(self, channel: str, read: Callable[[], Reading]) -> Reading:
        """Call `read`, and return its result after this node has handled the same publications as a subscriber."""
        if not self.is_subscribed(channel):
            return read()
        deadline = running_time() + self._timeouts.read
        backoff = Backoff(INITIAL_DELAY, MAX_DELAY)
        reason = "subscriptions not restored"
        while (left := deadline - running_time()) > 0:
            if self.pipeline.unavailable_reason and not self.pipeline.wait_ready(min(left, self._timeouts.connect)):
                break  # Redis is not only briefly unavailable
            try:
                if self.subscriber.wait_ready(left) and self._catch_up.wait_closed(channel, left):
                    found = self._read_passed_now(channel, read)
                    if found is not None:
                        return found
            except EngineError as error:
                reason = str(error)
                gevent.sleep(backoff.next_delay())
        raise EngineError(self.pipeline.unavailable_reason or f"{self.name}: {reason} within {self._timeouts.read:g} s")

    def _read_passed_now(self, channel: str, read: Callable[[], Reading]) -> Reading | None:
        """Try `_read_passed` without waiting for a connection. Returns None if the connection broke meanwhile."""
        breaks = self.subscriber.breaks
        found = read()
        if not self._catch_up.has_passed(channel, found.newest_uid) and not self.subscriber.wait_until_passed():
            return None
        # After the gap was closed, another one may have begun before this greenlet ran again.
        if self.subscriber.breaks != breaks or self._catch_up.has_gap(channel):
            return None
        self._catch_up.note_passed(channel, found.newest_uid)
        return found

    def read_histories(self, channels: Sequence[str], limit: int = 0) -> list[History]:
        """Read the newest `limit` publications of some channels; 0 reads all of them. Raises EngineError."""
        commands = [command for channel in channels for command in history.read_commands(self.keys, channel, limit)]
        replies = self.pipeline.ask_all(commands)
        for reply, command in zip(replies, commands, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                raise EngineError(f"{self.name}: {explain_error(reply, command)}")
        pairs = zip(channels, replies[::2], replies[1::2], strict=True)
        return [history.decode(channel, epoch, entries, self._skipped) for channel, epoch, entries in pairs]

    # -- back from the subscriber

    def handle_message(self, name: bytes, data: bytes) -> None:
        """Decode a message, and pass it to the node."""
        handler = self._handler
        if handler is None:
            return
        try:
            channel = self._channels.get(name)
            if channel is not None:
                self._catch_up.handle(channel, decode_event(channel, data))
            elif name == self.keys.control and self._carries_control:
                handler.handle_control(data)
            if self._echoes and (echo := self._echoes.get((name, data))):
                echo.set()
        except Unreadable as error:
            self._skipped.warn("a channel", error)
        except Exception:  # a bug must lose only this message, not the subscriptions
            log.exception("%s: cannot handle a message: internal error", self.name)

    def handle_gap(self, names: list[bytes]) -> None:
        """Record a gap in all channels after the connection broke."""
        for echo in self._echoes.values():
            echo.set()
        channels = [self._channels[name] for name in names if name in self._channels]
        self._catch_up.open_gaps(channels, self.subscriber.passed_at)

    def handle_resubscribed(self, name: bytes) -> None:
        """Close the gap in a channel after its subscription has been restored."""
        channel = self._channels.get(name)
        if channel is not None:
            self._catch_up.note_resubscribed(channel)
            self._note_occupancy(channel)  # a server that has restarted has lost what was reported

    # -- what CatchUp needs

    def wait_until_passed(self) -> bool:
        """Wait until everything published before has been handled. Returns False if the connection broke."""
        return self.subscriber.wait_until_passed()

    def deliver(self, event: Event) -> None:
        """Pass an event to the node."""
        if self._handler is not None:
            self._handler.handle_event(event)

    def report_open_gap(self, channel: str, found: int | None, seconds: float) -> bool:
        """Ask the node whether publications of a channel may be missing."""
        return self._handler is not None and self._handler.handle_missed(channel, found, seconds)
