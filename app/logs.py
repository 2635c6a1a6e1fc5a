"""Where the log goes, and what is in it."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, cast

import msgspec

from .config.config import Config
from .config.loading import Loaded
from .config.options import ConfigError

TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}
FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
FIELDS = ("client", "user", "request", "peer", "method", "target", "status", "size", "took_ms")
"""What a line of the log may say besides its text: set with `extra` where it is known."""

FILE_MODE = 0o640
"""Permissions of a new log file: it names users and addresses, so other users of the machine cannot read it."""

root = logging.getLogger("gentrifugo")


class LogFile(logging.FileHandler):
    """Appends lines to a file. A file that does not exist yet is created with FILE_MODE, less the umask."""

    def _open(self) -> TextIOWrapper:
        """Called by `logging.FileHandler`, and to open the file again. Raises OSError."""
        opened = open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=_open_private)
        return cast(TextIOWrapper, opened)  # the type for any mode is less exact


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


class JSONFormatter(logging.Formatter):
    """One JSON object for each line, for programs to read."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its time in UTC, its fields, and the traceback if there is one."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return msgspec.json.encode(line).decode()


def configure(config: Config) -> None:
    """Send the log to standard output, or to the file of option log_file, as option log_format has it.

    Raises OSError when the file cannot be opened.
    """
    handler = LogFile(config.log_file) if config.log_file else logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONFormatter() if config.log_format == "json" else logging.Formatter(FORMAT, DATE_FORMAT))
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.propagate = False
    set_level(config)


def guarded(loaded: Loaded, run: Callable[[], int]) -> int:
    """Run a server whose log goes where the configuration says; the exit status. Its problems are lines of the log.

    Raises ConfigError for what the log cannot hold.
    """
    try:
        configure(loaded.config)
    except OSError as error:
        raise ConfigError([f"log_file: cannot open {loaded.config.log_file}: {error.strerror}"]) from None
    for warning in loaded.warnings:
        root.warning("%s", warning)
    try:
        return run()
    except ConfigError as error:
        if not root.isEnabledFor(logging.CRITICAL):
            raise
        for problem in error.problems:
            root.critical("%s", problem)
        return 1


def set_level(config: Config) -> None:
    """Log what option log_level asks for, from now on."""
    root.setLevel(LEVELS[config.log_level])


def reopen() -> None:
    """Go on in a new file of the same name, or in the old one where that cannot be."""
    for handler in root.handlers:
        if isinstance(handler, LogFile):
            try:
                stream = handler._open()
            except OSError as error:
                root.error("log_file: cannot open %s again: %s", handler.baseFilename, error.strerror)
                continue
            old = handler.setStream(stream)
            if old is not None:
                old.close()
            root.info("the log goes on in %s", handler.baseFilename)
