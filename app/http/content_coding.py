"""Which content codings a client accepts (RFC 9110 12.5.3)."""

from __future__ import annotations

from functools import lru_cache

MAX_CACHED_HEADERS = 64
"""Number of values of the header whose result is cached; clients send only a few different values."""


@lru_cache(MAX_CACHED_HEADERS)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the value of Accept-Encoding allows gzip. Clients that do not name it may not know it."""
    for coding in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name in ("gzip", "x-gzip"):
            return not any(_is_zero(parameter) for parameter in parameters)
    return False


def _is_zero(parameter: str) -> bool:
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and not weight.strip().strip("0.")
