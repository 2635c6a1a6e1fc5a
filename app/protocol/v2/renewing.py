"""Renews expired connections and subscriptions by a request to a backend, instead of waiting for a token of the client.

The client is not notified of the expiry, and sends nothing. Specification: docs/proxy.md.
"""

from __future__ import annotations

import time

from ...model.errors import Closing, Refused
from ...node import hooks
from ...node.hooks import Context
from ...node.proxy_events import REFRESH_PROXY, SUB_REFRESH, SUB_REFRESH_PROXY, Renewal, ask_renewal
from .errors import disconnect_of
from .served_client import ServedClient

RETRY_DELAY = 60
"""Seconds until the backend is asked again after a failed request. Until then, nothing expires."""


def renew_connection(client: ServedClient) -> bool:
    """Request the decision of a backend about an expired connection. Returns False if it must be closed as expired.

    May block. Returns False at once if no backend renews connections.
    """
    if not client.node.hooks.has(REFRESH_PROXY):
        return False
    renewal = _ask(client, client.context(hooks.REFRESH), REFRESH_PROXY)
    if client.closed:
        return True
    if renewal.is_expired or renewal.expires_at <= time.time():
        return False
    client.default_info = renewal.info or client.default_info
    client.expire_at(renewal.expires_at)
    return True


def renew_subscription(client: ServedClient, channel: str) -> bool:
    """Request the decision of a backend about an expired subscription. Returns False if it must be ended as expired.

    May block. Returns False at once for a subscription that the client renews itself.
    """
    subscription = client.subscriptions.channels.get(channel)
    if subscription is None or not subscription.is_renewed_by_backend:
        return False
    renewal = _ask(client, client.context(SUB_REFRESH, channel), SUB_REFRESH_PROXY)
    if client.closed or client.subscriptions.channels.get(channel) is not subscription:
        return True
    if renewal.is_expired or 0 < renewal.expires_at <= time.time():
        return False
    subscription.info = renewal.info or subscription.info
    client.subscriptions.expire_at(channel, renewal.expires_at)
    return True


def _ask(client: ServedClient, context: Context, event: str) -> Renewal:
    """Return the decision of the backend. Closes the connection if the backend disconnects the client."""
    try:
        return ask_renewal(client.node.hooks, context, event)
    except Closing as closing:
        client.disconnect(disconnect_of(closing.disconnect))
        return Renewal(is_expired=True)
    except Refused as refused:
        if refused.error.backend_code:
            return Renewal(is_expired=True)
        return Renewal(expires_at=time.time() + RETRY_DELAY)
