"""The commands of backends: one door for HTTP, and for whatever carries API commands later.

Gets bytes, gives bytes; knows nothing of requests and signs.
Specification: docs/api.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from . import wire
from .errors import FIX, INVALID_MESSAGE, NAMESPACE_NOT_FOUND, Error, Refused
from .fairness import give_turn
from .json_text import InvalidJSON
from .node import Node
from .wire import ChannelParams, Command, encode_api_reply

COMMANDS_PER_TURN = 64
"""Commands of one request between two chances for others to run."""


Answer = TypeVar("Answer")


class BadRequest(ValueError):
    """The request as a whole is refused; the message says what is wrong with it."""


_PUBLISHED = encode_api_reply(None, "publish")


class Api:
    """Carries out API requests on a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def process(self, request: bytes) -> bytes:
        """Carry out a command or an array of commands, in order; the array of replies.

        Raises BadRequest when one of them is no command at all: those before it have been
        carried out, those after it have not.
        """
        try:
            return wire.encode_array(self._replies(wire.decode_commands(request)))
        except InvalidJSON as error:
            raise BadRequest(str(error)) from None

    def _replies(self, commands: list[Command]) -> Iterator[bytes]:
        for number, command in enumerate(commands, 1):
            yield self._reply(command)
            if number % COMMANDS_PER_TURN == 0:
                give_turn()

    def _reply(self, command: Command) -> bytes:
        method = command.method or ""
        handler = _HANDLERS.get(method)
        if handler is None:
            known = ", ".join(_HANDLERS)
            raise BadRequest(f"unknown method {method!r}; the methods are {known}")
        return handler(self, command)

    def _publish(self, command: Command) -> bytes:
        params = wire.decode_params(command, wire.PublishParams)
        channel, data = params.channel, params.data
        if not channel or isinstance(data, msgspec.UnsetType):
            raise BadRequest("publish: channel and data are required")
        try:
            self._node.publish(channel, bytes(data), params.client or "", uid=params.uid or "")
        except Refused as refused:
            return encode_api_reply(command.uid, "publish", error=_publish_error(refused.error))
        return encode_api_reply(command.uid, "publish") if command.uid else _PUBLISHED

    def _broadcast(self, command: Command) -> bytes:
        params = wire.decode_params(command, wire.BroadcastParams)
        if not params.channels or isinstance(params.data, msgspec.UnsetType):
            return encode_api_reply(command.uid, "broadcast", error=INVALID_MESSAGE)
        data = bytes(params.data)
        for channel in params.channels:
            if not channel:
                return encode_api_reply(command.uid, "broadcast", error=INVALID_MESSAGE)
            try:
                self._node.publish(channel, data, params.client or "")
            except Refused as refused:
                return encode_api_reply(command.uid, "broadcast", error=_publish_error(refused.error))
        return encode_api_reply(command.uid, "broadcast")

    def _unsubscribe(self, command: Command) -> bytes:
        params = wire.decode_params(command, wire.UserParams)
        return self._act(command, lambda: self._node.unsubscribe_user(params.user or "", params.channel or ""))

    def _disconnect(self, command: Command) -> bytes:
        params = wire.decode_params(command, wire.UserParams)
        return self._act(command, lambda: self._node.disconnect_user(params.user or ""))

    def _act(self, command: Command, action: Callable[[], None]) -> bytes:
        try:
            action()
        except Refused as refused:
            return encode_api_reply(command.uid, command.method or "", error=_without_advice(refused.error))
        return encode_api_reply(command.uid, command.method or "")

    def _presence(self, command: Command) -> bytes:
        return self._query(command, self._node.presence, wire.presence_body)

    def _history(self, command: Command) -> bytes:
        return self._query(command, self._node.history, wire.history_body)

    def _query(
        self, command: Command, ask: Callable[[str], Answer], body: Callable[[str, Answer | None], bytes]
    ) -> bytes:
        channel = wire.decode_params(command, ChannelParams).channel or ""
        try:
            return encode_api_reply(command.uid, command.method or "", body(channel, ask(channel)))
        except Refused as refused:
            return self._failed(command, body(channel, None), refused.error)

    def _channels(self, command: Command) -> bytes:
        try:
            body = wire.data_body(self._node.channels())
        except Refused as refused:
            return self._failed(command, wire.data_body(None), refused.error)
        return encode_api_reply(command.uid, "channels", body)

    def _stats(self, command: Command) -> bytes:
        return encode_api_reply(command.uid, "stats", wire.data_body(self._node.stats()))

    def _node_info(self, command: Command) -> bytes:
        return encode_api_reply(command.uid, "node", wire.data_body(self._node.info()))

    @staticmethod
    def _failed(command: Command, body: bytes, error: Error) -> bytes:
        return encode_api_reply(command.uid, command.method or "", body, _without_advice(error))


def _without_advice(error: Error) -> Error:
    return error.advise("")


def _publish_error(error: Error) -> Error:
    """Backends are advised to mend the namespace they named; an engine's failure comes without advice."""
    return error.advise(FIX if error == NAMESPACE_NOT_FOUND else "")


_HANDLERS: dict[str, Callable[[Api, Command], bytes]] = {
    "publish": Api._publish,
    "broadcast": Api._broadcast,
    "unsubscribe": Api._unsubscribe,
    "disconnect": Api._disconnect,
    "presence": Api._presence,
    "history": Api._history,
    "channels": Api._channels,
    "stats": Api._stats,
    "node": Api._node_info,
}
