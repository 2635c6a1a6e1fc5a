"""Hooks: functions of an application that are called for events of clients and channels (docs/hooks.md).

Some hooks decide (`ask`), for example whether a client may connect. The others are notified of events (`notify`).
"""

from __future__ import annotations

import inspect
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import gevent
import msgspec
from gevent.pool import Pool

from ..http.opening_request import Opening
from ..model.errors import (
    FIX,
    INTERNAL_ERROR,
    MAX_REASON_BYTES,
    PERMISSION_DENIED,
    RETRY,
    Closing,
    Error,
    Refused,
)
from ..model.events import user_id
from ..runtime.log_throttle import ThrottledLog, kind_of, place_of
from ..runtime.running_clock import TimeLimit
from .breakdowns import Breakdowns, HookKind
from .refusals import Refusals
from .user_commands import disconnect_of

log = logging.getLogger(__name__)

CONNECT, REFRESH, DISCONNECT = "connect", "refresh", "disconnect"
SUBSCRIBE, PRIVATE_SUBSCRIBE, PUBLISH = "subscribe", "private_subscribe", "publish"
OCCUPIED, VACATED = "channel_occupied", "channel_vacated"
RPC, MESSAGE = "rpc", "message"

CONCURRENT_NOTIFICATIONS = 1000
"""Maximum number of events whose hooks are called at the same time; further events wait."""
MAX_LOGGED_FAILURES = 100
"""Maximum number of failures that are logged in ten seconds, if they differ in hook or cause."""
MAX_WAITING_NOTIFICATIONS = 100_000
"""Maximum number of events that wait, about 300 MB. With a backend that hangs they would fill the memory otherwise."""
FUNCTION, HOOK_URL, PROXY = "function", "hook_url", "proxy"
"""What is called: a function of the application, or one of these that sends a request to a backend."""
ENDING = (gevent.GreenletExit, KeyboardInterrupt)
"""Exceptions that end the greenlet or the process. Any other exception of a hook is logged as its failure."""


class Refuse(Exception):
    """Raised by a hook to refuse a request. The client receives `reason`, converted to a string."""

    def __init__(self, reason: object = "") -> None:
        super().__init__(reason)
        self.reason = "" if reason is None else _make_encodable(str(reason))


class RPCError(Exception):
    """Raised by an RPC handler or another hook that decides, to send the client an error with a code and a message.

    Codes from 400 to 1999 are for applications; codes from 100 to 399 have a meaning in the protocol. With `temporary`,
    the client may send the same request again later. Raises ValueError for other codes.
    """

    def __init__(self, code: int, message: object, temporary: bool = False) -> None:
        super().__init__(code, message)
        if not 100 <= code < 2000:
            raise ValueError(f"the code of an RPCError is {code}; it must be from 400 to 1999")
        self.code = code
        self.message = _make_encodable(str(message))
        self.temporary = temporary


class DisconnectClient(Exception):
    """Raised by an RPC handler or another hook that decides, to close the connection of the client.

    Client libraries reconnect after codes from 4000 to 4499, but not after codes from 4500 to 4999. Codes from 3000 to
    3999 have a meaning in the protocol. The reason has at most 123 bytes in UTF-8. Raises ValueError for other codes
    and for a longer reason.
    """

    def __init__(self, code: int, reason: object) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = _make_encodable(str(reason))
        if not 3000 <= code < 5000:
            raise ValueError(f"a disconnect has the code {code}; it must be from 4000 to 4999")
        if len(self.reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"the reason of a disconnect is longer than {MAX_REASON_BYTES} bytes")


class Undelivered(Exception):
    """Raised by a hook that could not deliver an event."""


@dataclass(slots=True)
class Context:
    """The event that a hook is called for. All hooks of one event get the same object, one after the other."""

    event: str
    user: str | int | None = None
    """The ID of the user. None if it is not known, at connect because the client sends no token, or at refresh and
    private_subscribe: then the hook has to find it, for example from `request`. Empty for anonymous users."""
    client: str = ""
    """The ID of the connection."""
    channel: str = ""
    method: str = ""
    """At rpc: the name of the called method."""
    data: Any = None
    """At publish: the decoded data, which a hook may replace. At rpc and message: the data that the client sends."""
    info: Any = None
    """The decoded info that others see of the client; at connect, refresh and private_subscribe a hook may set it."""
    meta: Any = None
    """The decoded claim `meta` of the client's token; None without one, as with protocol v1."""
    protocol: str = "json"
    """The format of the client's messages: json or protobuf."""
    transport: str = ""
    """The name of the client's transport, such as websocket or sse; empty if the event has no connection."""
    channels: Collection[str] = ()
    """At connect: channels to which the server subscribes the client, besides those of its token; a hook may set it.
    Clients of protocol v1 have no such subscriptions."""
    reason: str = ""
    """At disconnect: why the connection was closed; empty if the client closed it."""
    opening: Opening | None = None
    """The request that opened the connection, unchanged."""
    request: Any = None
    """The request that opened the connection as a `flask.Request`, inside a Flask application."""


class Outcome(NamedTuple):
    """The values after all hooks of an event have been called."""

    user: str | None
    info: bytes
    """The info as JSON; empty if there is none."""
    data: bytes
    """At publish, the data as JSON."""


Hook: TypeAlias = Callable[[Context], object]
CallHook: TypeAlias = Callable[[Hook, Context], object]
"""Calls a hook in the context that the application needs, and returns what the hook returns."""


class _HookTimeout(Exception):
    """Raised when a hook was interrupted by its timeout."""


class _Added(NamedTuple):
    hook: Hook
    limit: Callable[[], float]
    """The timeout of the hook in seconds."""
    bounds_itself: bool
    """Whether the hook limits its time itself, and must not be interrupted."""
    kind: str
    """What it is, for metrics."""


class Hooks:
    """The hooks of one node. `timeout` returns the timeout of a hook in seconds; `call` calls each of them.

    The calls are counted in `breakdowns`, and what hooks refuse is logged by `refusals`.
    """

    def __init__(
        self, timeout: Callable[[], float], call: CallHook, breakdowns: Breakdowns, refusals: Refusals
    ) -> None:
        self._breakdowns = breakdowns
        self._refusals = refusals
        self._call_hook = call
        self._timeout = timeout
        self._added: dict[str, list[_Added]] = {}
        self.count = 0
        """The number of hooks."""
        self._waiting: deque[Context] = deque()
        self._pool = Pool(CONCURRENT_NOTIFICATIONS)
        self._notifying = 0
        self._failures = ThrottledLog(log, max_keys=MAX_LOGGED_FAILURES)
        self.is_sealed = False
        """Whether the node has started, and no more hooks are accepted."""

    def add(self, event: str, hook: Hook, limit: Callable[[], float] | None = None, kind: str = FUNCTION) -> None:
        """Call `hook` for `event`, after earlier hooks; `limit` is the timeout of a hook that applies a timeout itself.

        Its calls are counted by `kind`.

        Raises RuntimeError if the node has started, and TypeError if `hook` is not a plain function.
        """
        check_hook(event, hook)
        if self.is_sealed:
            raise RuntimeError(f"cannot add hook {name_of(hook)} for {event}: the server has already started")
        self._added.setdefault(event, []).append(_Added(hook, limit or self._timeout, limit is not None, kind))
        self.count += 1

    def seal(self) -> None:
        """Refuse further hooks, because the node starts."""
        self.is_sealed = True

    def __bool__(self) -> bool:
        return bool(self._added)

    def has(self, *events: str) -> bool:
        """Return whether there is a hook for at least one of these events."""
        return bool(self._added) and not self._added.keys().isdisjoint(events)

    def max_timeout(self, *events: str) -> float:
        """Return the maximum total seconds that the hooks of one of these events may take."""
        return max(sum(added.limit() for added in self._added.get(event, ())) for event in events)

    # -- ask: the hook decides

    def ask(self, context: Context, info: bytes = b"", data: bytes = b"") -> Outcome:
        """Call the hooks of an event, which may change the context. Raises Refused if a hook refuses or fails.

        Raises Closing if a hook disconnects the client.

        `info` and `data` are the JSON from which those of the context were decoded. They are kept byte for byte unless
        a hook changes the values, because Python does not distinguish 1e3 from 1000.0.
        """
        with self._refuse_invalid_values(context):
            before = _encode_values(context)
        for added in self._added.get(context.event, ()):
            if self._answer(added, context) is False:
                self._note_refusal(added, context, PERMISSION_DENIED.text)
                raise Refused(PERMISSION_DENIED)
        with self._refuse_invalid_values(context):
            user = None if context.user is None else user_id(context.user)
            after = _encode_values(context)
            context.channels = _channel_names(context.channels)
        return Outcome(
            user,
            _original_if_unchanged(info, before.info, after.info),
            _original_if_unchanged(data, before.data, after.data),
        )

    def answer(self, context: Context, event: str) -> object:
        """Return the result of the first hook of `event`. Raises Refused, Closing, and KeyError if there is no hook."""
        return self._answer(self._added[event][0], context)

    def _answer(self, added: _Added, context: Context) -> object:
        """Call one hook and return its result. Raises Refused and Closing."""
        try:
            return self._call(added, context)
        except Refuse as refuse:
            reason = refuse.reason or PERMISSION_DENIED.text
            self._note_refusal(added, context, reason)
            raise Refused(Error(reason, FIX)) from None
        except RPCError as error:
            self._note_refusal(added, context, error.message)
            raise Refused(Error(error.message, RETRY if error.temporary else FIX, error.code)) from None
        except DisconnectClient as disconnect:
            self._note_refusal(added, context, disconnect.reason, "disconnected")
            if context.request is not None:  # a page asks: there is no connection to close
                raise Refused(Error(disconnect.reason or PERMISSION_DENIED.text, FIX)) from None
            raise Closing(disconnect_of(disconnect.code, disconnect.reason)) from None
        except BaseException as error:
            self._note_failure(added, context, error)
            raise Refused(INTERNAL_ERROR.advise(RETRY)) from None

    @contextmanager
    def _refuse_invalid_values(self, context: Context) -> Iterator[None]:
        """Log and raise Refused if values of the context cannot be encoded in the `with` block."""
        try:
            yield
        except (TypeError, ValueError, RecursionError) as error:
            message = "hooks for %s have set invalid values: %s"
            self._failures.log(f"{context.event} {kind_of(str(error))}", message, context.event, error)
            raise Refused(INTERNAL_ERROR.advise(RETRY)) from None

    # -- notify: it has happened

    def notify(self, context: Context) -> bool:
        """Call the hooks of an event. Returns False if one of them could not deliver it."""
        self._notifying += 1
        try:
            delivered = [self._deliver(added, context) for added in self._added.get(context.event, ())]
            return all(delivered)  # of the list, so that every hook has been called
        finally:
            self._notifying -= 1

    def _deliver(self, added: _Added, context: Context) -> bool:
        try:
            self._call(added, context)
        except BaseException as error:
            self._note_failure(added, context, error)
            return not isinstance(error, Undelivered)
        return True

    def notify_later(self, context: Context) -> None:
        """Call the hooks in a greenlet, later if CONCURRENT_NOTIFICATIONS greenlets are busy. Does not block.

        The event is discarded if MAX_WAITING_NOTIFICATIONS wait already.
        """
        if len(self._waiting) >= MAX_WAITING_NOTIFICATIONS:
            message = "discarding events for hooks (%s): %d events wait already, because hooks are too slow"
            self._failures.log("waiting", message, context.event, len(self._waiting))
        elif context.event in self._added:
            self._waiting.append(context)
            if self._pool.free_count() > 0:
                self._pool.spawn(self._notify_waiting)

    def _notify_waiting(self) -> None:
        while self._waiting:
            self.notify(self._waiting.popleft())

    @property
    def running(self) -> int:
        """The number of events whose hooks are running or waiting."""
        return self._notifying + len(self._waiting)

    def finish(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the greenlets of `notify_later`, and stop the rest."""
        if not self._pool.join(timeout):
            log.warning("shutdown timeout: hooks of %d events not finished within %g s", self.running, timeout)
        self._waiting.clear()
        self._pool.kill()

    # -- one hook

    def _call(self, added: _Added, context: Context) -> object:
        """Call one hook, and count the call. Raises the exceptions of the hook, and _HookTimeout."""
        calls = self._breakdowns.hooks[HookKind(added.kind, context.event.removesuffix(" proxy"))]
        started = time.perf_counter()
        try:
            return self._call_in_time(added, context)
        except (Refuse, RPCError, DisconnectClient, *ENDING):
            raise
        except BaseException:
            calls.failures += 1
            raise
        finally:
            calls.durations.observe(time.perf_counter() - started)

    def _call_in_time(self, added: _Added, context: Context) -> object:
        timeout = gevent.Timeout()  # an `except Exception` in the hook does not catch it when the limit raises it
        try:
            if added.bounds_itself:
                return self._call_hook(added.hook, context)
            with TimeLimit(added.limit(), timeout):
                return self._call_hook(added.hook, context)
        except gevent.Timeout as error:
            if error is timeout:
                raise _HookTimeout from None
            raise

    def _note_refusal(self, added: _Added, context: Context, reason: str, decision: str = "refused") -> None:
        """Log that a hook has refused something. Not for calls (rpc), whose errors are answers of the application."""
        if context.event != RPC:
            self._refusals.note_hook(context, name_of(added.hook), decision, reason)

    def _note_failure(self, added: _Added, context: Context, error: BaseException) -> None:
        """Log the failure of a hook. Raises `error` again if the hook did not cause it."""
        what = f"hook {name_of(added.hook)} ({context.event})"
        if isinstance(error, ENDING) or _is_timeout_of_view(error, context):
            raise error
        if isinstance(error, _HookTimeout):
            self._failures.log(f"{what} timeout", "%s: timeout after %g s (option hook_timeout)", what, added.limit())
        elif isinstance(error, Undelivered):
            self._failures.log(f"{what} {kind_of(str(error))}", "%s failed: %s", what, error)
        elif isinstance(error, (Refuse, RPCError, DisconnectClient)):
            self._failures.log(f"{what} refused", "%s: the hook refused, but this event cannot be refused", what)
        else:
            self._failures.log(f"{what} {place_of(error)}", "%s failed", what, error=error)


def rpc_event(method: str) -> str:
    """Return the event for calls of one method. The event RPC is for all methods without an event of their own."""
    return f"{RPC} {method}"


def check_hook(event: str, hook: object) -> None:
    """Raise TypeError if `hook` is not callable, or is an `async def`.

    The coroutine of an `async def` would never be awaited, so it could not refuse anything.
    """
    if not callable(hook):
        raise TypeError(f"a hook for {event} must be a function, not {type(hook).__name__}")
    if inspect.iscoroutinefunction(hook):
        raise TypeError(f"hook {name_of(hook)} for {event} is a coroutine; hooks are plain functions, which may block")


class _Encoded(NamedTuple):
    """The values of a context as JSON; empty for none."""

    info: bytes
    data: bytes


def _encode_values(context: Context) -> _Encoded:
    """Encode the values of a context. Raises TypeError, ValueError or RecursionError if they cannot be JSON."""
    info = b"" if context.info is None else msgspec.json.encode(context.info)
    return _Encoded(info, msgspec.json.encode(context.data) if context.event == PUBLISH else b"")


def _channel_names(channels: object) -> tuple[str, ...]:
    """Check names of channels and remove duplicates. Raises TypeError and ValueError for invalid ones."""
    if isinstance(channels, str) or not isinstance(channels, Collection):
        raise TypeError(f"channels is {channels!r}; expected a list of names")
    names = tuple(dict.fromkeys(channels))
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"channels is {channels!r}; expected a list of names")
    return names


def _original_if_unchanged(sent: bytes, before: bytes, after: bytes) -> bytes:
    """Return the original JSON if its value is unchanged, otherwise the new JSON."""
    return sent if sent and before == after else after


def _is_timeout_of_view(error: BaseException, context: Context) -> bool:
    """Return whether a timeout was set outside the hook, by the view that calls the hook or by the application.

    A timeout that the hook has set itself is closed, or at least cancelled, when the hook ends. Outside of views, only
    the hook sets timeouts.
    """
    never_began = gevent.Timeout().timer  # what a closed one has, too
    return isinstance(error, gevent.Timeout) and context.request is not None and error.timer is not never_began


def _make_encodable(text: str) -> str:
    """Make a text encodable as UTF-8: halves of surrogate pairs are joined, or become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def call_directly(hook: Hook, context: Context) -> object:
    """Call a hook without any context around it."""
    return hook(context)


def name_of(hook: Hook) -> str:
    """Return the name of a hook for the log and for errors."""
    return getattr(hook, "__qualname__", None) or str(hook)
