"""Runs the programs that pages show unchanged, each in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

from tests.parts import ROOT, program
from tests.waiting import eventually, seconds

PATIENCE = 20
"""Seconds that a program on a page may take."""


class Program:
    """A program that has been started in `directory`."""

    def __init__(self, language: str, text: str, directory: Path) -> None:
        self._said = TemporaryFile()
        with TemporaryFile() as source:
            source.write(text.encode())
            source.seek(0)
            self._process = subprocess.Popen(
                _interpreter(language),
                stdin=source,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=_environment(),
            )

    @property
    def said(self) -> str:
        """The output so far, including standard error."""
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), size, 0).decode()

    def wait_until_it_says(self, text: str) -> None:
        eventually(
            lambda: text in self.said or self._process.poll() is not None, within=PATIENCE, what=f"{text!r} is printed"
        )
        assert text in self.said, self.said

    def output(self) -> str:
        """Wait until the program ends successfully, and return its output."""
        try:
            status = self._process.wait(seconds(PATIENCE))
            said = self.said
        finally:
            self.stop()
        assert status == 0, f"exit status {status}:\n{said}"
        return said

    def stop(self) -> None:
        """Stop the program if it is still running, and close its output."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._said.close()


def _interpreter(language: str) -> list[str]:
    match language:
        case "python":
            return [sys.executable, "-"]
        case "sh":
            return [program("bash"), "-euo", "pipefail"]
        case "javascript":
            return [program("node"), "-"]
        case "php":
            return [program("php")]
    raise AssertionError(f"no interpreter for {language!r}")


def _environment() -> dict[str, str]:
    """Return the environment without options of the developer, and with the programs of this Python first in PATH."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    return others | {"PATH": path, "NODE_PATH": str(ROOT / "node_modules")}
