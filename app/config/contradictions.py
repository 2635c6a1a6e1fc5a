"""Warnings about options that contradict each other, so that one of them does not do what it says."""

from __future__ import annotations

from collections.abc import Iterator

from .config import Config
from .endpoints import own_ports
from .options import options_of

END_TIME = 1.0
"""Seconds at the end of shutdown_timeout in which the server stops the rest, after the connections."""


def closing_time(shutdown_timeout: float) -> float:
    """Return the part of option shutdown_timeout in which connections are closed: all except the last second.

    Of a timeout below two seconds it is the half.
    """
    return shutdown_timeout - min(END_TIME, shutdown_timeout / 2)


def contradiction_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about options of which one keeps another from its effect."""
    if _is_set(config, "client_pong_timeout") and 0 < config.ping_interval < config.client_pong_timeout:
        yield (
            f"option client_pong_timeout should not exceed ping_interval: {config.client_pong_timeout:g} s count as "
            f"{config.ping_interval:g} s"
        )
    yield from own_server_warnings(config)


def own_server_warnings(config: Config) -> Iterator[str]:
    """Yield those of the warnings that do not hold if another server, such as gunicorn, listens and stops."""
    closing = closing_time(config.shutdown_timeout)
    if closing < config.drain_time:
        yield (
            f"option shutdown_timeout: {config.shutdown_timeout:g} s leave {closing:g} s for closing connections, less "
            f"than drain_time ({config.drain_time:g} s): the last of many clients would not be told to reconnect"
        )
    yield from _listener_warnings(config)


def _listener_warnings(config: Config) -> Iterator[str]:
    if not config.unix_socket:
        return
    names = ["port"] if own_ports(config) else ["address", "port"]  # the other ports are bound to the address
    # Whoever sets port 0 expects no port in particular.
    unused = [name for name in names if _is_set(config, name) and getattr(config, name)]
    if unused:
        yield f"{_subject_of(unused)} no effect with unix_socket: the server listens at {config.unix_socket} instead"


def _is_set(config: Config, name: str) -> bool:
    """Return whether an option has another value than its default."""
    (default,) = (declared.default for declared in options_of(Config) if declared.name == name)
    return bool(getattr(config, name) != default)


def _subject_of(names: list[str]) -> str:
    return f"option {names[0]} has" if len(names) == 1 else f"options {' and '.join(names)} have"
