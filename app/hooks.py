"""What an application is asked and told: its functions, called as clients and channels come and go (docs/hooks.md)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import gevent
import msgspec
from gevent.pool import Pool

from .complaints import Complaints
from .errors import FIX, INTERNAL_ERROR, PERMISSION_DENIED, RETRY, Error, Refused
from .opening import Opening

log = logging.getLogger(__name__)

CONNECT, REFRESH, DISCONNECT = "connect", "refresh", "disconnect"
SUBSCRIBE, PRIVATE_SUBSCRIBE, PUBLISH = "subscribe", "private_subscribe", "publish"
OCCUPIED, VACATED = "channel_occupied", "channel_vacated"

TOLD_AT_ONCE = 1000
"""Hooks that are told of something side by side; further ones wait."""


class Refuse(Exception):
    """Raised by a hook that refuses what it was asked; the client is told `reason`."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Undelivered(Exception):
    """Raised by a hook that could not reach whom it should tell."""


@dataclass(slots=True)
class Context:
    """What a hook is about, as far as it applies: all hooks of one event get the same object, one after the other."""

    event: str
    user: str | int | None = None
    """The user's id. None at connect when the client shows no token, and at refresh and private_subscribe when the
    request says nothing: then the hook has to say who it is, or to look it up in `request`. Empty for visitors."""
    client: str = ""
    """The connection's id."""
    channel: str = ""
    data: Any = None
    """At publish: what is published, decoded; a hook may set another."""
    info: Any = None
    """What others are shown of the client, decoded; at connect, refresh and private_subscribe a hook may set it."""
    reason: str = ""
    """At disconnect: why the connection was closed; empty when the client left."""
    opening: Opening | None = None
    """The request that opened the connection, as it came."""
    request: Any = None
    """The same as a `flask.Request`, inside an application."""


class Outcome(NamedTuple):
    """What stands when all hooks have been asked."""

    user: str | None
    info: bytes
    """JSON; empty when there is none."""
    data: bytes
    """JSON, as far as something is published."""


Hook: TypeAlias = Callable[[Context], object]
Around: TypeAlias = Callable[[Context], AbstractContextManager[object]]


class _Added(NamedTuple):
    hook: Hook
    limit: Callable[[], float]
    """The most seconds that it may take."""


class Hooks:
    """The hooks of one node. `timeout` gives the most seconds that a hook may take."""

    def __init__(self, timeout: Callable[[], float]) -> None:
        self.around: Around = nullcontext
        """Makes what each hook runs in."""
        self._timeout = timeout
        self._added: dict[str, list[_Added]] = {}
        self._pool = Pool(TOLD_AT_ONCE)
        self._complaints = Complaints(log)
        self._is_sealed = False

    def add(self, event: str, hook: Hook, limit: Callable[[], float] | None = None) -> None:
        """Call `hook` at `event`, after those that were added before; `limit` is for one that bounds itself.

        Raises RuntimeError when the node has started.
        """
        if self._is_sealed:
            raise RuntimeError(f"a hook for {event} comes too late: the server has started")
        self._added.setdefault(event, []).append(_Added(hook, limit or self._timeout))

    def seal(self) -> None:
        """Take no more: the node starts."""
        self._is_sealed = True

    def __bool__(self) -> bool:
        return bool(self._added)

    def has(self, *events: str) -> bool:
        """Whether there is a hook for one of these events."""
        return any(event in self._added for event in events)

    def longest(self, *events: str) -> float:
        """The most seconds that the hooks of one of these events may take together."""
        return max(sum(added.limit() for added in self._added.get(event, ())) for event in events)

    # -- ask: the hook decides

    def ask(self, context: Context) -> Outcome:
        """Call the hooks of the context's event, which they may change. Raises Refused when one refuses, or fails."""
        for added in self._added.get(context.event, ()):
            try:
                answer = self._call(added, context)
            except Refuse as refuse:
                raise Refused(Error(refuse.reason or PERMISSION_DENIED.text, FIX)) from None
            except (Exception, gevent.Timeout) as error:
                self._note_failure(added, context, error)
                raise Refused(INTERNAL_ERROR.advise(RETRY)) from None
            if answer is False:
                raise Refused(PERMISSION_DENIED)
        try:
            return _outcome(context)
        except (TypeError, ValueError) as error:
            self._complaints.add(f"hooks for {context.event}: what they have set cannot be used", str(error))
            raise Refused(INTERNAL_ERROR.advise(RETRY)) from None

    # -- tell: it has happened

    def tell(self, context: Context) -> bool:
        """Call the hooks of the context's event; False when one could not reach whom it should tell."""
        has_reached = True
        for added in self._added.get(context.event, ()):
            try:
                self._call(added, context)
            except Undelivered as error:
                has_reached = False
                self._note_failure(added, context, error)
            except (Exception, gevent.Timeout) as error:
                self._note_failure(added, context, error)
        return has_reached

    def tell_later(self, context: Context) -> None:
        """The same in a greenlet of its own. Blocks while very many hooks run."""
        if context.event in self._added:
            self._pool.spawn(self.tell, context)

    @property
    def running(self) -> int:
        """How many of those have not returned."""
        return len(self._pool)

    def finish(self, timeout: float) -> None:
        """Wait for those at most so many seconds, and end the others."""
        self._pool.join(timeout)
        self._pool.kill()

    # -- one hook

    def _call(self, added: _Added, context: Context) -> object:
        with gevent.Timeout(added.limit()), self.around(context):
            return added.hook(context)

    def _note_failure(self, added: _Added, context: Context, error: BaseException) -> None:
        what = f"hook {_name(added.hook)} ({context.event})"
        if isinstance(error, gevent.Timeout):
            self._complaints.add(what, f"not done within {added.limit():g} s (option hook_timeout)")
        elif isinstance(error, Undelivered):
            self._complaints.add(what, str(error))
        else:
            self._complaints.add(f"{what} failed", error=error)


def _outcome(context: Context) -> Outcome:
    """Raises TypeError or ValueError for what the wire has no words for."""
    user = context.user
    if isinstance(user, int) and not isinstance(user, bool):
        user = str(user)
    if user is not None and not isinstance(user, str):
        raise TypeError(f"user is {user!r}; expected a text or a number")
    info = b"" if context.info is None else msgspec.json.encode(context.info)
    return Outcome(user, info, msgspec.json.encode(context.data) if context.event == PUBLISH else b"")


def _name(hook: Hook) -> str:
    return getattr(hook, "__qualname__", None) or str(hook)
