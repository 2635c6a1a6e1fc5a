"""The quick start in the README, with a real browser, curl and cent."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.driver import Driver, node_driver
from tests.credentials import API_KEY, TOKEN_KEY
from tests.parts import ROOT, node_package, program
from tests.servers import Server
from tests.waiting import eventually, seconds

README = (ROOT / "README.md").read_text(encoding="utf-8")


KEYS = {"token_hmac_secret_key": TOKEN_KEY, "api_key": API_KEY}


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(**KEYS)


@pytest.fixture
def page_url(server: Server, tmp_path: Path) -> Iterator[str]:
    """Run the web application of the quick start for this server, and return its URL."""
    node_package("centrifuge5")
    log_file = tmp_path / "application.log"
    command = [
        sys.executable,
        str(ROOT / "examples" / "quickstart" / "app.py"),
        f"--config={server.config_file}",
        f"--url=ws://{server.host}:{server.port}/connection/websocket",
        "--port=0",
    ]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        match = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", log_file.read_text()), within=10)
        yield match[0]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield driver


def text_of(browser: Driver, selector: str) -> str:
    browser.send(do="text", selector=selector)
    return str(browser.wait_for("text")["text"])


def open_page(browser: Driver, url: str) -> None:
    browser.send(do="open", url=url)
    browser.wait_for("opened", within=20)
    eventually(lambda: text_of(browser, "#status") == "waiting for news", what="the page has subscribed")


def commands_of_readme(language: str, word: str, server: Server) -> str:
    """The code block in the README with this word, with the address of this server."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return str(block).replace("http://127.0.0.1:8000", server.url)


def test_page_shows_what_curl_publishes(server: Server, page_url: str, browser: Driver) -> None:
    program("curl")
    open_page(browser, page_url)
    script = commands_of_readme("sh", "curl", server)
    published = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=server.config_file.parent,
        capture_output=True,
        text=True,
        timeout=seconds(20),
    )
    assert published.stdout == '{"result":{}}', published.stderr
    eventually(lambda: text_of(browser, "#messages") == "Hello from curl")
    assert browser.seen() == [], "the page has logged something, or failed"


def test_page_shows_what_cent_publishes(server: Server, page_url: str, browser: Driver) -> None:
    open_page(browser, page_url)
    subprocess.run(
        [sys.executable, "-c", commands_of_readme("python", "cent", server)],
        cwd=server.config_file.parent,
        check=True,
        timeout=seconds(20),
    )
    eventually(lambda: text_of(browser, "#messages") == "Hello from Python")


def test_page_reconnects_after_a_restart(
    server: Server, start_server: Callable[..., Server], page_url: str, browser: Driver
) -> None:
    open_page(browser, page_url)
    server.stop()
    eventually(lambda: text_of(browser, "#status") == "connecting: shutdown")
    start_server(port=server.port, **KEYS)
    eventually(lambda: text_of(browser, "#status") == "waiting for news", within=30)
