"""What JSON and Protobuf have in common: how a connection reads commands and writes replies, whichever it uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from ...model.events import RawClientInfo
from .messages import Command, EmulationRequest, Push, Reply


class InvalidFrame(ValueError):
    """A peer has sent what is not a frame of the protocol; the text says what is wrong with it."""


class NotJSON(ValueError):
    """A payload is no JSON, and cannot be sent to a client that uses JSON."""


class Format(ABC):
    """A format, such as JSON. It has no state, so one object serves all connections."""

    name: str
    """How clients and the log call it."""
    is_binary: bool
    """Whether frames are bytes and not text."""
    is_one_way = False
    """Whether the client sends one request to connect, and only listens then."""
    ping: bytes
    """An encoded empty reply."""
    separator: bytes
    """What stands between two encoded replies of one frame."""

    @abstractmethod
    def decode_commands(self, frame: bytes) -> Iterator[Command]:
        """The commands of a frame, one by one.

        Raises InvalidFrame where the frame is wrong; the commands before that are valid.
        """

    @abstractmethod
    def decode_emulation(self, body: bytes) -> EmulationRequest:
        """The body of an emulation request; its `data` is a frame with commands. Raises InvalidFrame."""

    @abstractmethod
    def encode_reply(self, reply: Reply) -> bytes:
        """A reply or a push, ready to be joined to a frame. Raises NotJSON."""

    @abstractmethod
    def encode_push(self, push: Push) -> bytes:
        """A push of a one-way connection, which has no reply around it. Raises NotJSON."""

    @abstractmethod
    def encode_publication(
        self,
        channel: str,
        data: bytes,
        info: RawClientInfo | None = None,
        offset: int = 0,
        epoch: str = "",
        tags: Mapping[str, str] | None = None,
        delta: bool = False,
    ) -> bytes:
        """The push of a publication, ready to be joined to a frame; the same as `encode_reply`, but faster.

        In a subscription with deltas, `data` is what `delta_payload` returns. Raises NotJSON.
        """

    @abstractmethod
    def delta_payload(self, data: bytes) -> bytes:
        """How a payload or a patch is sent in a subscription with deltas. Raises NotJSON if it is not UTF-8."""

    def join(self, messages: Sequence[bytes]) -> bytes:
        """One frame with these encoded replies and pushes."""
        return self.separator.join(messages)
