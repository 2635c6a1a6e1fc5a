"""The queues of API commands in all shards, as the server starts and stops them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import gevent

from ..base import CommandHandler, CommandQueue
from .api_queue import ApiQueue
from .shard import Shard

QUEUES_STOP_TIMEOUT = 2.0
"""Seconds for the commands that have been taken when the queues stop."""


class ApiQueues(CommandQueue):
    """In each shard one queue without a number, and `numbered` more, which have the numbers from 0."""

    def __init__(self, shards: Sequence[Shard], numbered: int) -> None:
        # A new id for each process: after a restart the lease of the process before has to end.
        node = str(uuid.uuid4())
        self._queues = [
            ApiQueue(shard.name, shard.keys.api_queue(number), node, shard.dial, shard.server_return, shard.pipeline)
            for shard in shards
            for number in (None, *range(numbered))
        ]

    def start(self, handler: CommandHandler) -> None:
        for queue in self._queues:
            queue.begin(handler)

    def stop(self) -> None:
        gevent.joinall([gevent.spawn(queue.finish, QUEUES_STOP_TIMEOUT) for queue in self._queues])
