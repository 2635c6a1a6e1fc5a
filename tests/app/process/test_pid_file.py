"""Behaviour of the pid file: whose it is, and a place where there can be none."""

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


def test_a_place_that_cannot_be_written_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "pid"
    with pytest.raises(ConfigError, match=r"pid_file: cannot write .*/pid: No such file"), pid_file(str(path)):
        pass


def test_without_a_path_there_is_none() -> None:
    with pid_file(""):
        pass
