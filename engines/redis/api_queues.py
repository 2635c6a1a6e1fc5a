"""The queues of API commands in all shards, which the server starts and stops together."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import gevent

from ..base import CommandHandler, CommandQueue
from .api_queue import APIQueue
from .shard import Shard

QUEUES_STOP_TIMEOUT = 2.0
"""Maximum seconds for carrying out the commands that have been taken when the queues stop."""


class APIQueues(CommandQueue):
    """One queue without a number in each shard, and `numbered` further queues, with the numbers from 0."""

    def __init__(self, shards: Sequence[Shard], numbered: int) -> None:
        # A new id for each process: after a restart, the lease of the previous process has to expire first.
        node = str(uuid.uuid4())
        self._queues = [
            APIQueue(shard.name, shard.keys.api_queue(number), node, shard.dial, shard.server_return, shard.pipeline)
            for shard in shards
            for number in (None, *range(numbered))
        ]

    def start(self, handler: CommandHandler) -> None:
        """Start taking entries from all queues, and pass them to `handler`."""
        for queue in self._queues:
            queue.begin(handler)

    def stop(self) -> None:
        """Stop taking entries, and wait at most QUEUES_STOP_TIMEOUT for those that are being carried out."""
        gevent.joinall([gevent.spawn(queue.finish, QUEUES_STOP_TIMEOUT) for queue in self._queues])
