"""Behaviour of the system limits: what is read, what is enough, and what is raised."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gentrifugo.app.runtime import limits
from gentrifugo.app.runtime.limits import BACKLOG, Limit

RAISE = """
import resource
from gentrifugo.app.runtime.limits import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
raise_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.fixture
def somaxconn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "somaxconn"
    monkeypatch.setattr(limits, "SOMAXCONN", path)
    return path


def test_remedy_matches_the_problem() -> None:
    assert str(Limit(False, "too few", "raise them")) == "too few; raise them"
    assert str(Limit(True, "enough", "")) == "enough"


def test_the_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", RAISE], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "(128, 128)"


def test_a_limit_that_cannot_be_raised_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(which: int, limit: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 128))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits.raise_open_files()
    (warning,) = caplog.messages
    assert warning.startswith("cannot raise the limit of open files, it stays at 64 ")
    assert warning.endswith(": not allowed to raise maximum limit")


def test_without_a_limit_of_open_files_there_is_nothing_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, resource.RLIM_INFINITY))
    assert str(limits.open_files()) == "limit of open files: none"


def test_open_files_name_the_hard_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = limits.open_files()
    assert f"{hard:,}" in limit.text or hard == resource.RLIM_INFINITY
    assert limit.is_enough == (limit.remedy == "")


def test_a_long_backlog_is_enough(somaxconn: Path) -> None:
    somaxconn.write_text(f"{BACKLOG}\n")
    assert limits.backlog() == Limit(True, "net.core.somaxconn: 4,096 clients can connect at the same moment", "")


def test_short_backlog_is_insufficient(somaxconn: Path) -> None:
    somaxconn.write_text("128\n")
    limit = limits.backlog()
    assert limit == Limit(
        False,
        "net.core.somaxconn: 128 clients can connect at the same moment",
        "raise it as root with sysctl -w net.core.somaxconn=4096",
    )


@pytest.mark.parametrize("content", [None, "", "many"])
def test_a_system_without_somaxconn_is_not_checked(somaxconn: Path, content: str | None) -> None:
    if content is not None:
        somaxconn.write_text(content)
    assert limits.backlog() is None
    assert len(limits.all_limits()) == 1
