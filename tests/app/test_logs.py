"""Behaviour of the log: lines for people or programs, and reopening a log file after rotation."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app import logs
from gentrifugo.app.config.loading import LoadedConfig
from gentrifugo.app.config.options import ConfigError
from tests.app.conftest import config

log = logging.getLogger("gentrifugo.tests")


@pytest.fixture(autouse=True)
def _the_usual_log_afterwards() -> Iterator[None]:
    before = logs.root.handlers[:], logs.root.propagate, logs.root.level
    logs.root.handlers = []
    yield
    for handler in logs.root.handlers:
        handler.close()
    logs.root.handlers, logs.root.propagate, logs.root.level = before


def json_line(path: Path) -> Any:
    return json.loads(path.read_text().splitlines()[-1])


def test_a_json_log_line_has_all_fields(tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs.configure(config(log_file=str(path), log_format="json"))
    log.info("client %s is here", "c1", extra={"client": "c1", "user": "42\n"})
    line = json_line(path)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "pid": os.getpid(), "message": "client c1 is here", "client": "c1", "user": "42\n"}
    try:
        raise ValueError("oh dear")
    except ValueError:
        log.exception("it failed")
    line = json_line(path)
    assert line["traceback"].endswith("ValueError: oh dear\n")
    assert len(path.read_text().splitlines()) == 2


def test_mark_in_lines_for_reading_says_which_process_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for mark, shown in {"": "", "[worker 2] ": "[worker 2] ", logs.PID_MARK: f"[{os.getpid()}] "}.items():
        logs.configure(config(log_file=str(path)), mark)
        log.info("it is here")
        assert path.read_text().endswith(f" INFO {shown}it is here\n")


def test_other_users_of_the_machine_cannot_read_new_files(tmp_path: Path) -> None:
    path, moved = tmp_path / "log", tmp_path / "log.1"
    before = os.umask(0)
    try:
        logs.configure(config(log_file=str(path)))
        path.rename(moved)
        logs.reopen()
    finally:
        os.umask(before)
    assert [oct(file.stat().st_mode & 0o777) for file in (path, moved)] == ["0o640", "0o640"]


def test_permissions_of_an_existing_log_file_stay_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch(0o600)
    logs.configure(config(log_file=str(path)))
    log.info("line")
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_reopening_a_moved_log_file_creates_a_new_file(tmp_path: Path) -> None:
    path, moved = tmp_path / "log", tmp_path / "log.1"
    logs.configure(config(log_file=str(path)))
    log.info("before")
    path.rename(moved)
    log.info("still in the old one")
    logs.reopen()
    log.info("after")
    assert "still in the old one" in moved.read_text()
    assert "after" in path.read_text()
    assert "before" not in path.read_text()


def test_logging_continues_in_the_old_file_if_reopening_fails(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    path = directory / "log"
    logs.configure(config(log_file=str(path)))
    moved = tmp_path / "moved"
    directory.rename(moved)
    logs.reopen()
    log.info("after")
    assert "cannot reopen" in (moved / "log").read_text()
    assert "after" in (moved / "log").read_text()


def test_a_new_configuration_replaces_the_old_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    logs.configure(config(log_file=str(first)))
    logs.configure(config(log_file=str(second)))
    log.info("hello")
    assert first.read_text() == ""
    assert second.read_text().endswith("INFO hello\n")


def test_a_log_file_that_cannot_be_opened_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "log"
    with pytest.raises(ConfigError) as refused:
        logs.run_logged(LoadedConfig(config(log_file=str(path)), []), lambda: 0)
    assert refused.value.problems == [f"log_file: cannot open {path}: No such file or directory"]


def test_problems_that_the_server_finds_are_lines_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def run() -> int:
        raise ConfigError(["port: taken"])

    assert logs.run_logged(LoadedConfig(config(log_file=str(path)), ["be careful"]), run) == 1
    levels = [line.split(" ")[2:] for line in path.read_text().splitlines()]
    assert levels == [["WARNING", "be", "careful"], ["CRITICAL", "port:", "taken"]]


def test_problems_are_raised_when_the_log_does_not_show_them(tmp_path: Path) -> None:
    def run() -> int:
        raise ConfigError(["port: taken"])

    with pytest.raises(ConfigError):
        logs.run_logged(LoadedConfig(config(log_file=str(tmp_path / "log"), log_level="none"), []), run)


def test_reopening_standard_output_has_no_effect(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(config())
    logs.reopen()
    log.info("hello")
    assert capsys.readouterr().out.endswith("INFO hello\n")
    assert sys.stdout is not None


def test_lines_that_cannot_be_written_are_counted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        logs.configure(config(log_level="debug"))
        for number in range(5000):
            log.debug("line %d", number)
        written = os.read(reading, 1 << 20).decode()
        log.info("again")
        rest = os.read(reading, 1 << 20).decode()
    assert written.startswith("20")
    assert written.endswith("\n")
    dropped = 5000 - written.count("\n")
    assert dropped > 0
    assert f"WARNING {dropped} log lines were dropped because the log could not be written\n" in rest
    assert rest.endswith("INFO again\n")
    assert capfd.readouterr() == ("", "")
    os.close(reading)


def test_a_failing_log_file_is_reported_once_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logs.configure(config(log_file="/dev/full"))
    for _ in range(100):
        log.error("nobody will see this")
    assert capfd.readouterr().err == (
        "log_file: cannot write /dev/full: No space left on device; log lines are dropped until writing works again\n"
    )


def test_a_log_message_that_cannot_be_formatted_raises_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    logs.configure(config(log_file=str(path)))
    log.info("%d", "no number")
    log.info("half a pair: %s", "\ud800")
    assert "cannot format a log message: '%d' % ('no number',)" in path.read_text()
    assert path.read_text().endswith("half a pair: \\ud800\n")
    assert capfd.readouterr().err == ""
