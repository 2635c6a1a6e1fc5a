"""Fake objects for tests of the core: a clock, sockets, connections, and engines that fail.

They are complete objects with the behaviour of the real ones, and record their calls for tests.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gevent.event import Event as Gate

from gentrifugo.app.model.errors import CLOSE_INSUFFICIENT_STATE, Disconnect
from gentrifugo.app.model.events import Encoding, Event, Publication, RawClientInfo, StreamPosition
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.net.outbox import NO_LIMIT, Outbox, Queue
from gentrifugo.app.protocol.v1.wire import encode_push
from gentrifugo.engines.base import (
    Engine,
    EngineError,
    EngineHandler,
    HistoryFilter,
    HistoryOptions,
    OccupancyHandler,
    PublishConditions,
    PublishEffect,
    Stream,
    StreamRecovery,
)
from gentrifugo.engines.memory import MemoryEngine
from tests.waiting import seconds


class FakeClock:
    """A clock whose time changes only when the test advances it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeSocket:
    """A raw socket that accepts all data until the test breaks it; `sent` has the data of each call."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.broken = False

    def send(self, data: bytes, /) -> int:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")
        self.sent.append(data)
        return len(data)

    def fileno(self) -> int:
        raise AssertionError("this socket is never full, so nobody waits for it")


class FakeTransport:
    """A transport whose frames are messages with a zero byte behind them, over a FakeSocket.

    `closes` has the code and the reason of each close, decoded if it is JSON.
    """

    name = "websocket"

    def __init__(self, flusher: Flusher, limit: int = NO_LIMIT) -> None:
        self.socket = FakeSocket()
        self.closes: list[tuple[int, Any]] = []
        self.pings = True
        self.on_overflow: Callable[[], None] = lambda: None
        self.on_error: Callable[[str], None] = lambda reason: None
        self.outbox = Outbox(
            flusher, self.socket, limit, lambda: self.on_overflow(), lambda reason: self.on_error(reason)
        )

    @staticmethod
    def frame(message: bytes) -> bytes:
        return message + b"\0"

    binary_frame = frame

    def stop_pings(self) -> None:
        self.pings = False

    def close(self, code: int, reason: str) -> None:
        is_json = reason.startswith("{")  # as version 1 of the protocol has it
        self.closes.append((code, json.loads(reason) if is_json else reason))

    def messages(self) -> list[bytes]:
        """Return all messages so far, once nothing waits to be written."""
        assert self.outbox.drain(seconds(5))
        return b"".join(self.socket.sent).split(b"\0")[:-1]


class FakeConnection:
    """A connection for hub and node that only records calls."""

    def __init__(self, flusher: Flusher, uid: str, user: str = "alice", encoding: Encoding | None = None) -> None:
        self.uid = uid
        self.user = user
        self.encoding = encoding or PLAIN
        self.transport = FakeTransport(flusher)
        self.outbox: Queue = self.transport.outbox
        self.channels: dict[str, object] = {}
        self.unsubscribed: list[str] = []
        self.protocol = "v1"
        self.library = ""
        self.transport_name = "websocket"
        self.address = "127.0.0.1"
        self.since = 0.0
        self.idle = 0.0
        self.authenticated = True
        self.ids = {"client": uid, "user": user}
        self.closed_with: list[Disconnect] = []

    def unsubscribe(self, channel: str) -> None:
        self.unsubscribed.append(channel)

    def recover_again(self, channel: str) -> None:
        if not self.closed_with:
            self.close(CLOSE_INSUFFICIENT_STATE)

    def close(self, disconnect: Disconnect) -> None:
        self.closed_with.append(disconnect)


PLAIN = Encoding(encode_push, FakeTransport.frame)
"""Pushes of protocol version 1 over a FakeTransport."""


class FailingEngine(MemoryEngine):
    """The memory engine with failures and delays like those of an engine behind a network.

    Calls of the methods named in `failing` raise EngineError. A call of a method that has a gate in `gates` waits,
    before it does anything, until the gate is open. `calls` counts the calls of each method.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()
        self.gates: dict[str, Gate] = {}
        self.calls: Counter[str] = Counter()

    def close_gate(self, method: str) -> Gate:
        """Let calls of `method` wait until the gate that this returns is set."""
        gate = self.gates[method] = Gate()
        return gate

    def _arrive(self, method: str) -> None:
        self.calls[method] += 1
        if method in self.gates:
            self.gates[method].wait()
        if method in self.failing:
            raise EngineError(f"{method} has failed")

    def may_have_subscribers(self, channel: str) -> bool:
        return True  # so that `publish` is always called, and may fail

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        self._arrive("publish")
        return super().publish(publication, history, once)

    def publish_event(self, event: Event) -> None:
        self._arrive("publish_event")
        super().publish_event(event)

    def publish_control(self, message: bytes) -> None:
        self._arrive("publish_control")
        super().publish_control(message)

    def subscribe(self, channel: str) -> None:
        self._arrive("subscribe")
        super().subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        self._arrive("unsubscribe")
        super().unsubscribe(channel)

    def channels(self) -> list[str]:
        self._arrive("channels")
        return super().channels()

    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        self._arrive("add_presence")
        super().add_presence(channel, client, info, expire)

    def remove_presence(self, channel: str, client: str) -> None:
        self._arrive("remove_presence")
        super().remove_presence(channel, client)

    def presence(self, channel: str) -> dict[str, RawClientInfo]:
        self._arrive("presence")
        return super().presence(channel)

    def count_presence(self, channel: str) -> int:
        self._arrive("count_presence")
        return super().count_presence(channel)

    def history(self, channel: str, limit: int = 0) -> list[Publication]:
        self._arrive("history")
        return super().history(channel, limit)

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        self._arrive("stream")
        return super().stream(channel, wanted, meta_lifetime)

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        self._arrive("recover_since")
        return super().recover_since(channel, position, limit, meta_lifetime)

    def remove_history(self, channel: str) -> None:
        self._arrive("remove_history")
        super().remove_history(channel)


class DelayedEngine(FailingEngine):
    """An engine that answers late: publications may arrive after it has read a stream and before `answering` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.answering = Gate()
        self.answering.set()

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        found = super().recover_since(channel, position, limit, meta_lifetime)
        self.answering.wait()
        return found


class Bus:
    """Connects the engines that `engine` creates, like a broker: with a common presence, history and all events."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.store = MemoryEngine(clock) if clock else MemoryEngine()
        self._engines: list[BusEngine] = []
        self._occupancy_handlers: list[OccupancyHandler] = []

    def engine(self) -> BusEngine:
        """Another engine of the same bus."""
        return BusEngine(self)

    def enter(self, engine: BusEngine) -> None:
        if not self._engines:
            self.store.start(self)
        self._engines.append(engine)

    def leave(self, engine: BusEngine) -> None:
        self._engines.remove(engine)
        if not self._engines:
            self.store.stop()

    def is_subscribed(self, channel: str) -> bool:
        return any(channel in engine.subscribed for engine in self._engines)

    def handle_event(self, event: Event) -> None:
        for engine in list(self._engines):
            if event.channel in engine.subscribed:
                engine.handler.handle_event(event)

    def handle_missed(self, channel: str, found: int | None, seconds: float) -> bool:
        raise AssertionError("nothing is ever missed in one process")

    def handle_control(self, message: bytes) -> None:
        for engine in list(self._engines):
            engine.handler.handle_control(message)

    def handle_api(self, entries: Sequence[bytes]) -> None:
        raise AssertionError("the memory engine has no queue of API commands")

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        return not self._engines or self._occupancy_handlers[0].handle_occupancy(channel, is_occupied)

    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        if not self._occupancy_handlers:
            self.store.enable_occupancy_events(self, longest)
        self._occupancy_handlers.append(handler)


class BusEngine(Engine):
    """The engine of one of several nodes in one process."""

    name = "bus"
    handler: EngineHandler

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._store = bus.store
        self._started = False
        self.subscribed: set[str] = set()

    def start(self, handler: EngineHandler) -> None:
        self.handler = handler
        self._started = True
        self._bus.enter(self)

    def stop(self) -> None:
        if self._started:
            self._started = False
            for channel in list(self.subscribed):
                self.unsubscribe(channel)
            self._bus.leave(self)

    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        self._bus.enable_occupancy_events(handler, longest)

    @property
    def has_pending_notifications(self) -> bool:
        return self._store.has_pending_notifications

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        return self._store.publish(publication, history, once)

    def publish_event(self, event: Event) -> None:
        self._store.publish_event(event)

    def publish_control(self, message: bytes) -> None:
        self._store.publish_control(message)

    def subscribe(self, channel: str) -> None:
        self.subscribed.add(channel)
        self._store.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        self.subscribed.discard(channel)
        if not self._bus.is_subscribed(channel):
            self._store.unsubscribe(channel)

    def channels(self) -> list[str]:
        return self._store.channels()

    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        self._store.add_presence(channel, client, info, expire)

    def remove_presence(self, channel: str, client: str) -> None:
        self._store.remove_presence(channel, client)

    def presence(self, channel: str) -> Mapping[str, RawClientInfo]:
        return self._store.presence(channel)

    def count_presence(self, channel: str) -> int:
        return self._store.count_presence(channel)

    def history(self, channel: str, limit: int = 0) -> Sequence[Publication]:
        return self._store.history(channel, limit)

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        return self._store.stream(channel, wanted, meta_lifetime)

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        return self._store.recover_since(channel, position, limit, meta_lifetime)

    def remove_history(self, channel: str) -> None:
        self._store.remove_history(channel)
