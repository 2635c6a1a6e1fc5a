"""The options of a SockJS endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from ..http.client_address import TrustedProxies
from ..http.origins import ANYWHERE, Origins
from ..websocket.compression import Compression

SOCKJS_URL = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"
SOCKJS_INTEGRITY = "sha384-svdnwiXBL+Js+yUneJSRFy24NgGiOfDM/vkQl/vCeVrcbYD6yW8EwPr1FnxTEZsR"
"""The hash of what is at SOCKJS_URL: a browser runs nothing else."""

NOBODY = TrustedProxies("")


@dataclass(frozen=True)
class SockJSOptions:
    """Times in seconds, sizes in bytes."""

    websocket: bool = True
    """Whether the WebSocket transports are offered."""
    cookie: bool = False
    """Whether session URLs set the cookie JSESSIONID, by which some balancers keep a client on one server."""
    sockjs_url: str = SOCKJS_URL
    """Where the iframe page finds the SockJS client."""
    sockjs_integrity: str = SOCKJS_INTEGRITY
    """The hashes that the SockJS client must have there (Subresource Integrity); empty when it may be anything."""
    iframe: bool = True
    """Whether the iframe page is served. Scripts of other pages can make requests through it with its origin."""
    iframe_ancestors: str = ""
    """The pages that may contain the iframe page, as a Content-Security-Policy lists them; empty for all pages."""
    iframe_may_change: bool = False
    """Whether browsers must ask each time if the iframe page is still the same, instead of keeping it for a year."""
    response_limit: int = 128 * 1024
    """A streaming response ends after so much, for the browser to free its memory; the client opens the next."""
    heartbeat_delay: float = 25
    """A client to which nothing was sent for this time gets a heartbeat; 0 sends none."""
    disconnect_delay: float = 5
    """A session that no request reads for this time ends; a closed session is kept for this time."""
    max_size: int = 131072
    """The largest request of a client: the body of a POST, a message over a WebSocket."""
    too_large: tuple[int, str] = (1009, "message too big")
    """Code and reason with which a session is closed when its client sends more than `max_size`."""
    body_timeout: float = 10
    """How long a body may take to arrive, besides the time that its size needs (net/read_allowance.py)."""
    client_queue_max_size: int = 10485760
    """How many bytes may wait for one client."""
    client_message_write_timeout: float = 0
    """How long one write to a client may take; 0 is no limit."""
    ping_interval: float = 25
    """How often a WebSocket is pinged; 0 is never."""
    compression: Compression | None = None
    """How raw WebSockets are compressed; None when they are not."""
    origins: Origins = ANYWHERE
    """The origins whose pages may connect."""
    proxies: TrustedProxies = NOBODY
    """The proxies that may name the address of a client."""
    remembers_requests: bool = False
    """Whether the request that opened a connection is kept for its peer."""
