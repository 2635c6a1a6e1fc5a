"""The options for backends that answer over HTTP as those of Centrifugo's proxy. Specification: docs/rpc.md."""

from __future__ import annotations

from dataclasses import dataclass

from .options import option, url_or_empty
from .token_options import TokenOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions(TokenOptions):
    """URLs of backends, in addition to the options of channels, clients and tokens."""

    proxy_rpc_endpoint: str = option(
        "",
        "URL of the backend that answers `rpc` calls that no handler answers.",
        check=url_or_empty,
    )
    proxy_publish_endpoint: str = option(
        "", "URL of the backend that decides about publications of clients.", check=url_or_empty
    )
    proxy_disconnect_endpoint: str = option(
        "", "URL of the backend that is notified when the connection of a client has ended.", check=url_or_empty
    )
    proxy_channel_state_endpoint: str = option(
        "",
        "URL of the backend that is notified when a channel gets its first or loses its last subscriber.",
        check=url_or_empty,
    )

    @property
    def has_proxies(self) -> bool:
        """Whether a backend is to be asked."""
        return bool(
            self.proxy_rpc_endpoint
            or self.proxy_publish_endpoint
            or self.proxy_disconnect_endpoint
            or self.proxy_channel_state_endpoint
        )
