"""Log messages that many clients or peers can cause: the first one of a kind is logged, further ones are held back."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

LOG_INTERVAL = 10.0
"""Seconds between two messages of a kind, unless a throttle has another interval."""
ONCE = math.inf
"""The interval of a throttle that logs one message of each kind."""


class ThrottledLog:
    """Logs to `log` at most one message of a kind in `interval` seconds, and counts those that it holds back.

    The interval begins with each message that is logged. `max_keys` limits the number of kinds, for throttles whose
    kinds a peer can invent: messages of further kinds are neither logged nor counted. `clock` gives seconds.
    """

    def __init__(
        self,
        log: logging.Logger,
        level: int = logging.ERROR,
        *,
        interval: float = LOG_INTERVAL,
        max_keys: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._level = level
        self._interval = interval
        self._max_keys = max_keys
        self._clock = clock
        self._next: dict[str, float] = {}
        """When the next message of a kind may be logged, by key."""
        self._held_back: dict[str, int] = {}

    def log(self, key: str, message: str, *args: object, error: BaseException | None = None) -> None:
        """Log `message % args`, and the traceback of `error`, unless the last message with this key is too recent.

        The key stands for the kind of message. If messages were held back since the last one, their number is added.
        """
        now = self._clock()
        allowed_at = self._next.get(key)
        if allowed_at is None and len(self._next) >= self._max_keys:
            return
        if allowed_at is not None and now < allowed_at:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return
        self._next[key] = now + self._interval
        held_back = self._held_back.pop(key, 0)
        text = f"{message} ({held_back} more suppressed since the last one)" if held_back else message
        self._log.log(self._level, text, *args, exc_info=error, stacklevel=2)

    def reset(self) -> None:
        """Forget all messages: the next one of each kind is logged."""
        self._next.clear()
        self._held_back.clear()
