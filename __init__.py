"""Gentrifugo: a real-time messaging server for Python shops.

The public face stays lazy: importing it imports nothing that gevent has to
patch first, so `import gentrifugo` is safe anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app.wsgi import create_app

__all__ = ["__version__", "create_app"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from .app.wsgi import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
