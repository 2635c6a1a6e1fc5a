"""A headless Chromium that opens the web interface and is used like by an operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.admin_client import PASSWORD
from tests.clients.driver import Driver, node_driver
from tests.parts import program
from tests.waiting import eventually

EXPECTED = ("Failed to load resource", "WebSocket connection to")
"""What Chromium logs by itself when a server refuses, or is away."""


class Browser:
    """One browser with one page; `open` creates a new page with empty storage."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def run(self, call: str, *arguments: Any, **more: Any) -> Any:
        """Call a function of Playwright's Page."""
        self._driver.send(do="run", call=call, arguments=arguments, **more)
        event = self._driver.read(within=20)
        assert event["event"] == "value", f"{call} {arguments}: {event.get('text')}"
        return event["value"]

    def open(self, url: str, **options: Any) -> None:
        """Open a page; `options` are those of a Playwright browser context."""
        self.run("open", url=url, options=options)

    def log_in(self, url: str, page: str = "status", password: str = PASSWORD, **options: Any) -> None:
        """Open the interface, log in, and wait for the page."""
        self.open(f"{url}/#/{page}", **options)
        self.fill("#password", password)
        self.click("form button")
        self.wait_for(".state.connected")

    def go(self, page: str) -> None:
        """Change to another page of the interface."""
        self.evaluate(f"location.hash = {json.dumps('#/' + page)}")

    def is_logged_in(self, url: str) -> bool:
        """Whether the page is a page of this server, and connected."""
        here = self.evaluate("document.querySelector('.state.connected') !== null && location.origin")
        return bool(here == url)

    def click(self, selector: str) -> None:
        self.run("click", selector)

    def fill(self, selector: str, text: str) -> None:
        self.run("fill", selector, text)

    def press(self, keys: str) -> None:
        self.run("press", keys=keys)

    def text(self, selector: str) -> str:
        return str(self.run("innerText", selector))

    def texts(self, selector: str) -> list[str]:
        """The text of each element that matches."""
        return list(
            self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((element) => element.innerText)")
        )

    def evaluate(self, expression: str) -> Any:
        return self.run("evaluate", expression)

    def wait_for(self, selector: str) -> None:
        """Wait until an element is visible."""
        self.run("waitForSelector", selector)

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true. Playwright's own method needs `eval`, which the page forbids."""
        eventually(lambda: self.evaluate(expression), within=8, what=expression)

    def wait_for_text(self, selector: str, text: str, within: float = 8) -> None:
        """Wait until the elements that match contain a text."""
        eventually(lambda: any(text in found for found in self.texts(selector)), within, f"{text!r} in {selector}")

    @property
    def problems(self) -> list[str]:
        """Unexpected log messages and errors of the page."""
        return [line for line in self.run("pages_log") if not any(part in line for part in EXPECTED)]


@contextmanager
def browser() -> Iterator[Browser]:
    """Provide a browser in a `with` block."""
    with node_driver("admin_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield Browser(driver)
