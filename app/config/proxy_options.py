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
