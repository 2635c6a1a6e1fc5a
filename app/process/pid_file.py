"""The file that holds the process id (option pid_file)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..config.options import ConfigError


@contextlib.contextmanager
def pid_file(path: str) -> Iterator[None]:
    """Hold the pid file while the body runs; nothing happens when `path` is empty. Raises ConfigError.

    At the end it is removed, unless another process has written its own meanwhile.
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
