"""Configures logging: destination, format and level, and reopens the log file for rotation."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from .config.config import Config
from .config.loading import LoadedConfig
from .config.options import ConfigError
from .runtime.line_writer import LineWriter

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
BEGIN = "%(asctime)s.%(msecs)03d %(levelname)s "
PID_MARK = "[%(process)d] "
"""The mark of lines of several processes that have no numbers."""
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
FIELDS = ("client", "user", "request", "peer", "method", "target", "status", "size", "took_ms")
"""Optional fields of a log record besides its text, set with `extra`."""

FILE_MODE = 0o640
"""Permissions of a new log file. Other users of the machine cannot read it, because it contains users and addresses."""
STANDARD_ERROR = 2

root = logging.getLogger("gentrifugo")


class JSONFormatter(logging.Formatter):
    """Formats each log record as a JSON object in one line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its time in UTC, its fields, and the traceback if there is one."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "pid": record.process,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return msgspec.json.encode(line).decode()


class LineHandler(logging.Handler):
    """Writes each log record immediately or drops it, because a blocked or full log must not stop the server.

    When writing works again, the first line contains the number of dropped records. `path` is the file of option
    log_file: with it, write errors are reported once on standard error, and the handler closes the descriptor.
    """

    def __init__(self, descriptor: int, path: str = "") -> None:
        super().__init__()
        self.path = path
        self._writer = LineWriter(descriptor)
        self._dropped = 0
        if path:
            os.close(descriptor)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop and count it if it cannot be written now."""
        if self._dropped and self._writer.write(self._line(self._notice())):
            self._dropped = 0
        if self._dropped or not self._writer.write(self._line(record)):
            if not self._dropped:
                self._report_failure()
            self._dropped += 1

    def _line(self, record: logging.LogRecord) -> bytes:
        try:
            text = self.format(record)
        except Exception as error:  # logging must not raise exceptions in its callers
            text = f"cannot format a log message: {record.msg!r} % {record.args!r}: {error!r}"
        return text.encode(errors="backslashreplace") + b"\n"

    def _notice(self) -> logging.LogRecord:
        text = f"{self._dropped} log lines were dropped because the log could not be written"
        return root.makeRecord(root.name, logging.WARNING, __file__, 0, text, (), None)

    def _report_failure(self) -> None:
        """Report a write error of the log file on standard error, once until writing works again."""
        if self.path and self._writer.failure:
            problem = f"log_file: cannot write {self.path}: {self._writer.failure}"
            problem += "; log lines are dropped until writing works again\n"
            with suppress(OSError):  # there may be no standard error
                errors = LineWriter(STANDARD_ERROR)
                errors.write(problem.encode(errors="backslashreplace"))
                errors.close()

    def reopen(self, descriptor: int) -> None:
        """Switch to another open file, whose descriptor the handler closes."""
        self.acquire()
        try:
            self._writer.close()
            self._writer = LineWriter(descriptor)
            os.close(descriptor)
        finally:
            self.release()

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._writer.close()
        super().close()


def configure(config: Config, mark: str = "") -> None:
    """Log to standard output or the file of option log_file, in the format of option log_format.

    `mark` is a format that shows in lines for reading which of several processes wrote them. Raises OSError when the
    file cannot be opened.
    """
    handler = _to_file(config.log_file) if config.log_file else _to_stdout()
    for_reading = logging.Formatter(f"{BEGIN}{mark}%(message)s", DATE_FORMAT)
    handler.setFormatter(JSONFormatter() if config.log_format == "json" else for_reading)
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.propagate = False
    set_level(config)


def _to_file(path: str) -> LineHandler:
    path = os.path.abspath(path)  # HUP and USR1 find it again wherever the process is then
    return LineHandler(_open(path), path)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)


def _to_stdout() -> logging.Handler:
    try:
        return LineHandler(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or an object of a program that captures what is printed
        return logging.StreamHandler(sys.stdout)


def run_logged(loaded: LoadedConfig, run: Callable[[], int], mark: str = "") -> int:
    """Configure the log, with `mark`, and call `run`. Returns the exit status. Problems are logged, one line each.

    Raises ConfigError if the log file cannot be opened, or if option log_level is `none`.
    """
    try:
        configure(loaded.config, mark)
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
    """Set the level of the log to that of option log_level."""
    root.setLevel(LEVELS[config.log_level])


def reopen() -> None:
    """Reopen the log file, which a log rotation has renamed. If that fails, logging continues in the old file."""
    for handler in root.handlers:
        if isinstance(handler, LineHandler) and handler.path:
            try:
                descriptor = _open(handler.path)
            except OSError as error:
                root.error("log_file: cannot reopen %s: %s", handler.path, error.strerror)
                continue
            handler.reopen(descriptor)
            root.info("SIGUSR1: log file %s reopened", handler.path)
