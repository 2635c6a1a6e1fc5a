"""supervisord with the file of the repository, and a server that it keeps running."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.api_client import APIClient
from tests.parts import ROOT
from tests.redis_server import free_port
from tests.waiting import eventually, seconds

BIN = Path(sys.executable).parent
CONF = (ROOT / "supervisord.conf").read_text(encoding="utf-8")


class Address:
    """The address of a server, for clients of tests."""

    secret = "secret"

    def __init__(self, port: int) -> None:
        self.host, self.port = "127.0.0.1", port


def answers(port: int) -> bool:
    """Return whether a server with the secret of `configured` answers at a port."""
    try:
        return APIClient("127.0.0.1", port).call("channels")["error"] is None
    except OSError:
        return False


def configured(directory: Path, port: int, **options: Any) -> Path:
    """Return a configuration in a directory, for a server at a port."""
    file = directory / "config.json"
    file.write_text(json.dumps({"secret": "secret", "address": "127.0.0.1", "port": port, **options}))
    return file


class Supervisord:
    """supervisord in a directory with a `.venv` and a configuration. The server runs as `user`."""

    def __init__(self, directory: Path, environment: Path, user: str) -> None:
        self.directory = directory
        self.port = free_port()
        (directory / ".venv").symlink_to(environment)
        text, count = re.subn(r"^user = gentrifugo$", f"user = {user}", CONF, flags=re.MULTILINE)
        assert count == 1
        (directory / "supervisord.conf").write_text(text)
        for path in (directory, configured(directory, self.port)):
            shutil.chown(path, user)

    def start(self, command: Sequence[str], starter: str | None, environment: dict[str, str]) -> None:
        """Start supervisord with a command, as another user than the one who runs the tests if `starter` names one."""
        self.process = subprocess.Popen(
            [*command, "-c", "supervisord.conf"],
            cwd=self.directory,
            user=starter,
            umask=0o027,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def control(self, *words: str) -> str:
        """Run a command of supervisorctl, and return its output."""
        command = [str(BIN / "supervisorctl"), "-c", "supervisord.conf", *words]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=seconds(30))
        return done.stdout + done.stderr

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return int(self.control("pid", "gentrifugo"))

    @property
    def log(self) -> str:
        """The log of the server."""
        return (self.directory / "gentrifugo.log").read_text()


@contextmanager
def supervised(
    directory: Path,
    environment: Path = BIN.parent,
    user: str = "",
    command: Sequence[str] = (str(BIN / "supervisord"),),
    starter: str | None = None,
    **variables: str,
) -> Iterator[Supervisord]:
    """supervisord with a server that answers, for the length of a `with` block.

    The server is that of a virtual `environment`. Both run as the one who runs the tests, unless `user` names another.
    """
    made = Supervisord(directory, environment, user or getpass.getuser())
    made.start(command, starter, variables)
    try:
        eventually(lambda: answers(made.port), within=20, what="the server under supervisord")
        yield made
    finally:
        made.process.terminate()
        made.process.wait(seconds(30))
