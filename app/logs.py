"""Where the log goes, and what is in it."""

from __future__ import annotations

import logging
import sys

from .config import Config

TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}
FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

root = logging.getLogger("gentrifugo")


def configure(config: Config) -> None:
    """Send the log to standard output, or to the file of option log_file.

    Raises OSError when the file cannot be opened.
    """
    handler = logging.FileHandler(config.log_file) if config.log_file else logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(FORMAT, DATE_FORMAT))
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.propagate = False
    set_level(config)


def set_level(config: Config) -> None:
    """Log what option log_level asks for, from now on."""
    root.setLevel(LEVELS[config.log_level])
