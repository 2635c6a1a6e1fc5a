"""Fixtures for all tests, and the rule that no test is skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import Server, running

# How long an example takes says more about the other work on the machine than about ours.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

HERE = Path(__file__).parent
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


SLOWEST_FILE = "test_system_packages.py"
"""The file that is run first, because at the end it would run while the other process has no tests left."""
RUN_AGAIN = ("docs", "engines/redis", "integration")
"""Directories of tests with external programs: browsers, proxies, Redis, clients.

Such a test fails once in some thousand runs because an external program was slow. It is run once more, and the summary
lists it as RERUN.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest file first, and mark the tests that may be run again."""
    items.sort(key=lambda item: item.path.name != SLOWEST_FILE)
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.relative_to(HERE).as_posix().startswith(RUN_AGAIN):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Report a test that is skipped because a program is missing as a failure in CI."""
    report = yield
    return _unskipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Report a file that is skipped because a program is missing as a failure in CI."""
    report = yield
    return _unskipped(report)


def _unskipped(report: Any) -> Any:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"Skipped, and in CI that is a failure. {reason}"
    return report


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start real server processes: `start_server(option=value, ...)`. At the end they are stopped and checked."""
    with ExitStack() as servers:

        def start(*, port: int = 0, arguments: tuple[str, ...] = (), **options: Any) -> Server:
            directory = Path(mkdtemp(prefix="server-", dir=tmp_path))
            return servers.enter_context(running(options, directory, port=port, arguments=arguments))

        yield start


@pytest.fixture
def unique() -> str:
    """A short text that no other test gets, for the names of channels and users on a server that tests share."""
    return uuid4().hex[:8]
