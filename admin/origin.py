"""Where a browser's request comes from: other sites may not use what an operator is logged in to."""

from __future__ import annotations

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_own(origin: str | None, host: str) -> bool:
    """Whether a request to `host` comes from a page of the same host and port, or from no browser at all.

    The scheme does not count: behind a proxy that ends TLS the server cannot know it.
    """
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        default = DEFAULT_PORTS.get(parts.scheme)
        own = urlsplit(f"//{host}")
        if default is None or not parts.hostname or parts.username is not None:
            return False
        return (parts.hostname, parts.port or default) == (own.hostname, own.port or default)
    except ValueError:  # a port that is none
        return False
