"""Whether gevent has patched the standard library: a server in an application cannot run where it has not."""

from __future__ import annotations

from gevent import monkey

HOW = "run `gentrifugo --app module:name`, or gunicorn with a gevent worker"
REASON = f"Gentrifugo cannot run here: gevent has not patched this process. Instead, {HOW}."
"""What is said where it is needed."""


def is_patched() -> bool:
    """Whether blocking code of the application lets others run."""
    return bool(monkey.is_module_patched("socket"))
