"""A writer that never waits: lines that cannot be written at once are dropped, and no line is split."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from gentrifugo.app.runtime.line_writer import LineWriter

LINE = b"x" * 150 + b"\n"


class Ends:
    """Two ends of a pipe or of a connection: `descriptor` to write to, and `read`."""

    def __init__(self, is_socket: bool = False) -> None:
        self._far: socket.socket | None = None
        if is_socket:
            near, self._far = socket.socketpair()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.descriptor = near.detach()
        else:
            self._reading, self.descriptor = os.pipe()

    def read(self) -> bytes:
        return self._far.recv(1 << 20) if self._far is not None else os.read(self._reading, 1 << 20)

    def close(self) -> None:
        os.close(self.descriptor)
        if self._far is not None:
            self._far.close()
        else:
            os.close(self._reading)


@pytest.fixture(params=["pipe", "pipe of another user", "socket"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    if request.param == "pipe of another user":
        plain = os.open

        def refuse(path: str, *arguments: int) -> int:
            if path.startswith("/proc/"):
                raise PermissionError(13, "Permission denied")
            return plain(path, *arguments)

        monkeypatch.setattr(os, "open", refuse)
    made = Ends(request.param == "socket")
    yield made
    made.close()


def test_writing_does_not_wait_for_a_blocked_reader(ends: Ends) -> None:
    writer = LineWriter(ends.descriptor)
    written = sum(writer.write(LINE) for _ in range(10_000))
    assert 10 < written < 10_000
    assert not writer.write(LINE)
    assert writer.failure == ""
    data = b""
    while data.count(b"\n") < written - 1:
        data += ends.read()
    assert writer.write(b"again\n")
    while not data.endswith(b"again\n"):
        data += ends.read()
    assert data == LINE * written + b"again\n"
    writer.close()
    writer.close()


def test_mode_of_a_shared_descriptor_is_not_changed(ends: Ends) -> None:
    writer = LineWriter(ends.descriptor)
    assert os.get_blocking(ends.descriptor)
    writer.close()


def test_rest_of_a_partly_written_line_is_written_later() -> None:
    ends = Ends()
    writer = LineWriter(ends.descriptor)
    long = b"y" * 100_000 + b"\n"
    assert writer.write(long)
    assert not writer.write(LINE)
    data = ends.read()
    assert writer.write(LINE)
    while not data.endswith(LINE):
        data += ends.read()
    assert data == long + LINE
    writer.close()
    ends.close()


def test_a_closed_pipe_is_a_failure_without_exception() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)
    assert not writer.write(LINE)
    assert writer.failure == "Broken pipe"
    writer.close()
    os.close(writing)


def test_full_disk_is_named_in_the_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(full)
    assert not writer.write(LINE)
    assert writer.failure == "No space left on device"
    writer.close()
    os.close(full)


def test_lines_are_written_to_files_and_terminals(tmp_path: Path) -> None:
    with TemporaryFile() as file:
        writer = LineWriter(file.fileno())
        assert writer.write(LINE)
        assert writer.write(LINE)
        writer.close()
        file.seek(0)
        assert file.read() == LINE * 2
    master, terminal = pty.openpty()
    writer = LineWriter(terminal)
    assert writer.write(b"hello\n")
    assert os.read(master, 100) == b"hello\r\n"
    writer.close()
    os.close(master)
    os.close(terminal)


def test_a_pipe_of_another_user_whose_size_is_unknown_counts_as_one_of_the_usual_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    ends = Ends()
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    writer = LineWriter(ends.descriptor)
    assert writer.write(LINE)
    assert ends.read() == LINE
    writer.close()
    ends.close()
