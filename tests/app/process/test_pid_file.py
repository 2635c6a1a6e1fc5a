"""Behaviour of the PID file: when it exists, who may replace it, and a path that cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.process.pid_file import pid_file


def test_the_pid_file_exists_while_the_process_runs(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_pid_file_of_another_process_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


def test_a_pid_file_that_was_removed_causes_no_error(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path)):
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "pid"
    with pytest.raises(ConfigError, match=r"pid_file: cannot write .*/pid: No such file"), pid_file(str(path)):
        pass


def test_without_a_path_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pid_file(""):
        assert list(tmp_path.iterdir()) == []
