"""Gentrifugo: a real-time messaging server. These are its public names.

They are imported when they are first used, because gevent has to patch the standard library before most modules of the
server are imported: `import gentrifugo` alone is safe anywhere.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._version import __version__
    from .app.config.options import ConfigError
    from .app.extension.backend import ClientInfo, CommandError, HistoryList, HistoryMessage
    from .app.extension.extension import Gentrifugo
    from .app.extension.in_process_connection import ConnectionClosed
    from .app.extension.publisher import Publisher, publisher
    from .app.extension.wsgi import create_app
    from .app.model.events import StreamPosition
    from .app.node.hooks import Context, DisconnectClient, Refuse, RPCError
    from .app.process.gunicorn_worker import GentrifugoWorker
    from .client.async_client import AsyncClient
    from .client.client import Client
    from .client.errors import APIError, ClientError, StatusError, TransportError

__all__ = [
    "APIError",
    "AsyncClient",
    "Client",
    "ClientError",
    "ClientInfo",
    "CommandError",
    "ConfigError",
    "ConnectionClosed",
    "Context",
    "DisconnectClient",
    "Gentrifugo",
    "GentrifugoWorker",
    "HistoryList",
    "HistoryMessage",
    "Publisher",
    "RPCError",
    "Refuse",
    "StatusError",
    "StreamPosition",
    "TransportError",
    "__version__",
    "create_app",
    "publisher",
]

_NEEDED = {"AsyncClient": "httpx", "Client": "httpx", "GentrifugoWorker": "gunicorn"}
"""The names that need a package of an extra. Without the package, `from gentrifugo import *` leaves them out."""


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # a module without a specification, such as one that a test has put there
        return True


def _leave_out_missing() -> None:
    for name, package in _NEEDED.items():
        if not _is_installed(package):
            __all__.remove(name)


_leave_out_missing()

_HOMES = {
    "__version__": "._version",
    "APIError": ".client.errors",
    "AsyncClient": ".client.async_client",
    "Client": ".client.client",
    "ClientError": ".client.errors",
    "ClientInfo": ".app.extension.backend",
    "CommandError": ".app.extension.backend",
    "ConfigError": ".app.config.options",
    "ConnectionClosed": ".app.extension.in_process_connection",
    "Context": ".app.node.hooks",
    "DisconnectClient": ".app.node.hooks",
    "Gentrifugo": ".app.extension.extension",
    "GentrifugoWorker": ".app.process.gunicorn_worker",
    "HistoryList": ".app.extension.backend",
    "HistoryMessage": ".app.extension.backend",
    "Publisher": ".app.extension.publisher",
    "RPCError": ".app.node.hooks",
    "Refuse": ".app.node.hooks",
    "StatusError": ".client.errors",
    "StreamPosition": ".app.model.events",
    "TransportError": ".client.errors",
    "create_app": ".app.extension.wsgi",
    "publisher": ".app.extension.publisher",
}
"""The module that defines each name."""
_EXTRAS = {"gunicorn": "gunicorn", "httpx": "client"}
"""The extra that installs each package which only some names need: GentrifugoWorker, and Client and AsyncClient."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(_HOMES[name], __name__)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in _EXTRAS:
            raise
        advice = f"pip install '/path/to/the/clone[{_EXTRAS[package]}]'"
        text = f"gentrifugo.{name} needs {package}, which is not installed: {advice}"
        raise ModuleNotFoundError(text, name=package) from None
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__") and name not in __all__)])
