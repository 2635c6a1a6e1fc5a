"""Takes the pictures in docs/screenshots/: every page of the web interface, light, dark and on a phone.

`make screenshots` runs it. It starts two nodes and a Redis server, with clients and messages.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.admin_browser import Browser, browser
from tests.admin_client import OPTIONS
from tests.api_client import APIClient
from tests.parts import ROOT
from tests.protocol_client import ProtocolClient
from tests.redis_server import redis_server
from tests.servers import Server, running

TARGET = ROOT / "docs" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 820}, "colorScheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 820}, "colorScheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 800}, "colorScheme": "light", "hasTouch": True},
}
PAGES = {
    "status": "status",
    "channels": "channels",
    "channel": "channel/public:news",
    "messages": "messages",
    "clients": "clients",
    "users": "users/42",
    "actions": "actions/publish/public:news",
    "configuration": "configuration",
}
SERVER = {
    **OPTIONS,
    "web": True,
    "health": True,
    "ping_interval": 0,
    "connection_lifetime": 3600,
    "namespaces": [
        {"name": "public", "watch": True, "presence": True, "history_size": 20, "history_lifetime": 600},
        {"name": "chat", "watch": True, "presence": True, "join_leave": True, "publish": True},
    ],
}
USERS = ("42", "7", "1984", "ada", "grace", "linus", "margaret")
GUEST = "guest"
"""A user whom the backend disconnects now and then."""
CHANNELS = ("public:news", "public:weather", "chat:support", "chat:team", "public:prices")
NEWS: tuple[Any, ...] = (
    {"text": "A new release is out", "tags": ["release", "server"], "urgent": False},
    {"price": 1.5, "symbol": "GTF", "volume": 120000},
    {"text": "Hello, is anybody there?", "room": "support"},
    {"temperature": -3.5, "place": "Oslo", "wind": {"speed": 12, "from": "NW"}},
)
LONG_LOOKS = {"channels": 6.0, "channel": 20.0, "clients": 20.0}
"""Seconds until the plots of these pages have something to show."""
WARM_UP = 40.0
"""Seconds until the plots have something to show."""


class Life:
    """Clients that connect and disconnect, and a backend that publishes."""

    def __init__(self, nodes: Sequence[Server]) -> None:
        self._nodes = nodes
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._publish), threading.Thread(target=self._come_and_go)]

    def __enter__(self) -> Life:
        users = enumerate((*USERS, *USERS[:2]))
        self._clients = [
            ProtocolClient(self._nodes[number % 2], user, '{"device": "laptop"}') for number, user in users
        ]
        for number, client in enumerate(self._clients):
            for channel in CHANNELS[: 1 + (number + 3) % len(CHANNELS)]:
                client.subscribe(channel)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()

    def _publish(self) -> None:
        apis = [APIClient(node.host, node.port) for node in self._nodes]
        while not self._stop.wait(random.uniform(0.02, 0.4)):
            for _ in range(random.randrange(1, 9)):
                random.choice(apis).publish(random.choice(CHANNELS), random.choice(NEWS))

    def _come_and_go(self) -> None:
        visitors: list[ProtocolClient] = []
        while not self._stop.wait(0.7):
            if len(visitors) > random.randrange(12):
                visitors.pop().close()
            else:
                visitors.append(ProtocolClient(random.choice(self._nodes), random.choice((*USERS, GUEST))))
                visitors[-1].subscribe("public:news")
            if random.random() < 0.1:
                node = random.choice(self._nodes)
                APIClient(node.host, node.port).post(json.dumps({"method": "disconnect", "params": {"user": GUEST}}))
        for visitor in visitors:
            visitor.close()


def take_all() -> None:
    """Take every picture."""
    TARGET.mkdir(exist_ok=True)
    with ExitStack() as stack:
        directories = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        options = {**SERVER, **stack.enter_context(redis_server(directories[0])).options}
        nodes = [
            stack.enter_context(running({**options, "name": f"node-{number}"}, directories[number]))
            for number in (1, 2)
        ]
        server = nodes[0]
        stack.enter_context(Life(nodes))
        chromium = stack.enter_context(browser())
        for look, options in LOOKS.items():
            chromium.open(server.url, **options)
            chromium.wait_for("#password")
            take(chromium, f"login-{look}")
            chromium.log_in(server.url, **options)
            time.sleep(WARM_UP)
            for name, page in PAGES.items():
                chromium.go(page)
                time.sleep(LONG_LOOKS.get(name, 2.5))
                if (name, look) == ("status", "dark"):  # the one in light shows the plots
                    chromium.click(".more summary")  # versions, and the servers of the engine
                    time.sleep(1)
                if name == "actions":
                    chromium.click("#send")
                    chromium.wait_for(".verdict")
                take(chromium, f"{name}-{look}")
            assert chromium.problems == []


def take(chromium: Browser, name: str) -> None:
    """Take one picture."""
    chromium.run("screenshot", {"path": str(TARGET / f"{name}.png")})


if __name__ == "__main__":
    take_all()
