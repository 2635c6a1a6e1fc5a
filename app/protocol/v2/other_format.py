"""First frames in another format than the client has requested: in its address, or with its Content-Type.

Client libraries only show that the connection is closed with `bad request`. So the log says it too.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .format import Format, InvalidFrame
from .protobuf_format import PROTOBUF


class MismatchTexts(NamedTuple):
    """What is wrong with a frame in another format than the connection, by the format of the frame."""

    json: str
    protobuf: str


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def format_mismatch(format_: Format | None, message: bytes, texts: MismatchTexts) -> str:
    """Return what is wrong if the first message has another format than the connection; empty if it has not.

    `format_` is that of the connection; None for version 1 of the protocol, which is JSON too.
    """
    if format_ is PROTOBUF:
        return texts.json if message.startswith(b"{") and _begins_with_object(message) else ""
    if message.startswith((b'{"', b'[{"')):
        return ""
    try:
        command = next(PROTOBUF.decode_commands(message))
    except InvalidFrame:
        return ""
    return texts.protobuf if command.method == "connect" else ""


def emulation_mismatch(format_: Format, body: bytes, texts: MismatchTexts) -> str:
    """Return what is wrong if an invalid emulation request has another format than `format_`; empty if it has not."""
    if format_ is PROTOBUF:
        return texts.json if _begins_with_object(body) else ""
    try:
        request = PROTOBUF.decode_emulation(body)
    except InvalidFrame:
        return ""
    return texts.protobuf if request.node and request.session else ""


def _begins_with_object(message: bytes) -> bool:
    try:
        return bool(_members.decode(message.partition(b"\n")[0]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
