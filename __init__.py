"""Gentrifugo: a real-time messaging server for Python shops.

The public face stays lazy: importing it imports nothing that gevent has to
patch first, so `import gentrifugo` is safe anywhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app.backend import CommandError
    from .app.extension import Gentrifugo
    from .app.hooks import Context, Refuse
    from .app.publisher import Publisher, publisher
    from .app.wsgi import create_app

__all__ = ["CommandError", "Context", "Gentrifugo", "Publisher", "Refuse", "__version__", "create_app", "publisher"]

__version__ = "0.1.0"


_HOMES = {
    "CommandError": ".app.backend",
    "Context": ".app.hooks",
    "Gentrifugo": ".app.extension",
    "Publisher": ".app.publisher",
    "Refuse": ".app.hooks",
    "create_app": ".app.wsgi",
    "publisher": ".app.publisher",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
