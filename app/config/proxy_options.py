"""The options for backends that use the format of Centrifugo's HTTP proxy. Specification: docs/proxy.md."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .options import SECONDS, option, url_or_empty
from .token_options import TokenOptions


def _timeout(event: str) -> float:
    """Return the option with the timeout of the backend for one event."""
    return option(0, f"Maximum time for the response of the backend to {event}; 0 uses `hook_timeout`.", unit=SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions(TokenOptions):
    """URLs of backends, in addition to the options of channels, clients and tokens."""

    proxy_connect_endpoint: str = option(
        "", "URL of the backend that authenticates clients without a token.", check=url_or_empty
    )
    proxy_connect_timeout: float = _timeout("a connect")
    proxy_refresh_endpoint: str = option(
        "", "URL of the backend that decides whether expired connections are renewed.", check=url_or_empty
    )
    proxy_refresh_timeout: float = _timeout("a refresh")
    proxy_subscribe_endpoint: str = option(
        "",
        "URL of the backend that decides who subscribes to channels with `proxy_subscribe`.",
        check=url_or_empty,
    )
    proxy_subscribe_timeout: float = _timeout("a subscribe")
    proxy_sub_refresh_endpoint: str = option(
        "",
        "URL of the backend that decides whether expired subscriptions are renewed, in channels with "
        "`proxy_sub_refresh`.",
        check=url_or_empty,
    )
    proxy_sub_refresh_timeout: float = _timeout("a refresh of a subscription")
    proxy_publish_endpoint: str = option(
        "",
        "URL of the backend that decides about publications of clients in channels with `proxy_publish`.",
        check=url_or_empty,
    )
    proxy_publish_timeout: float = _timeout("a publish")
    proxy_rpc_endpoint: str = option(
        "",
        "URL of the backend that answers `rpc` calls that no handler answers.",
        check=url_or_empty,
    )
    proxy_rpc_timeout: float = _timeout("an `rpc`")
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
        """Whether any backend is configured with these options."""
        names = (each.name for each in fields(self))
        return any(getattr(self, name) for name in names if name.startswith("proxy_") and name.endswith("_endpoint"))
