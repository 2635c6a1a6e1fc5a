"""The interface of the formats JSON and Protobuf: decoding commands and encoding replies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from ...model.events import RawClientInfo
from .messages import Command, EmulationRequest, Push, Reply


class InvalidFrame(ValueError):
    """A peer has sent a frame that does not follow the protocol; the text says what is wrong with it."""


class NotJSON(ValueError):
    """A payload is not JSON, and cannot be sent to a client that uses JSON."""


class Format(ABC):
    """A format, such as JSON. It has no state, so one object serves all connections."""

    name: str
    """The name of the format for clients and the log."""
    is_binary: bool
    """Whether frames are binary instead of text."""
    is_one_way = False
    """Whether the client only sends one connect request, and receives everything else."""
    ping: bytes
    """An encoded empty reply, which is sent as a ping."""
    separator: bytes
    """The bytes between two encoded replies of one frame."""

    @abstractmethod
    def decode_commands(self, frame: bytes) -> Iterable[Command]:
        """Return the commands of a frame, decoded one by one.

        Raises InvalidFrame for an invalid command, after the valid ones before it.
        """

    @abstractmethod
    def decode_emulation(self, body: bytes) -> EmulationRequest:
        """Decode the body of an emulation request; its `data` is a frame with commands. Raises InvalidFrame."""

    @abstractmethod
    def encode_reply(self, reply: Reply) -> bytes:
        """Encode a reply or a push, ready to be joined to a frame. Raises NotJSON."""

    @abstractmethod
    def encode_push(self, push: Push) -> bytes:
        """Encode a push of a one-way connection, which is not wrapped in a reply. Raises NotJSON."""

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
        """Encode the push of a publication, with the same result as `encode_reply` but faster.

        In a subscription with deltas, `data` is what `delta_payload` returns. Raises NotJSON.
        """

    @abstractmethod
    def delta_payload(self, data: bytes) -> bytes:
        """Encode a payload or a patch for a subscription with deltas. Raises NotJSON if it is not UTF-8."""

    def join(self, messages: Sequence[bytes]) -> bytes:
        """Join encoded replies and pushes to one frame."""
        return self.separator.join(messages)
