"""Requests to /api/ with several commands and an API key, as libraries for Centrifugo 2 to 4 send them.

A request has one JSON object per line, `{"method": "publish", "params": {…}}`; the reply has one line for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..model.json_codec import InvalidJSON, decode
from ..node.reply_limit import ReplyLimit
from ..protocol.v2.errors import ERROR_BAD_REQUEST, ERROR_LIMIT_EXCEEDED, CodedError
from ..runtime.yielding import iterate_yielding
from .messages import DisconnectParams, DisconnectReason, Params
from .methods import ERROR_NOT_FOUND
from .replies import encode_error


class ListedCommand(msgspec.Struct):
    """One line of a request."""

    id: int | None = None
    """If it is given, the reply has the same ID."""
    method: str | None = None
    params: Raw | UnsetType = UNSET


class ListedDisconnect(DisconnectParams):
    """The parameters of `disconnect`, as they are in a line.

    gocent 3 sends the name of a field in Go. To Centrifugo, which ignores the case of names, it is the usual name.
    """

    go_disconnect: DisconnectReason | None = msgspec.field(default=None, name="Disconnect")

    def __post_init__(self) -> None:
        """Use the parameter with the usual name, if there is one."""
        self.disconnect = self.disconnect or self.go_disconnect


NO_PARAMS = (b"", b"null", b"[]")
"""Parameters of a command without any. Libraries in PHP send a list, which is how PHP encodes an empty object."""
_command = msgspec.json.Decoder(ListedCommand)


class CommandLists:
    """Carries out requests with one command per line; `run` carries out a command, `decoders` decode its parameters.

    `note_nameless` is called for a command without a method.
    """

    def __init__(
        self,
        run: Callable[[str, Params], bytes | CodedError],
        decoders: Mapping[str, msgspec.json.Decoder[Any]],
        note_nameless: Callable[[], None],
    ) -> None:
        self._run = run
        self._note_nameless = note_nameless
        self._decoders = {**decoders, "disconnect": msgspec.json.Decoder(ListedDisconnect)}

    def process(self, body: bytes, max_size: int) -> bytes:
        """Carry out the commands of a request in order. Raises InvalidJSON before the first command is carried out.

        If the replies together are larger than `max_size` bytes, the remaining commands get an error.
        """
        commands = commands_of(body)
        limit = ReplyLimit(max_size)
        return b"\n".join([self._reply(command, limit) for command in iterate_yielding(commands)])

    def _reply(self, command: ListedCommand, limit: ReplyLimit) -> bytes:
        reply = _encode(command, self._result(command) if limit.left > 0 else ERROR_LIMIT_EXCEEDED)
        limit.left -= len(reply)
        return reply

    def _result(self, command: ListedCommand) -> bytes | CodedError:
        name = (command.method or "").lower()
        decoder = self._decoders.get(name)
        if decoder is None:
            if not name:
                self._note_nameless()
            return ERROR_NOT_FOUND
        params = b"" if isinstance(command.params, UnsetType) else bytes(command.params)
        try:
            return self._run(name, decode(decoder, b"{}" if params in NO_PARAMS else params))
        except InvalidJSON:
            return ERROR_BAD_REQUEST


def _encode(command: ListedCommand, result: bytes | CodedError) -> bytes:
    id_field = b'"id":%d,' % command.id if command.id else b""
    if isinstance(result, CodedError):
        return b'{%b"error":%b}' % (id_field, encode_error(result))
    return b'{%b"result":%b}' % (id_field, result)


def commands_of(body: bytes) -> list[ListedCommand]:
    """Decode the commands of a request: one JSON object, or one per line. Raises InvalidJSON."""
    try:
        return [decode(_command, body)]
    except InvalidJSON:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise
        return [decode(_command, line) for line in lines]
