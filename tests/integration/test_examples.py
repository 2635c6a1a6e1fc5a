"""The examples in examples/flask/ that no other file tests: each is run and opened in a browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import Driver, node_driver
from tests.integration.test_flask import EXAMPLE, PROGRAM, environment, get, running, shows, text_of
from tests.parts import ROOT, node_package, program
from tests.redis_server import redis_server
from tests.waiting import eventually, seconds


@pytest.fixture
def browser() -> Iterator[Driver]:
    node_package("centrifuge")
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as made:
        made.wait_for("ready", within=30)
        yield made


def serving(name: str) -> list[str]:
    return [PROGRAM, f"--app={name}", "--address=127.0.0.1", "--port=0"]


def look(browser: Driver, url: str) -> None:
    browser.send(do="open", url=url)
    browser.wait_for("opened")


def test_smallest_site_receives_a_message_of_curl(tmp_path: Path, browser: Driver) -> None:
    with running(serving("smallest:app"), EXAMPLE, tmp_path / "site.log") as url:
        look(browser, url)
        shows(browser, "title", "live")
        curl = [program("curl"), "--fail-with-body", "--silent", "-X", "POST", f"{url}/tell/hello"]
        subprocess.run(curl, check=True, timeout=seconds(10))
        shows(browser, "#news", "hello")


def test_dashboard_measures_only_while_subscribed(tmp_path: Path, browser: Driver) -> None:
    with running(serving("dashboard:create_app"), EXAMPLE, tmp_path / "site.log") as url:
        look(browser, url)
        eventually(lambda: points(browser) >= 2, within=10, what="a line")
        assert text_of(browser, "#state") == "live"
        assert float(text_of(browser, "#memory").removesuffix(" %")) > 0
        look(browser, "about:blank")
        look(browser, url)
        eventually(lambda: points(browser) >= 2, within=10, what="what was measured before, from the history")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "",
            "gentrifugo: {file}: the file is empty; delete it and create one with "
            '"gentrifugo genconfig --config={file}"',
        ),
        (
            '{"token_hmac_secret_key": "key",}',
            "gentrifugo: {file}: line 1, column 32: JSON allows no comma after the last item",
        ),
        ("[]", "gentrifugo: {file}: must contain an object of options, not a list or a single value"),
        ("{}", "{file} has no 'token_hmac_secret_key': add it, or delete the file and let `make run` write a new one"),
    ],
)
def test_quick_start_names_what_is_wrong_with_the_configuration_in_one_line(
    text: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    command = [sys.executable, str(ROOT / "examples" / "quickstart" / "app.py"), f"--config={file}"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds(20))
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", problem.format(file=file) + "\n")


def points(browser: Driver) -> int:
    """Return the number of points of the line."""
    return int(value(browser, "document.getElementById('cpu-line').points.numberOfItems"))


def test_worker_process_publishes_the_progress_of_jobs(
    tmp_path: Path, browser: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(tmp_path) as redis:
        monkeypatch.setenv("REDIS_URL", f"redis://{redis.address}")
        monkeypatch.setenv("STEP", "0.02")
        with running(serving("jobs:create_app"), EXAMPLE, tmp_path / "site.log") as url:
            look(browser, url)
            shows(browser, "#state", "connected")
            for _ in range(2):
                browser.send(do="click", selector="button:enabled")
            eventually(lambda: text_of(browser, "#jobs").count("waiting") == 2, what="two jobs wait")
            worker = subprocess.Popen([sys.executable, "jobs.py"], cwd=EXAMPLE, env=environment())
            try:
                eventually(lambda: text_of(browser, "#jobs").count("done") == 2, within=15, what="both are done")
            finally:
                worker.terminate()
                worker.wait(seconds(5))
            assert get(f"{url}/jobs", form={})[0] == 401  # no session, no job


def test_page_of_jobs_says_that_it_is_not_connected(
    tmp_path: Path, browser: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    with running(serving("jobs:create_app"), EXAMPLE, tmp_path / "site.log", logs_tracebacks=True) as url:
        look(browser, url)
        shows(browser, "#state", "not connected: internal server error, connecting again")
        button = "document.querySelector('button')"
        assert value(browser, f"{button}.disabled") is True
        look_of = f"getComputedStyle({button}).backgroundColor"
        assert value(browser, look_of) != value(browser, f"{button}.disabled = false, {look_of}")
        browser.send(do="click", selector="button")
        eventually(lambda: "the job was not started" in text_of(browser, "#state"), what="the failure is shown")


def test_pages_do_not_stay_live_without_their_server(tmp_path: Path, browser: Driver) -> None:
    for name, state in (("smallest:app", "document.title"), ("dashboard:create_app", "state.textContent")):
        with running(serving(name), EXAMPLE, tmp_path / f"{name}.log") as url:
            look(browser, url)
            eventually(partial(has_state, browser, state, "live"), what=f"{name} is connected")
        eventually(partial(has_state, browser, state, "not connected", "connecting again"), what=f"{name} tells it")


def has_state(browser: Driver, expression: str, *states: str) -> bool:
    """Whether the text of the page ends with one of these."""
    return str(value(browser, expression)).endswith(states)


def value(browser: Driver, expression: str) -> Any:
    """Return the value of a JavaScript expression."""
    browser.send(do="evaluate", expression=expression)
    return browser.wait_for("value")["value"]
