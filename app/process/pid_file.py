"""Writes and removes the file with the process ID (option pid_file)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..config.options import ConfigError


@contextlib.contextmanager
def pid_file(path: str) -> Iterator[None]:
    """Create the PID file, and remove it at the end of the `with` block. Does nothing when `path` is empty.

    The file stays if another process has replaced it. Raises ConfigError if the file cannot be written.
    """
    if not path:
        yield
        return
    text = f"{os.getpid()}\n"
    try:
        Path(path).write_text(text, encoding="ascii")
    except OSError as error:
        raise ConfigError([f"pid_file: cannot write {path}: {error.strerror}"]) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if Path(path).read_text(encoding="ascii") == text:
                Path(path).unlink()
