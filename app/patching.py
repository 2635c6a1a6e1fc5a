"""Whether gevent has patched the standard library: a server in an application cannot run where it has not."""

from __future__ import annotations

from gevent import monkey

HOW = "run `gentrifugo --app module:name`, or gunicorn with a gevent worker"
REASON = f"Gentrifugo cannot run here: gevent has not patched this process. Instead, {HOW}."


def is_patched() -> bool:
    """Whether blocking code of the application lets others run."""
    return bool(monkey.is_module_patched("socket"))


def check_patched() -> None:
    """Raises RuntimeError that says what to do, unless the process is patched."""
    if not is_patched():
        raise RuntimeError(REASON)
