"""Gentrifugo: a real-time messaging server for Python shops.

The public face stays lazy: importing it imports nothing that gevent has to
patch first, so `import gentrifugo` is safe anywhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._version import __version__
    from .app.extension.backend import CommandError
    from .app.extension.extension import Gentrifugo
    from .app.extension.publisher import Publisher, publisher
    from .app.extension.wsgi import create_app
    from .app.node.hooks import Context, Refuse

__all__ = ["CommandError", "Context", "Gentrifugo", "Publisher", "Refuse", "__version__", "create_app", "publisher"]

_HOMES = {
    "__version__": "._version",
    "CommandError": ".app.extension.backend",
    "Context": ".app.node.hooks",
    "Gentrifugo": ".app.extension.extension",
    "Publisher": ".app.extension.publisher",
    "Refuse": ".app.node.hooks",
    "create_app": ".app.extension.wsgi",
    "publisher": ".app.extension.publisher",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
