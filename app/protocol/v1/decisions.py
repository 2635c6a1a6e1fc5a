"""Calls hooks and backends for clients of protocol version 1, and converts their decisions for this version."""

from __future__ import annotations

from ...model.errors import RETRY, Closing, Disconnect, Refused
from ...node.hooks import SUBSCRIBE, Context, Hooks
from ...node.node import Node
from ...node.proxy_events import ConnectContext, MakeContext, ask_connection, ask_subscription


def identify_with_backend(hooks: Hooks, context: ConnectContext) -> tuple[str | None, bytes]:
    """Return user and info that a backend gives to a client without a token; None and no info if it gives no user.

    May block. Raises Closing if the backend refuses or fails.
    """
    try:
        allowed = ask_connection(hooks, context)
    except Refused as refused:
        raise _closing(refused) from None
    return (None, b"") if allowed is None else (allowed.user, allowed.info)


def identify_with_hooks(hooks: Hooks, context: Context, info: bytes) -> tuple[str | None, bytes]:
    """Return user and info that the hooks have set; None if they set no user.

    May block; raises Closing if a hook refuses.
    """
    try:
        outcome = hooks.ask(context, info=info)
    except Refused as refused:
        raise _closing(refused) from None
    return outcome.user, outcome.info


def _closing(refused: Refused) -> Closing:
    return Closing(Disconnect(refused.error.text, refused.error.advice == RETRY))


def check_subscribe(node: Node, channel: str, context: MakeContext) -> None:
    """Raise Refused or Closing if a hook or a backend refuses a subscription. May block."""
    if node.hooks.has(SUBSCRIBE):
        node.hooks.ask(context(SUBSCRIBE, channel))
    if node.rules.asks_backend(channel):
        ask_subscription(node.hooks, context(SUBSCRIBE, channel))
