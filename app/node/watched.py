"""What operators see of the messages in watched channels (option watch): gathered, bounded, and shared by all nodes.

A node gathers while somebody watches, on whatever node, and hands out what it has
a few times a second. What is more than that is counted and not kept: nobody reads
a thousand messages a second, and a flood must cost the node next to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import gevent

from ..model.events import Publication
from ..protocol.v1.wire import encode_publication

log = logging.getLogger(__name__)

PAUSE = 0.1
"""Seconds between two batches; the first after a silence goes out at once."""
BATCH_MESSAGES = 100
"""Messages of one batch at most."""
BATCH_SIZE = 1 << 18
"""Bytes of data in one batch, unless its only message has more."""


class Watcher(Protocol):
    """An operator's connection that asked to see messages."""

    def show(self, messages: Sequence[bytes], missed: int) -> None:
        """Messages as JSON, and how many were left out after them. Does not block or raise."""


class Watched:
    """The watchers of this node, and what waits for those of all nodes.

    `tell_peers` hands a batch to the other nodes; `on_change` is called when this node's
    first watcher comes or its last one goes. Neither may raise; the first may block.
    """

    def __init__(self, tell_peers: Callable[[Sequence[bytes], int], None], on_change: Callable[[], None]) -> None:
        self._tell_peers = tell_peers
        self._on_change = on_change
        self._watchers: set[Watcher] = set()
        self._peers_watch = False
        self._waiting: list[Publication] = []
        self._size = 0
        self._missed = 0
        self._sharer: gevent.Greenlet[[], None] | None = None
        self.wanted = False
        """Whether anybody watches, here or on another node."""

    @property
    def watching(self) -> bool:
        """Whether anybody watches here."""
        return bool(self._watchers)

    def add(self, watcher: Watcher) -> None:
        """Show what comes to `watcher`, too."""
        self._watchers.add(watcher)
        self._look(first_or_last=len(self._watchers) == 1)

    def remove(self, watcher: Watcher) -> None:
        """The opposite; nothing happens when it is not there."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            self._look(first_or_last=not self._watchers)

    def heed_peers(self, watching: bool) -> None:
        """Whether anybody watches on another node."""
        self._peers_watch = watching
        self.wanted = watching or self.watching

    def _look(self, first_or_last: bool) -> None:
        self.heed_peers(self._peers_watch)
        if first_or_last:
            self._on_change()

    def note(self, publication: Publication) -> None:
        """Take up a publication of this node; called for each while `wanted`."""
        waiting = self._waiting
        size = self._size
        if len(waiting) >= BATCH_MESSAGES or size >= BATCH_SIZE:  # nearly always, in a flood
            self._missed += 1
            return
        size += len(publication.data)
        if waiting and size > BATCH_SIZE:
            size = BATCH_SIZE  # full from here on, so that no later message overtakes this one
            self._missed += 1
        else:
            waiting.append(publication)
        self._size = size
        if self._sharer is None:
            self._sharer = gevent.spawn(self._share)

    def show(self, messages: Sequence[bytes], missed: int) -> None:
        """Show a batch to the watchers of this node."""
        for watcher in list(self._watchers):
            watcher.show(messages, missed)

    def stop(self) -> None:
        """Hand out nothing any more. A second call does nothing."""
        if self._sharer is not None:
            self._sharer.kill()
            self._sharer = None

    def _share(self) -> None:
        while self._waiting:
            messages = [encode_publication(publication) for publication in self._waiting]
            missed, self._missed = self._missed, 0
            self._waiting, self._size = [], 0
            self.show(messages, missed)
            if self._peers_watch:
                self._tell_peers(messages, missed)
            gevent.sleep(PAUSE)
        self._sharer = None
