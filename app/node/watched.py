"""Collects the messages in channels with option `watch` for operators, in small batches, from all nodes.

A node collects messages while an operator watches on any node, and sends them a few times a second. It counts the
messages that do not fit into a batch and drops them, so that many messages cost the node almost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import gevent

from ..model.events import Publication
from ..runtime.background import BackgroundLoop
from .metrics import Counters

BATCH_INTERVAL = 0.1
"""Seconds between two batches; a batch after a longer silence is sent immediately."""
BATCH_MESSAGES = 100
"""Messages in one batch at most."""
BATCH_SIZE = 1 << 18
"""Bytes of data in one batch at most, except if its only message has more."""


EncodePublication: TypeAlias = Callable[[Publication], bytes]
"""Encodes a publication as operators receive it, as JSON."""


class Watcher(Protocol):
    """The connection of an operator who watches messages."""

    def show(self, messages: Sequence[bytes], missed: int) -> None:
        """Show messages, and how many were left out after them. Does not block and does not raise."""


class WatchedFeed(BackgroundLoop):
    """Collects the messages of this node and shows the messages of all nodes to the operators of this one.

    `send_to_peers` sends a batch to the other nodes; it may block. `on_change` is called when the first operator of
    this node begins to watch, and when the last one ends. Neither may raise.
    """

    def __init__(
        self,
        encode: EncodePublication,
        counters: Counters,
        send_to_peers: Callable[[Sequence[bytes], int], None],
        on_change: Callable[[], None],
    ) -> None:
        super().__init__("watched messages")
        self._encode = encode
        self._counters = counters
        self._send_to_peers = send_to_peers
        self._on_change = on_change
        self._watchers: set[Watcher] = set()
        self._peers_watch = False
        self._waiting: list[Publication] = []
        self._size = 0
        self._is_full = False
        """Whether the batch that waits takes no more messages."""
        self._missed = 0
        self.wanted = False
        """Whether an operator watches on any node."""

    @property
    def watching(self) -> bool:
        """Whether an operator watches on this node."""
        return bool(self._watchers)

    def add(self, watcher: Watcher) -> None:
        """Start showing messages to `watcher`."""
        self._watchers.add(watcher)
        self._update(first_or_last=len(self._watchers) == 1)

    def remove(self, watcher: Watcher) -> None:
        """Stop showing messages to `watcher`, if it was added."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            self._update(first_or_last=not self._watchers)

    def set_peers_watching(self, watching: bool) -> None:
        """Set whether an operator watches on another node."""
        self._peers_watch = watching
        self.wanted = watching or self.watching

    def _update(self, first_or_last: bool) -> None:
        self.set_peers_watching(self._peers_watch)
        if first_or_last:
            self._on_change()

    def note(self, publication: Publication) -> None:
        """Collect a publication of this node, or count it as missed. Called for each one while `wanted`."""
        if self._is_full:  # nearly always, in a flood
            self._missed += 1
            return
        waiting = self._waiting
        size = self._size + len(publication.data)
        if waiting and size > BATCH_SIZE:
            self._missed += 1
            self._is_full = True  # so that no later message overtakes this one
            return
        waiting.append(publication)
        self._size = size
        self._is_full = len(waiting) >= BATCH_MESSAGES or size >= BATCH_SIZE
        self.start()

    def show(self, messages: Sequence[bytes], missed: int) -> None:
        """Show a batch to the operators of this node."""
        for watcher in list(self._watchers):
            watcher.show(messages, missed)

    def _has_work(self) -> bool:
        return bool(self._waiting)

    def _step(self) -> None:
        batch, missed = self._waiting, self._missed
        self._waiting, self._size, self._is_full, self._missed = [], 0, False, 0
        self._counters.node_num_admin_msg_published += len(batch) + missed
        messages = [self._encode(publication) for publication in batch]
        self.show(messages, missed)
        if self._peers_watch:
            self._send_to_peers(messages, missed)
        gevent.sleep(BATCH_INTERVAL)
