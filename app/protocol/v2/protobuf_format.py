"""The messages of protocol version 2 in Protobuf, each with its length in front. Payloads may be any bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from ...model.events import RawClientInfo
from .fields import Message
from .format import Format, InvalidFrame
from .messages import ClientInfo, Command, EmulationRequest, Publication, Push, Reply, client_info
from .protobuf_code import Decoder, decoder_of, encoder_of, with_length
from .protobuf_wire import VARINTS, encode_varint, read_varint

M = TypeVar("M", bound=Message)

_decode_command: Decoder[Command] = decoder_of(Command)
_decode_emulation: Decoder[EmulationRequest] = decoder_of(EmulationRequest)
_encode_reply = encoder_of(Reply)
_encode_push = encoder_of(Push)
_encode_info = encoder_of(ClientInfo)
_encode_rest = encoder_of(Publication)


class ProtobufFormat(Format):
    """Protobuf, for clients that use binary frames."""

    name = "protobuf"
    is_binary = True
    ping = b"\x00"
    separator = b""

    def decode_commands(self, frame: bytes) -> Iterator[Command]:
        """Yield the commands of a frame, each of which has its length in front."""
        if not frame:
            raise InvalidFrame("empty frame")
        position = 0
        while position < len(frame):
            start, position = _next_message(frame, position)
            yield _decode(_decode_command, frame, start, position)

    def decode_emulation(self, body: bytes) -> EmulationRequest:
        """Decode one message without its length in front."""
        return _decode(_decode_emulation, body, 0, len(body))

    def encode_reply(self, reply: Reply) -> bytes:
        """Encode a reply with its length in front. Never raises NotJSON."""
        return with_length(_encode_reply(reply))

    def encode_push(self, push: Push) -> bytes:
        """Encode a push with its length in front. Never raises NotJSON."""
        return with_length(_encode_push(push))

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
        """Encode a publication directly, in half the time of a message object. Never raises NotJSON."""
        publication = b'"' + _length(data) + data if data else b""
        if info is not None:
            publication += b"*" + with_length(_encode_info(client_info(info)))
        if offset:
            publication += b"0" + (VARINTS[offset] if offset < 4096 else encode_varint(offset))
        if tags or delta or epoch:
            publication += _encode_rest(Publication(tags=dict(tags or {}), delta=delta, epoch=epoch))
        name = channel.encode()
        push = b'\x12%b%b"%b%b' % (_length(name), name, _length(publication), publication)
        reply = b'"%b%b' % (_length(push), push)
        return _length(reply) + reply

    def delta_payload(self, data: bytes) -> bytes:
        """Return the payload unchanged, because Protobuf carries bytes."""
        return data


PROTOBUF = ProtobufFormat()


def _length(data: bytes) -> bytes:
    size = len(data)
    return VARINTS[size] if size < 4096 else encode_varint(size)


def _next_message(frame: bytes, position: int) -> tuple[int, int]:
    try:
        length, start = read_varint(frame, position)
    except IndexError:
        raise InvalidFrame("incomplete length of a message") from None
    if start + length > len(frame):
        raise InvalidFrame("message is longer than its frame")
    return start, start + length


def _decode(decoder: Decoder[M], data: bytes, start: int, stop: int) -> M:
    try:
        return decoder(data, start, stop)
    except IndexError:
        raise InvalidFrame("incomplete message") from None
    except UnicodeDecodeError as error:
        raise InvalidFrame(f"not UTF-8: {error.reason}") from None
