"""Batches: several commands in one request. Consecutive publications are passed to the engine together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from gevent.pool import Pool

from ..model.errors import Error, Refused
from ..node.commands import PublishRequest, RequestedPublish
from ..node.node import Node
from ..node.reply_limit import ReplyLimit
from ..protocol.v2.errors import ERROR_LIMIT_EXCEEDED, CodedError
from ..runtime.yielding import iterate_yielding
from .messages import Params, PublishParams
from .methods import COMMANDS, ERROR_NOT_FOUND, METHODS_PROTOCOL, BatchParams
from .publishing import publish_in_groups, publish_request
from .replies import encode_error, encode_outcome

PARALLEL = 32
"""Commands of a parallel batch that are carried out at the same time."""
_LIMIT_EXCEEDED_REPLY = b'{"error":%b}' % encode_error(ERROR_LIMIT_EXCEEDED)
_PUBLISHED = encode_outcome(None, b"publish")
_NAMES = tuple(method.name for method in COMMANDS)


class Batches:
    """Carries out batches on a node; `run` carries out a single command."""

    def __init__(self, node: Node, run: Callable[[str, Params], bytes | CodedError]) -> None:
        self._node = node
        self._run = run

    def process(self, batch: BatchParams) -> bytes:
        """Carry out the commands in order, or in parallel if the batch requests it. Returns all replies as one JSON.

        If the replies, without those to `publish`, are larger than option api_reply_max_size, the remaining commands
        are not carried out, and get an error.
        """
        commands = batch.commands or []
        limit = ReplyLimit(self._node.config.api_reply_max_size)
        replies = self._in_parallel(commands, limit) if batch.parallel else self._in_order(commands, limit)
        return b'{"replies":[%b]}' % b",".join(replies)

    def publish(self, requests: Sequence[RequestedPublish]) -> bytes:
        """Carry out a batch that only publishes. Returns all replies as one JSON."""
        self._node.metrics.breakdowns.api_commands[METHODS_PROTOCOL, "publish"] += len(requests)
        outcomes = publish_in_groups(self._node, requests)
        return b'{"replies":[%b]}' % b",".join(
            [_PUBLISHED if outcome is None else encode_outcome(outcome, b"publish") for outcome in outcomes]
        )

    def _in_order(self, commands: Sequence[Any], limit: ReplyLimit) -> Iterable[bytes]:
        for publishes, run in groupby(commands, _is_publish):
            if not publishes:
                yield from (self._reply(command, limit) for command in iterate_yielding(run))
            elif limit.left > 0:
                yield from self._publish_all([command.publish for command in run])
            else:
                yield from (_LIMIT_EXCEEDED_REPLY for _ in run)

    def _in_parallel(self, commands: Sequence[Any], limit: ReplyLimit) -> Iterable[bytes]:
        others = [command for command in commands if not _is_publish(command)]
        running = Pool(PARALLEL).map_async(partial(self._reply, limit=limit), others)
        published = iter(self._publish_all([command.publish for command in commands if _is_publish(command)]))
        replies = iter(running.get())
        return [next(published if _is_publish(command) else replies) for command in commands]

    def _publish_all(self, publishes: Sequence[PublishParams]) -> list[bytes]:
        self._node.metrics.breakdowns.api_commands[METHODS_PROTOCOL, "publish"] += len(publishes)
        outcomes = publish_in_groups(self._node, [self._request_or_error(params) for params in publishes])
        return [encode_outcome(outcome, b"publish") for outcome in outcomes]

    def _request_or_error(self, params: PublishParams) -> PublishRequest | Error:
        try:
            return publish_request(params)
        except Refused as refused:
            self._node.refusals.note_backend("publish", refused)
            return refused.error

    def _reply(self, command: Any, limit: ReplyLimit) -> bytes:
        if limit.left <= 0:
            return _LIMIT_EXCEEDED_REPLY
        reply = self._carry_out(command)
        limit.left -= len(reply)
        return reply

    def _carry_out(self, command: Any) -> bytes:
        name = next((name for name in _NAMES if getattr(command, name) is not None), None)
        result = ERROR_NOT_FOUND if name is None else self._run(name, getattr(command, name))
        if isinstance(result, CodedError):
            return b'{"error":%b}' % encode_error(result)
        return b'{"%b":%b}' % ((name or "").encode(), result)


def _is_publish(command: Any) -> bool:
    return command.publish is not None
