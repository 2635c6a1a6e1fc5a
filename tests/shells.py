"""Real interactive shells in a terminal: tests type into the command line, and read it."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.parts import program
from tests.waiting import eventually, seconds

TAB, WRITE_LINE, CLEAR_LINE = b"\t", b"\x18d", b"\x15"
"""Keys: the Tab key, Control-X d, and Control-U."""

COMMANDS = {"bash": ("bash", "--noprofile", "--norc", "-i"), "zsh": ("zsh", "-f", "-i")}
SETUP = {
    "bash": """bind -x '"\\C-xd": printf %s "$READLINE_LINE" >line.part; mv line.part line'""",
    "zsh": "autoload -U compinit && compinit -D; write() { print -rn -- $BUFFER >line.part; mv line.part line }; "
    "zle -N write; bindkey '^Xd' write; bindkey '^U' kill-whole-line",
}
"""Let Control-X d write the command line to the file `line`, and make completion available."""


class Shell:
    """An interactive shell with its own terminal, in a directory."""

    def __init__(self, name: str, directory: Path, script: Path) -> None:
        path, *arguments = program(name), *COMMANDS[name][1:]
        self._line = directory / "line"
        self._terminal, other_end = pty.openpty()
        self._process = subprocess.Popen(
            [path, *arguments],
            cwd=directory,
            env={**os.environ, "TERM": "vt100", "HOME": str(directory)},
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
            start_new_session=True,
        )
        os.close(other_end)
        self._shown: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._type(f"{SETUP[name]}; source {script}; touch ready\n".encode())
        eventually(lambda: (directory / "ready").exists(), within=10, what=lambda: self.shown)

    @property
    def shown(self) -> str:
        """All that the terminal has shown."""
        return b"".join(self._shown).decode(errors="replace")

    def complete(self, text: str) -> str:
        """Return the command line after `text` and the Tab key have been typed."""
        self._line.unlink(missing_ok=True)
        self._type(text.encode() + TAB + WRITE_LINE)
        eventually(self._line.exists, within=10, what=lambda: self.shown)
        self._type(CLEAR_LINE)
        return self._line.read_text(encoding="utf-8")

    def close(self) -> None:
        self._process.kill()
        self._process.wait(seconds(5))
        self._reader.join(seconds(5))
        os.close(self._terminal)

    def _type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def _read(self) -> None:
        """Read the output of the shell, which would block otherwise."""
        with suppress(OSError):  # EIO: the shell has ended
            while data := os.read(self._terminal, 65536):
                self._shown.append(data)


@contextmanager
def shell(name: str, directory: Path, script: Path) -> Iterator[Shell]:
    """Provide a shell that has read `script`, in a `with` block."""
    running = Shell(name, directory, script)
    try:
        yield running
    finally:
        running.close()
