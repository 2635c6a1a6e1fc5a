"""Processes the data of subscribers: most subscribers count messages, and a sample of them checks every message.

All messages of a run have frames of the same size, so a division counts them. Checking each message takes ten times
as long, and would measure the load generator instead of the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol as StructuralType

from benchmarks.errors import BenchmarkError
from benchmarks.frames import FIN, PING, Frame, FrameReader
from benchmarks.message import Format, now
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol, Published

CONTROL = 0x8
"""The bit that tells the opcodes of control frames (RFC 6455, section 5.5)."""
UNKNOWN = 1 << 62
"""A frame size that divides nothing."""


class Deliveries:
    """The sum of the messages that all receivers of a run have received."""

    def __init__(self) -> None:
        self.count = 0
        """Messages."""
        self.frame_size = UNKNOWN
        """Bytes of one message with its frame header, once a checking receiver has seen one."""
        self.latencies: list[int] = []
        """Microseconds from publishing to receiving, of each message a checking receiver saw."""


def is_control(frame: Frame, protocol: Protocol) -> bool:
    """Return whether a frame contains no messages; pings of the protocol count as control frames, too."""
    return bool(frame.opcode & CONTROL) or frame.payload == protocol.ping


class Receiver(StructuralType):
    """Processes the data that one subscriber receives."""

    messages: int
    """How many came."""

    def receive(self, data: memoryview) -> Sequence[Frame]:
        """Process received bytes; returns the control frames that must be answered."""


class CountingReceiver:
    """Counts received messages without checking their content."""

    __slots__ = ("messages", "_deliveries", "_frames", "_protocol")

    def __init__(self, deliveries: Deliveries, protocol: Protocol = PROTOCOLS["v1"]) -> None:
        self.messages = 0
        self._deliveries = deliveries
        self._protocol = protocol
        self._frames = FrameReader()

    def receive(self, data: memoryview) -> Sequence[Frame]:
        """Count the messages in received bytes; returns the control frames that must be answered."""
        count, rest = divmod(len(data), self._deliveries.frame_size)
        if rest or self._frames.rest or data[0] != FIN | self._protocol.opcode:
            return self._receive_frames(bytes(data))
        self.messages += count
        self._deliveries.count += count
        return ()

    def count(self) -> None:
        """Count a message that was not received in a frame."""
        self.messages += 1
        self._deliveries.count += 1

    def _receive_frames(self, data: bytes) -> Sequence[Frame]:
        """Process data frame by frame, for incomplete frames and control frames between messages."""
        frames = self._frames.feed(data)
        control = [frame for frame in frames if is_control(frame, self._protocol)]
        count = len(frames) - len(control)
        self.messages += count
        self._deliveries.count += count
        return control


class CheckingReceiver:
    """Checks every message: its channel, its data, and that none is missing, duplicate or out of order.

    Raises BenchmarkError for an error. With `constant`, all frames must have the same size, which a
    CountingReceiver requires.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        data_format: Format,
        channel: str,
        constant: bool = True,
        protocol: Protocol = PROTOCOLS["v1"],
    ) -> None:
        self.messages = 0
        self._protocol = protocol
        self._deliveries = deliveries
        self._format = data_format
        self._channel = channel
        self._constant = constant
        self._frames = FrameReader()
        self._next: dict[int, int] = {}
        """The number each publisher's next message has."""

    def receive(self, data: memoryview) -> Sequence[Frame]:
        """Check the messages in received bytes; returns the control frames that must be answered."""
        received = now()
        control = []
        for frame in self._frames.feed(bytes(data)):
            if is_control(frame, self._protocol):
                control.append(frame)
            else:
                self._check_frame(frame, received)
        return control

    def _check_frame(self, frame: Frame, received: int) -> None:
        deliveries = self._deliveries
        if self._constant and frame.size != deliveries.frame_size:
            if deliveries.frame_size != UNKNOWN:
                raise BenchmarkError(
                    f"frames have different sizes, {deliveries.frame_size} and {frame.size} bytes, "
                    "so messages cannot be counted by their bytes; use --check"
                )
            deliveries.frame_size = frame.size
        self.check(self._protocol.publications(frame.message), received)

    def check(self, publications: Iterable[Published], received: int) -> None:
        """Check publications that were received at the time `received`."""
        for published in publications:
            self._check(published, received)

    def _check(self, published: Published, received: int) -> None:
        if published.channel != self._channel:
            raise BenchmarkError(f"a message of {published.channel!r} reached a subscriber of {self._channel!r}")
        try:
            message = self._format.parse(published.data)
        except ValueError as error:
            raise BenchmarkError(f"in {self._channel!r}: {error}") from None
        due = self._next.get(message.publisher, 0)
        if message.number != due:
            raise BenchmarkError(
                f"in {self._channel!r} a subscriber received message {message.number} "
                f"of publisher {message.publisher}, expected message {due}"
            )
        self._next[message.publisher] = due + 1
        self.messages += 1
        self._deliveries.count += 1
        self._deliveries.latencies.append(received - message.sent)


class IdleReceiver:
    """Expects no messages, for idle connections."""

    def __init__(self, protocol: Protocol = PROTOCOLS["v1"]) -> None:
        self.messages = 0
        self.pings = 0
        """How many pings came, of WebSockets or of the protocol."""
        self._protocol = protocol
        self._frames = FrameReader()

    def receive(self, data: memoryview) -> Sequence[Frame]:
        """Return the control frames in received bytes. Raises BenchmarkError for a message."""
        frames = self._frames.feed(bytes(data))
        control = [frame for frame in frames if is_control(frame, self._protocol)]
        self.messages += len(frames) - len(control)
        self.pings += sum(frame.opcode == PING or not frame.opcode & CONTROL for frame in control)
        return control
