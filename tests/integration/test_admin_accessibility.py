"""Accessibility of the web interface: axe-core, keyboard alone, and reduced motion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.admin_browser import Browser, browser
from tests.admin_client import OPTIONS, PASSWORD
from tests.api_client import APIClient
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running
from tests.waiting import eventually

SERVER = {
    **OPTIONS,
    "web": True,
    "ping_interval": 0,
    "name": "vm_21/010",
    "namespaces": [
        {"name": "rich", "watch": True, "presence": True, "history_size": 10, "history_lifetime": 60},
        {"name": "plain"},
    ],
}
PAGES = {
    "status": ".plot canvas",
    "channels": "tbody a",
    "channel/rich:room": "[role=tab]",
    "messages": ".feed .data",
    "clients": ".kinds td",
    "users": "tbody a",
    "users/ann": ".connection",
    "actions": ".ace_editor",
    "configuration": "[data-option=name]",
    "nowhere": "main a",
}
"""The pages, and an element that is there when a page has something to show."""
CUT = "(element) => element.scrollWidth > element.clientWidth"
LINES = """
(element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map(({top}) => top)).size;
}
"""
"""The number of lines of a text."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(SERVER, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def ann(server: Server) -> Iterator[ProtocolClient]:
    """A user in a channel."""
    with ProtocolClient(server, "ann", '{"nick": "Annie"}') as ann:
        ann.subscribe("rich:room")
        yield ann


def violations(page: Browser) -> list[str]:
    """The violations that axe-core reports for the current page."""
    return [
        f"{found['id']} ({found['impact']}): {node['html'][:150]}"
        for found in page.run("axe")
        for node in found["nodes"][:3]
    ]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_reports_no_violations_on_any_page(
    chromium: Browser, server: Server, ann: ProtocolClient, scheme: str, width: int
) -> None:
    look: dict[str, Any] = {
        "colorScheme": scheme,
        "viewport": {"width": width, "height": 900},
        "reducedMotion": "reduce",
    }
    chromium.open(server.url, **look)
    chromium.wait_for("#password")
    found = {"login": violations(chromium)}
    chromium.log_in(server.url, **look)
    for path, element in PAGES.items():
        chromium.go(path)
        eventually(partial(has_shown, chromium, server, element), what=path)
        found[path] = violations(chromium)
        for tab in range(2, 5) if path.startswith("channel/") else ():
            chromium.click(f"[role=tab]:nth-child({tab})")
            found[f"{path}, tab {tab}"] = violations(chromium)
    chromium.press("?")
    chromium.wait_for("dialog")
    found["help"] = violations(chromium)
    assert {place: problems for place, problems in found.items() if problems} == {}
    assert chromium.problems == []


def test_every_page_reflows_at_320_pixels(chromium: Browser, server: Server, ann: ProtocolClient) -> None:
    chromium.log_in(server.url, viewport={"width": 320, "height": 600})
    outside = {}
    for path, element in PAGES.items():
        chromium.go(path)
        eventually(partial(has_shown, chromium, server, element), what=path)
        if width := chromium.evaluate("document.documentElement.scrollWidth") - 320:
            outside[path] = width
    assert outside == {}
    assert chromium.evaluate(f"[...document.querySelectorAll('nav span')].filter({CUT}).length") == 0
    chromium.go("configuration")
    chromium.wait_for_text(".tile dd", "vm_21/010")
    assert chromium.evaluate(f"[...document.querySelectorAll('.tile dd')].map({LINES})") == [1, 1, 1]
    chromium.evaluate("document.getElementById('state').lastChild.innerText = 'disconnected'")
    chromium.evaluate("document.getElementById('state').className = 'state lost'")
    assert chromium.evaluate("document.getElementById('logout').getBoundingClientRect().right") <= 320


def has_shown(page: Browser, server: Server, element: str) -> bool:
    APIClient(server.host, server.port).publish("rich:room", {"text": "Hello", "urgent": False, "number": 1.5})
    return bool(page.evaluate(f"document.querySelector({json.dumps(element)}) !== null"))


class Keyboard:
    """Moves through a page with the Tab key alone."""

    def __init__(self, page: Browser) -> None:
        self.page = page

    def go_to(self, selector: str, key: str = "Tab") -> None:
        """Press Tab until an element has the focus."""
        for _ in range(80):
            if self.page.evaluate(f"document.activeElement?.matches({json.dumps(selector)})"):
                return
            self.page.press(key)
        raise AssertionError(f"Tab does not reach {selector}")


def test_the_keyboard_alone_logs_in_publishes_and_disconnects(
    chromium: Browser, server: Server, ann: ProtocolClient
) -> None:
    chromium.open(server.url)
    keyboard = Keyboard(chromium)
    keyboard.go_to("#password")
    chromium.run("type", "#password", PASSWORD)
    chromium.press("Enter")
    chromium.wait_for(".state.connected")
    keyboard.go_to("[data-page=actions]")
    chromium.press("Enter")
    chromium.wait_for_text("h1", "Actions")
    keyboard.go_to(".choice input:checked")
    for chosen in ("broadcast", "publish"):
        chromium.press("ArrowRight" if chosen == "broadcast" else "ArrowLeft")
        chromium.wait_until(f"document.activeElement.value === {chosen!r}")
    keyboard.go_to("[name=channel]")
    chromium.run("type", "[name=channel]", "rich:room")
    chromium.press("Control+Enter")
    chromium.press("Enter")
    chromium.wait_for_text(".verdict", "Done")
    with ProtocolClient(server, "zoe") as zoe:
        chromium.go("users/zoe")
        chromium.wait_for_text("#connections", zoe.id)
        keyboard.go_to("#disconnect")
        chromium.press("Enter")
        chromium.wait_for_text("#disconnect", "Close all connections of zoe?")
        chromium.press("Enter")
        assert zoe.wait_closed().advice["reason"] == "disconnect"


def test_tabs_are_controlled_with_arrow_keys(chromium: Browser, server: Server, ann: ProtocolClient) -> None:
    chromium.log_in(server.url, "channel/rich:room")
    chromium.wait_for("[role=tab]")
    Keyboard(chromium).go_to("[role=tab][aria-selected=true]")
    for title in ("History", "Presence", "Options", "Messages"):
        chromium.press("ArrowRight")
        chromium.wait_until(f"document.activeElement.innerText === {title!r}")
        assert (
            len(
                chromium.evaluate(
                    "[...document.querySelectorAll('[role=tabpanel]:not([hidden])')].map((one) => one.id)"
                )
            )
            == 1
        )


def test_keys_do_nothing_behind_the_list_of_keys(chromium: Browser, server: Server) -> None:
    chromium.log_in(server.url)
    for key in ("?", "?", "g", "c"):
        chromium.press(key)
    assert len(chromium.texts("dialog")) == 1
    assert chromium.evaluate("location.hash") == "#/status"
    chromium.press("Escape")
    chromium.wait_until("!document.querySelector('dialog')")


def test_focus_stays_on_the_buttons_of_a_list(chromium: Browser, server: Server) -> None:
    with ProtocolClient(server, "ben") as ben:
        for number in range(101):
            ben.subscribe(f"plain:{number}")
        chromium.log_in(server.url, "channels")
        keyboard = Keyboard(chromium)
        chromium.wait_until("document.querySelector('.row .row button:enabled')?.innerText === 'Next'")
        keyboard.go_to(".row .row button:enabled")
        chromium.press("Enter")
        chromium.wait_until("document.activeElement.innerText === 'Previous'")
        keyboard.go_to("th:not([aria-sort]) button")
        chromium.press("Enter")
        chromium.wait_until("document.activeElement.matches('th[aria-sort=ascending] button')")


def test_focus_moves_to_a_page_that_a_link_or_a_key_opens(
    chromium: Browser, server: Server, ann: ProtocolClient
) -> None:
    chromium.log_in(server.url, "channels")
    chromium.wait_for("tbody a")
    Keyboard(chromium).go_to("tbody a")
    chromium.press("Enter")
    chromium.wait_for_text("h1", "rich:room")
    assert chromium.evaluate("document.activeElement.id") == "content"
    for key in ("g", "u"):
        chromium.press(key)
    chromium.wait_for_text("h1", "Users")
    assert chromium.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_animations_are_off_with_reduced_motion(chromium: Browser, server: Server, motion: str, moves: bool) -> None:
    chromium.log_in(server.url, reducedMotion=motion)
    chromium.evaluate("document.getElementById('state').className = 'state lost'")
    assert (chromium.evaluate("getComputedStyle(document.querySelector('.dot')).animationName") != "none") is moves
    assert chromium.evaluate("document.getAnimations().length > 0") is moves
