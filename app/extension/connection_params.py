"""The parameters with which a page connects: the address of the server, and the credentials of a user."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import request

from ..http.outer_address import outer_root
from ..model import signing
from ..model.events import user_id
from ..node.hooks import CONNECT
from ..node.proxy_events import CONNECT_PROXY
from ..service import Service


def connection_params(service: Service, user: str | int | None, info: Any) -> dict[str, Any]:
    """Return the parameters of centrifuge-js for a page of the current request. See `Gentrifugo.connection_params`."""
    config = service.config
    # This contains the path at which a proxy or a larger application serves the site. Clients add the transport's path.
    url = outer_root(request.environ, service.proxies) + config.http_prefix
    if user is None:
        if not service.node.hooks.has(CONNECT, CONNECT_PROXY):
            raise TypeError("connection_params: user is required unless an on_connect hook is registered")
        return {"url": url, "insecure": True}  # otherwise centrifuge-js does not connect without a token
    encoded = "" if info is None else json.dumps(info)
    return {"url": url, **signing.credentials(config.secret, user_id(user), int(time.time()), encoded)}
