"""What can be set of a SockJS endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from ..http.client_address import TrustedProxies
from ..http.origins import ANYWHERE, Origins
from ..websocket.compression import Compression

SOCKJS_URL = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"


NOBODY = TrustedProxies("")


@dataclass(frozen=True)
class Options:
    """Times in seconds, sizes in bytes."""

    websocket: bool = True
    """Whether the WebSocket transports are offered."""
    cookie: bool = False
    """Whether session URLs set the cookie JSESSIONID, by which some balancers keep a client on one server."""
    sockjs_url: str = SOCKJS_URL
    """Where the iframe page finds the SockJS client."""
    response_limit: int = 128 * 1024
    """A streaming response ends after so much, for the browser to free its memory; the client opens the next."""
    heartbeat_delay: float = 25
    """A receiver that has heard nothing for so long is sent a heartbeat; 0 sends none."""
    disconnect_delay: float = 5
    """A session that nobody reads for so long is over; a closed one is remembered for so long."""
    max_size: int = 131072
    """The largest request of a client: the body of a POST, a message over a WebSocket."""
    too_large: tuple[int, str] = (1009, "message too big")
    """Code and reason that a session is closed with whose client sent more than that."""
    body_timeout: float = 10
    """How long each 64 KB of a body may take to arrive."""
    client_queue_max_size: int = 10485760
    """What may wait for one client."""
    client_message_write_timeout: float = 0
    """How long one write to a client may take; 0 is no limit."""
    ping_interval: float = 25
    """How often a WebSocket is pinged; 0 is never."""
    compression: Compression | None = None
    """How the WebSockets of those who speak no SockJS are compressed, if they are."""
    origins: Origins = ANYWHERE
    """Whose pages may connect."""
    proxies: TrustedProxies = NOBODY
    """Who may say whose request it is."""
    remembers_requests: bool = False
    """Whether clients are to be known by the request that opened their connection."""
