"""Calls hooks and backends for clients of protocol version 1, and converts their decisions for this version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...model.errors import RETRY, Closing, Disconnect, Refused
from ...model.json_codec import decode_embedded
from ...node.hooks import PUBLISH, SUBSCRIBE, Context, Hooks
from ...node.node import Node
from ...node.proxy_events import ConnectContext, ask_connection, ask_publication, ask_subscription

MakeContext: TypeAlias = Callable[[str, str], Context]
"""Creates the context of a hook for an event and a channel of a client."""


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


def approved_data(node: Node, channel: str, data: bytes, context: MakeContext) -> bytes | None:
    """Return the data to publish after hooks and a backend have allowed it; None if there are no hooks.

    May block. Raises Refused and Closing.
    """
    is_hooked, is_proxied = node.hooks.has(PUBLISH), node.rules.options(channel).proxy_publish
    if is_hooked:
        asked = context(PUBLISH, channel)
        asked.data = decode_embedded(data)
        data = node.hooks.ask(asked, data=data).data
    if is_proxied:
        data = ask_publication(node.hooks, context(PUBLISH, channel), data)
    return data if is_hooked or is_proxied else None
