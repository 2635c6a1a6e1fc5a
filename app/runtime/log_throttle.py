"""Throttled log messages, for events that peers can cause: the first one is logged, further ones are suppressed."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping

LOG_INTERVAL = 10.0
"""Default seconds between two messages with the same key."""
ONCE = math.inf
"""The interval of a throttle that logs only one message with each key."""

_VARYING = re.compile(
    r"""'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `[^`]*` | \([^)]*\) | <[^>]*> # quoted text, and remarks
    | (?<!\bstatus\ )\b[0-9][^\ ,:;]* # numbers and addresses, but not the status of a response
    | ["'`(<].* # the rest of a text that has been truncated""",
    re.DOTALL | re.VERBOSE,
)


def kind_of(reason: str) -> str:
    """Return a reason without the parts that vary, so that it can be the key of messages of the same kind.

    These are quoted text, which may come from a peer, remarks in parentheses, and numbers.
    """
    return _VARYING.sub("", reason)


def place_of(error: BaseException) -> str:
    """Return the type of an exception and the line that raised it, as the key of messages about the same mistake."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" {place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
    return f"{type(error).__name__}{where}"


class ThrottledLog:
    """Logs to `log` at most one message with the same key in `interval` seconds, and counts the suppressed ones.

    The interval begins with each message that is logged. `max_keys` limits the number of keys in one interval, in case
    a peer can invent them: messages with further keys are neither logged nor counted. `clock` returns seconds.
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
        """The time at which the next message may be logged, by key; the key with the newest message is last."""
        self._held_back: dict[str, int] = {}

    def log(
        self,
        key: str,
        message: str,
        *args: object,
        error: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> bool:
        """Log `message % args`, and the traceback of `error`, unless the last message with this key is too recent.

        Messages of the same kind have the same key. If messages were suppressed since the last one, their number is
        added. `extra` has fields for structured log lines. Returns whether the message was logged.
        """
        now = self._clock()
        allowed_at = self._next.get(key)
        if allowed_at is None and len(self._next) >= self._max_keys and not self._forget_oldest(now):
            return False
        if allowed_at is not None and now < allowed_at:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return False
        self._next.pop(key, None)
        self._next[key] = now + self._interval
        held_back = self._held_back.pop(key, 0)
        text = f"{message} ({held_back} more suppressed since the last one)" if held_back else message
        self._log.log(self._level, text, *args, exc_info=error, extra=extra, stacklevel=2)
        return True

    def _forget_oldest(self, now: float) -> bool:
        """Forget the key whose last message is the oldest one, if its interval is over; return whether it is."""
        oldest = next(iter(self._next), None)
        if oldest is None or now < self._next[oldest]:
            return False
        del self._next[oldest]
        self._held_back.pop(oldest, None)
        return True

    def reset(self) -> None:
        """Reset all keys, so that the next message with each key is logged."""
        self._next.clear()
        self._held_back.clear()
