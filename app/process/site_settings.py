"""Reads the server configuration of a Flask application in a separate process.

A master needs the address, the port and other options of an application, but must not import its code: only the
workers do, in processes that gevent has patched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import msgspec

from ..config.config import Config
from ..config.loading import LoadedConfig

SETTINGS_VARIABLE = "GENTRIFUGO_ASKED"
"""Environment variable of the process that `request_settings` starts: the process ID of its parent, and the descriptor
for the answer.
"""


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """The checked configuration of an application, and the groups of endpoints that it serves."""

    config: Config
    warnings: list[str]
    origin: str
    endpoints: list[str]
    secret_key: bytes = field(default=b"", repr=False)
    """The SECRET_KEY of the application; empty for none."""

    @property
    def loaded(self) -> LoadedConfig:
        """The loaded configuration, for the startup of a master."""
        return LoadedConfig(self.config, self.warnings, origin=self.origin, of_application=True)


_settings = msgspec.json.Decoder(SiteSettings)


def request_settings(command: Sequence[str], output: IO[str] | None = None) -> SiteSettings | int:
    """Run `command` to get the settings of its application. Returns the exit status of the command if it fails.

    What the command prints goes to `output`, by default to standard output.
    """
    read, write = os.pipe()
    environ = {**os.environ, SETTINGS_VARIABLE: f"{os.getpid()}:{write}"}
    process = subprocess.Popen(list(command), env=environ, pass_fds=[write], stdout=output)
    os.close(write)
    with open(read, "rb") as answer:
        data = answer.read()
    status = process.wait()
    return _settings.decode(data) if data and not status else status


def is_settings_process(environ: Mapping[str, str]) -> bool:
    """Return whether `request_settings` has started this process to report settings. False in its child processes."""
    return environ.get(SETTINGS_VARIABLE, "").partition(":")[0] == str(os.getppid())


def answer(settings: SiteSettings, environ: Mapping[str, str]) -> None:
    """Send the settings to the parent process that called `request_settings`."""
    descriptor = int(environ[SETTINGS_VARIABLE].partition(":")[2])
    with open(descriptor, "wb") as pipe:
        pipe.write(msgspec.json.encode(settings))
