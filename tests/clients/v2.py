"""The client libraries of protocol v2 that tests drive, all with the same commands and events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.clients.driver import HERE, Driver, node_driver
from tests.parts import program

DELAY = 0.05
"""Seconds before the first attempt to connect or to subscribe again; it grows from there."""


class Library(NamedTuple):
    """A client library, in one format and in one environment."""

    name: str
    """`centrifuge-js`, `chromium` or `centrifuge-python`."""
    format: str
    """`json` or `protobuf`."""

    def __str__(self) -> str:
        return f"{self.name}-{self.format}"

    def start(self, port: int, token: str = "", browser: str = "", **configuration: Any) -> Driver:
        """Start a client of the server at `port`; `configuration` is that of tests/clients/centrifuge5_client.js.

        `browser` is the endpoint of a `browser_server`, which only the library `chromium` needs.
        """
        options = {"token": token, **self._delays("Reconnect"), **configuration.pop("options", {})}
        path = "/connection/websocket"
        if self.name == "centrifuge-js" and self.format == "protobuf":
            path += "?format=protobuf"
        given = {"url": f"ws://127.0.0.1:{port}{path}", "format": self.format, "options": options, **configuration}
        return self._start(json.dumps(given), browser)

    def _start(self, configuration: str, browser: str) -> Driver:
        if self.name == "centrifuge-python":
            return Driver([sys.executable, str(HERE / "centrifuge_python_driver.py"), configuration])
        if self.name == "centrifuge-js":
            return node_driver("centrifuge5_driver.js", configuration, package="centrifuge5")
        driver = node_driver("centrifuge5_browser_driver.js", configuration, browser, package="centrifuge5")
        driver.wait_for("ready", within=30)
        return driver

    def _delays(self, again: str) -> dict[str, float]:
        if self.name == "centrifuge-python":
            return {f"{bound}_{again.lower()}_delay": delay for bound, delay in (("min", DELAY), ("max", 10 * DELAY))}
        return {f"{bound}{again}Delay": 1000 * delay for bound, delay in (("min", DELAY), ("max", 10 * DELAY))}

    def subscription(self, **wanted: bool) -> dict[str, Any]:
        """Options of a subscription, with the names that the library gives them."""
        options: dict[str, Any] = {**self._delays("Resubscribe"), **wanted}
        if self.name != "centrifuge-python" and "join_leave" in options:
            options["joinLeave"] = options.pop("join_leave")
        return options


@contextmanager
def browser_server() -> Iterator[str]:
    """A Chromium for the drivers that need one, as its endpoint."""
    with node_driver("browser_server.js", program("chromium"), package="playwright-core") as driver:
        yield str(driver.wait_for("ready", within=30)["endpoint"])


LIBRARIES = [
    Library("centrifuge-js", "json"),
    Library("centrifuge-js", "protobuf"),
    Library("chromium", "json"),
    Library("centrifuge-python", "json"),
    Library("centrifuge-python", "protobuf"),
]
