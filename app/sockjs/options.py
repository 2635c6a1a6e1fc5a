"""The options of a SockJS endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from ..http.client_address import TrustedProxies
from ..http.origins import ANYWHERE, Origins
from ..websocket.compression import Compression

SOCKJS_URL = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"
SOCKJS_INTEGRITY = "sha384-svdnwiXBL+Js+yUneJSRFy24NgGiOfDM/vkQl/vCeVrcbYD6yW8EwPr1FnxTEZsR"
"""The hash of the script at SOCKJS_URL. Browsers do not run a script with another hash."""

NOBODY = TrustedProxies("")


@dataclass(frozen=True)
class SockJSOptions:
    """Options of an endpoint; times in seconds, sizes in bytes."""

    websocket: bool = True
    """Whether the WebSocket transports are offered."""
    cookie: bool = False
    """Whether session URLs set the cookie JSESSIONID, with which some load balancers keep a client on one server."""
    sockjs_url: str = SOCKJS_URL
    """The URL from which the iframe page loads the SockJS client."""
    sockjs_integrity: str = SOCKJS_INTEGRITY
    """The allowed hashes of the SockJS client at this URL (Subresource Integrity); empty allows any script."""
    iframe: bool = True
    """Whether the iframe page is served. Scripts of other pages can make requests through it with its origin."""
    iframe_ancestors: str = ""
    """The pages that may contain the iframe page, as a Content-Security-Policy lists them; empty for all pages."""
    iframe_may_change: bool = False
    """Whether browsers must check each time if the iframe page has changed, instead of caching it for a year."""
    response_limit: int = 128 * 1024
    """Maximum size of a streaming response, so that the browser can free its memory; the client opens the next one."""
    heartbeat_delay: float = 25
    """Seconds without data for a client after which a heartbeat is sent; 0 disables heartbeats."""
    disconnect_delay: float = 5
    """Seconds without a receiving request after which a session ends; a closed session is kept as long."""
    max_size: int = 131072
    """Maximum size of a request of a client: of the body of a POST, or of a message over a WebSocket."""
    body_timeout: float = 10
    """Timeout for a request body, in addition to the time for its size (net/read_allowance.py)."""
    client_queue_max_size: int = 10485760
    """Maximum bytes that may wait to be sent to one client."""
    client_message_write_timeout: float = 0
    """Timeout of one write to a client; 0 for none."""
    ping_interval: float = 25
    """Interval between pings over a WebSocket; 0 disables pings."""
    compression: Compression | None = None
    """The compression of raw WebSockets; None for no compression."""
    origins: Origins = ANYWHERE
    """The origins whose pages may connect."""
    proxies: TrustedProxies = NOBODY
    """The proxies that may report the address of a client."""
    remembers_requests: bool = False
    """Whether the headers of the request that opened a connection are stored for its peer, and bind its session."""
