"""The decorators with which an application registers its hooks (docs/hooks.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from ..node import hooks
from ..node.hooks import Hook, name_of, rpc_event
from .rpc_handlers import Handler, handler_hook, own_signature

F = TypeVar("F", bound=Hook)
H = TypeVar("H", bound=Handler)


def decorator_name(event: str) -> str:
    """Return the name of the decorator that adds hooks for an event, for errors."""
    return event if event.startswith(f"{hooks.RPC} ") else f"on_{event}"


def _check_parameters(event: str, hook: Hook) -> None:
    try:
        signature = own_signature(hook)
    except (TypeError, ValueError):
        return  # some callables that are written in C have no signature
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(f"hook {name_of(hook)} ({decorator_name(event)}) must take one argument: the context") from None


class HookDecorators(ABC):
    """Decorators for functions with one parameter, a `Context`. A hook refuses by returning False or raising Refuse.

    Each raises RuntimeError if a server of the extension has started, and TypeError for an `async def`, for objects
    that are not callable and for functions that cannot be called with a context alone.
    """

    def on_connect(self, hook: F) -> F:
        """Call `hook` to decide whether a client may connect; the hook may set the context's `user` and `info`."""
        return self._register(hooks.CONNECT, hook)

    def on_subscribe(self, hook: F) -> F:
        """Call `hook` to decide whether a client may subscribe, if channel name, options and signature allow it."""
        return self._register(hooks.SUBSCRIBE, hook)

    def on_private_subscribe(self, hook: F) -> F:
        """Call `hook` to decide whether a page receives the signature of a private channel (option auth_endpoint)."""
        return self._register(hooks.PRIVATE_SUBSCRIBE, hook)

    def on_publish(self, hook: F) -> F:
        """Call `hook` to decide whether a client may publish the context's `data`, which the hook may change."""
        return self._register(hooks.PUBLISH, hook)

    def on_refresh(self, hook: F) -> F:
        """Call `hook` to decide whether to renew credentials of a client, or of a page (option refresh_endpoint)."""
        return self._register(hooks.REFRESH, hook)

    def on_disconnect(self, hook: F) -> F:
        """Call `hook` when the connection of a client has ended."""
        return self._register(hooks.DISCONNECT, hook)

    def on_channel_occupied(self, hook: F) -> F:
        """Call `hook` when a channel has its first subscriber, counted over all nodes."""
        return self._register(hooks.OCCUPIED, hook)

    def on_channel_vacated(self, hook: F) -> F:
        """Call `hook` when a channel has lost its last subscriber, counted over all nodes."""
        return self._register(hooks.VACATED, hook)

    def rpc(self, method: str) -> Callable[[H], H]:
        """Answer the calls of `method` (`rpc` of client libraries) with the decorated function.

        The function takes the context and the decoded data, and returns anything that JSON can express. It can raise
        RPCError to send an error, and DisconnectClient to close the connection. Data that does not fit its type hint is
        refused. Raises TypeError for a method that is not a string and for a function with other parameters, ValueError
        if the method already has a handler, and RuntimeError if a server of the extension has started.
        """
        if not isinstance(method, str) or not method:
            raise TypeError('rpc: expected the name of a method, as in @realtime.rpc("add")')

        def decorate(handler: H) -> H:
            self._set_handler(rpc_event(method), handler)
            return handler

        return decorate

    def on_message(self, handler: H) -> H:
        """Call `handler` with the context and the decoded data of each message that a client sends without a reply.

        Without a handler, such a message closes the connection. Raises ValueError if there is a handler already, and
        TypeError and RuntimeError like `rpc`.
        """
        self._set_handler(hooks.MESSAGE, handler)
        return handler

    def _set_handler(self, event: str, handler: Handler) -> None:
        if self._has_hook(event):
            raise ValueError(f"{event} has a handler already")
        self._add_hook(event, handler_hook(event, handler))

    def _register(self, event: str, hook: F) -> F:
        hooks.check_hook(event, hook)
        _check_parameters(event, hook)
        self._add_hook(event, hook)
        return hook

    @abstractmethod
    def _has_hook(self, event: str) -> bool:
        """Return whether a hook for `event` was added."""

    @abstractmethod
    def _add_hook(self, event: str, hook: Hook) -> None:
        """Call `hook` for `event` in every application. Raises RuntimeError if a server has started."""
