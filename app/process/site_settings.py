"""What a Flask application says about its server, found out in a process of its own.

A master needs the address, the port and other options of an application, but must not import its code: that is for
its workers, which gevent patches.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ..config.config import Config
from ..config.loading import Loaded

SETTINGS_VARIABLE = "GENTRIFUGO_ASKED"
"""Environment variable of the process that is asked: the id of the one that asks, and a descriptor for the answer."""


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """The checked configuration of an application, and the groups of endpoints that it serves."""

    config: Config
    warnings: list[str]
    origin: str
    endpoints: list[str]

    @property
    def loaded(self) -> Loaded:
        """The configuration as that of a server without an application."""
        return Loaded(self.config, self.warnings, origin=self.origin)


_settings = msgspec.json.Decoder(SiteSettings)


def ask(command: Sequence[str]) -> SiteSettings | int:
    """What the application that `command` serves says; the exit status of the command if that fails."""
    read, write = os.pipe()
    environ = {**os.environ, SETTINGS_VARIABLE: f"{os.getpid()}:{write}"}
    process = subprocess.Popen(list(command), env=environ, pass_fds=[write])
    os.close(write)
    with open(read, "rb") as answer:
        data = answer.read()
    status = process.wait()
    return _settings.decode(data) if data and not status else status


def is_settings_process(environ: Mapping[str, str]) -> bool:
    """Whether this very process is the one that is asked, and none of its parents."""
    return environ.get(SETTINGS_VARIABLE, "").partition(":")[0] == str(os.getppid())


def answer(settings: SiteSettings, environ: Mapping[str, str]) -> None:
    """Tell the process that asks."""
    descriptor = int(environ[SETTINGS_VARIABLE].partition(":")[2])
    with open(descriptor, "wb") as pipe:
        pipe.write(msgspec.json.encode(settings))
