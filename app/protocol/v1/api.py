"""The commands of backends in version 1, from HTTP, from the Redis queue and from the admin socket.

It takes and returns bytes, and does not depend on HTTP requests and signatures. Specification: docs/api.md.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, repeat
from typing import TypeVar

import msgspec

from ...model.errors import FIX, INVALID_MESSAGE, LIMIT_EXCEEDED, NAMESPACE_NOT_FOUND, Error, Refused
from ...model.json_codec import InvalidJSON
from ...node.breakdowns import SEVERAL
from ...node.commands import PUBLISH_BATCH_SIZE, PublishRequest
from ...node.node import Node
from ...node.reply_limit import ReplyLimit
from ...runtime.log_throttle import ThrottledLog, place_of
from ...runtime.yielding import iterate_yielding, yield_if_due
from . import wire
from .plain_commands import (
    MAX_PUBLISH_REPLY_SIZE,
    PlainCommand,
    PlainCommands,
    decode_plain_command,
    decode_plain_commands,
)
from .wire import ChannelParams, Command, encode_api_reply

log = logging.getLogger(__name__)

V1_PROTOCOL = "v1"
"""The name of this API in the metrics."""
QUEUE_BATCH_SIZE = 1024
"""Number of commands of a queue after which the references to finished ones are released."""
MAX_ESCAPED_SIZE = 6
"""Maximum bytes of a character in JSON."""
MAX_LOGGED_ENTRY = 80
"""Maximum bytes of an invalid entry in the log."""

Found = TypeVar("Found")


class BadRequest(ValueError):
    """The whole request is refused; the text says why."""


_PUBLISHED = encode_api_reply(None, "publish")
_PUBLISHED_ARRAY = wire.encode_array((_PUBLISHED,))
_PUBLISH_KEY = V1_PROTOCOL, "publish"


class CommandAPI:
    """Carries out API requests on a node.

    With `notes_refusals` the log says why lookups are refused, because a backend gets only the text of the error.
    """

    def __init__(self, node: Node, notes_refusals: bool = True) -> None:
        self._node = node
        self._notes_refusals = notes_refusals
        self._commands = node.metrics.breakdowns.api_commands
        self._internal_errors = ThrottledLog(log)

    def process(self, request: bytes) -> bytes:
        """Carry out a command or an array of commands in order; returns the array of replies.

        Other greenlets may run between two commands. If the replies together are larger than option
        api_reply_max_size, the remaining commands are not carried out, and get an error.

        Raises BadRequest if one of them is not a command. The commands before it have been carried out then.
        """
        return self.answer(request)[1]

    def answer(self, request: bytes) -> tuple[str, bytes]:
        """Carry out a request as `process` does; returns its method, or SEVERAL, and the array of replies."""
        single = decode_plain_command(request)
        if single is not None:
            return "publish", self._publish_single(single)
        max_size = self._node.config.api_reply_max_size
        plain = decode_plain_commands(request, max_size)
        if plain is not None:
            return SEVERAL, wire.encode_array(self._publish_plain(plain))
        try:
            commands = wire.decode_commands(request)
            if len(commands) == 1:
                return commands[0].method or "", wire.encode_array((self.reply(commands[0]),))
            return SEVERAL, wire.encode_array(self._replies(commands, ReplyLimit(max_size)))
        except InvalidJSON as error:
            raise BadRequest(str(error)) from None

    def _publish_single(self, single: PlainCommand) -> bytes:
        params = single.params
        self._commands[_PUBLISH_KEY] += 1
        try:
            self._node.publish(params.channel, bytes(params.data), params.client, uid=params.uid)
        except Refused as refused:
            return wire.encode_array((_publish_reply(single.uid, refused.error),))
        return wire.encode_array((_publish_reply(single.uid, None),)) if single.uid else _PUBLISHED_ARRAY

    def _publish_plain(self, plain: PlainCommands) -> Iterator[bytes]:
        """Carry out a request on the fast path. Returns the replies."""
        publishes, uids = plain
        self._commands[_PUBLISH_KEY] += len(publishes)
        for start in range(0, len(publishes), PUBLISH_BATCH_SIZE):
            outcomes = self._node.publish_all(publishes[start : start + PUBLISH_BATCH_SIZE])
            if Error in set(map(type, outcomes)) or any(uids):
                for outcome, uid in zip(outcomes, uids[start:], strict=False):
                    error = outcome if isinstance(outcome, Error) else None
                    yield _PUBLISHED if error is None and not uid else _publish_reply(uid, error)
            else:
                yield from repeat(_PUBLISHED, len(outcomes))
            if start:
                yield_if_due()

    def process_queued(self, entries: Sequence[bytes]) -> None:
        """Carry out the entries of a queue in order. They get no replies, so errors are logged.

        An invalid command is skipped; the other commands of its entry, and other entries, are carried out.
        """
        commands = [command for entry in iterate_yielding(entries) for command in _queued_commands(entry)]
        for start in range(0, len(commands), QUEUE_BATCH_SIZE):
            self._process_queued(commands[start : start + QUEUE_BATCH_SIZE])

    def _process_queued(self, commands: list[Command]) -> None:
        limit = ReplyLimit(math.inf)  # replies are discarded
        carry_out = self._replies
        while commands:
            done = 0
            try:
                for reply in carry_out(commands, limit):
                    done += 1
                    if reply is not _PUBLISHED and (error := wire.error_of(reply)):
                        log.warning("command from the API queue refused: %s", error)
            except (BadRequest, InvalidJSON) as error:
                log.warning("skipping invalid command from the API queue: %s", error)
                done += 1
            except Exception as error:  # otherwise the engine would repeat the entry, and those before it, without end
                if carry_out == self._replies and done < len(commands) and commands[done].method == "publish":
                    carry_out = self._replies_one_by_one  # it is not known which one of a group has failed
                else:
                    message = "internal error in a command from the API queue, which is skipped"
                    self._internal_errors.log(place_of(error), message, error=error)
                    done += 1
            commands = commands[done:]

    def _replies(self, commands: Sequence[Command], limit: ReplyLimit) -> Iterator[bytes]:
        """Carry out commands; consecutive publish commands are passed to the engine together."""
        for publishing, run in groupby(commands, lambda command: command.method == "publish"):
            if publishing:
                publishes = list(run)
                for start in range(0, len(publishes), PUBLISH_BATCH_SIZE):
                    group = publishes[start : start + PUBLISH_BATCH_SIZE]
                    if limit.left < sum(map(_max_reply_size, group)):
                        yield from self._replies_one_by_one(group, limit)
                    else:
                        yield from self._publish_all(group, limit)
                    yield_if_due()
            else:
                yield from self._replies_one_by_one(run, limit)

    def _publish_all(self, commands: Sequence[Command], limit: ReplyLimit) -> Iterator[bytes]:
        messages: list[PublishRequest] = []
        problem: Exception | None = None
        for command in commands:
            try:
                messages.append(_message(command))
            except (BadRequest, InvalidJSON) as error:  # those before it are carried out nevertheless
                problem = error
                break
        self._commands[_PUBLISH_KEY] += len(messages)
        for command, outcome in zip(commands, self._node.publish_all(messages), strict=False):
            reply = _publish_reply(command.uid, outcome if isinstance(outcome, Error) else None)
            limit.left -= len(reply)
            yield reply
        if problem is not None:
            raise problem

    def _replies_one_by_one(self, commands: Iterable[Command], limit: ReplyLimit) -> Iterator[bytes]:
        for command in iterate_yielding(commands):
            reply = self.reply(command) if limit.left > 0 else _reply_limit_exceeded(command)
            limit.left -= len(reply)
            yield reply

    def reply(self, command: Command) -> bytes:
        """Carry out one command. Raises BadRequest or InvalidJSON if it is invalid."""
        method = command.method or ""
        handler = _HANDLERS.get(method)
        if handler is None:
            known = ", ".join(_HANDLERS)
            raise BadRequest(f"unknown method {method!r}; the methods are {known}")
        self._commands[V1_PROTOCOL, method] += 1
        return handler(self, command)

    def _publish(self, command: Command) -> bytes:
        channel, data, client, uid, _ = _message(command)
        try:
            self._node.publish(channel, data, client, uid=uid)
        except Refused as refused:
            return _publish_reply(command.uid, refused.error)
        return _publish_reply(command.uid, None)

    def _broadcast(self, command: Command) -> bytes:
        """Publish into all channels before the first invalid one.

        If the engine fails for some channels, the message is published in the others.
        """
        params = wire.decode_params(command, wire.BroadcastParams)
        if not params.channels or isinstance(params.data, msgspec.UnsetType):
            return encode_api_reply(command.uid, "broadcast", error=INVALID_MESSAGE)
        data = bytes(params.data)
        failed = refused = None
        for start in range(0, len(params.channels), PUBLISH_BATCH_SIZE):
            messages: list[PublishRequest] = []
            for channel in params.channels[start : start + PUBLISH_BATCH_SIZE]:
                refused = self._refusal_of(channel)
                if refused is not None:
                    break
                messages.append(PublishRequest(channel or "", data, params.client or ""))
            outcomes = self._node.publish_all(messages)
            failed = failed or next((outcome for outcome in outcomes if isinstance(outcome, Error)), None)
            if refused is not None:
                break
            yield_if_due()
        failed = failed or refused
        error = failed and (failed if failed == INVALID_MESSAGE else _publish_error(failed))
        return encode_api_reply(command.uid, "broadcast", error=error)

    def _refusal_of(self, channel: str | None) -> Error | None:
        if not channel:
            return INVALID_MESSAGE
        try:
            self._node.rules.options(channel)
        except Refused as refused:
            return refused.error
        return None

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
            return _failure_reply(command, refused.error)
        return encode_api_reply(command.uid, command.method or "")

    def _presence(self, command: Command) -> bytes:
        return self._query(command, self._node.presence, wire.presence_body)

    def _history(self, command: Command) -> bytes:
        return self._query(command, self._node.history, wire.history_body)

    def _query(
        self, command: Command, ask: Callable[[str], Found], body: Callable[[str, Found | None], bytes]
    ) -> bytes:
        channel = wire.decode_params(command, ChannelParams).channel or ""
        try:
            return encode_api_reply(command.uid, command.method or "", body(channel, ask(channel)))
        except Refused as refused:
            if self._notes_refusals:
                self._node.refusals.note_backend(command.method or "", refused)
            return _failure_reply(command, refused.error, body(channel, None))

    def _channels(self, command: Command) -> bytes:
        try:
            body = wire.data_body(self._node.channels())
        except Refused as refused:
            return _failure_reply(command, refused.error, wire.data_body(None))
        return encode_api_reply(command.uid, "channels", body)

    def _stats(self, command: Command) -> bytes:
        return encode_api_reply(command.uid, "stats", wire.data_body(self._node.stats()))

    def _node_info(self, command: Command) -> bytes:
        return encode_api_reply(command.uid, "node", wire.data_body(self._node.cluster.own_info()))


def _message(command: Command) -> PublishRequest:
    params = wire.decode_params(command, wire.PublishParams)
    channel, data = params.channel, params.data
    if not channel or isinstance(data, msgspec.UnsetType):
        raise BadRequest("publish: channel and data are required")
    return PublishRequest(channel, bytes(data), params.client or "", params.uid or "")


def _publish_reply(uid: str | None, error: Error | None) -> bytes:
    if error is not None:
        return encode_api_reply(uid, "publish", error=_publish_error(error))
    return encode_api_reply(uid, "publish") if uid else _PUBLISHED


def _failure_reply(command: Command, error: Error, body: bytes = b"null") -> bytes:
    """Return the reply to a command that has failed. The advice of an error is for clients, so it is left out."""
    return encode_api_reply(command.uid, command.method or "", body, error.advise(""))


def _max_reply_size(publish: Command) -> int:
    return MAX_PUBLISH_REPLY_SIZE + MAX_ESCAPED_SIZE * len(publish.uid or "")


def _reply_limit_exceeded(command: Command) -> bytes:
    """Return the reply to a command that was not carried out, because the replies before it are too large."""
    return _failure_reply(command, LIMIT_EXCEEDED)


def _queued_commands(entry: bytes) -> list[Command]:
    """Decode the commands of one entry of a queue; an invalid entry is logged and skipped."""
    try:
        return wire.decode_queued(entry)
    except InvalidJSON as error:
        log.warning("skipping invalid entry of the API queue: %s; it begins with %r", error, entry[:MAX_LOGGED_ENTRY])
        return []


def _publish_error(error: Error) -> Error:
    """Set the advice for backends: to fix an unknown namespace, and none for a failure of the engine."""
    return error.advise(FIX if error == NAMESPACE_NOT_FOUND else "")


_HANDLERS: dict[str, Callable[[CommandAPI, Command], bytes]] = {
    "publish": CommandAPI._publish,
    "broadcast": CommandAPI._broadcast,
    "unsubscribe": CommandAPI._unsubscribe,
    "disconnect": CommandAPI._disconnect,
    "presence": CommandAPI._presence,
    "history": CommandAPI._history,
    "channels": CommandAPI._channels,
    "stats": CommandAPI._stats,
    "node": CommandAPI._node_info,
}
API_COMMANDS = frozenset(_HANDLERS)
"""The names of all commands."""
