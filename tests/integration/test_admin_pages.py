"""The contents and functions of the pages of the web interface, in a real browser with two nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.admin_browser import Browser, browser
from tests.admin_client import OPTIONS
from tests.api_client import APIClient
from tests.credentials import TOKEN_KEY, jwt
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2
from tests.redis_server import redis_server
from tests.servers import Server, running
from tests.waiting import eventually

NAMESPACES = [
    {"name": "kept", "history_size": 10, "history_lifetime": 60, "presence": True},
    {"name": "shown", "watch": True},
]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two nodes; the second one differs in an option."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path_factory.mktemp("redis")))
        options = {**OPTIONS, **redis.options, "web": True, "namespaces": NAMESPACES}
        options |= {"node_ping_interval": 1, "ping_interval": 0, "token_hmac_secret_key": TOKEN_KEY}
        yield [
            stack.enter_context(
                running({**options, "name": f"node-{number}", "drain_time": number}, tmp_path_factory.mktemp("node"))
            )
            for number in (1, 2)
        ]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as chromium:
        yield chromium


@pytest.fixture
def page(chromium: Browser, nodes: list[Server]) -> Iterator[Browser]:
    """A page of the first node, logged in."""
    if not chromium.is_logged_in(nodes[0].url):
        chromium.log_in(nodes[0].url)
    yield chromium
    assert chromium.problems == []


def open_page(page: Browser, path: str, title: str) -> None:
    page.go("nowhere")  # so that the page begins anew
    page.wait_for_text("h1", "Page not found")
    page.go(path)
    page.wait_for_text("h1", title)


STACKED_PLOT = """
(async () => {
    const {Plot} = await import('./plot.js');
    const times = [1, 2, 3, 4, 5, 6].map((second) => 1800000000 + second);
    const values = (place) => times.map((_, index) => (place === PLACE && index > 2 ? 9 : 0));
    const lines = [0, 1, 2].map((place) => ({label: `${place}`, values: values(place)}));
    const format = Object.assign((value) => String(value), {steps: [1, 2, 5]});
    const plot = new Plot('stack', () => times, () => lines, format, {stacked: true});
    document.querySelector('main').append(plot.element);
    await plot.update();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const canvas = plot.element.querySelector('canvas');
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height / 2);
    const style = getComputedStyle(document.documentElement);
    const parts = (colour) => colour.match(/[0-9a-f]{2}/g).map((part) => parseInt(part, 16));
    const colours = [1, 2, 3].map((number) => parts(style.getPropertyValue(`--plot-${number}`)));
    const near = (at, colour) => data[at + 3] > 200 && colour.every((part, i) => Math.abs(part - data[at + i]) < 24);
    return colours.map((colour) => {
        let count = 0;
        for (let at = 0; at < data.length; at += 4) count += near(at, colour);
        return count;
    });
})()
"""
"""The numbers of pixels in the upper half of a stacked plot with the colour of each line; only one line is not 0."""


class TestPlots:
    """The plot of the clients, which is the first one of the page Status."""

    @pytest.fixture
    def status(self, page: Browser, nodes: list[Server]) -> Iterator[Browser]:
        open_page(page, "status", "Status")
        with ProtocolClient(nodes[0], "ann"):
            page.wait_until("document.querySelectorAll('.legend .key').length > 3")
            page.wait_until("document.querySelector('[data-tile=Clients] dd').innerText === '1'")
            page.wait_until("Number(document.querySelector('.plot-card .figure').innerText) === 1")
            yield page

    def at(self, page: Browser, part: float) -> tuple[float, float]:
        """The screen position at a part of the width of the first plot."""
        page.evaluate("document.querySelector('.u-over').scrollIntoView({block: 'center'})")
        box = page.evaluate(
            "(({x, y, width}) => [x, y, width])(document.querySelector('.u-over').getBoundingClientRect())"
        )
        return box[0] + part * box[2], box[1] + 50

    def test_values_and_time_under_the_cursor_are_shown(self, status: Browser) -> None:
        for part in (0.9, 0.99):
            status.run("mouse", "move", *self.at(status, part))
        status.wait_for(".tip:not([hidden]) time")
        assert "node-1" in status.text(".tip:not([hidden])")
        assert len(status.texts(".tip:not([hidden])")) == 1
        cursors = (
            "[...document.querySelectorAll('.u-cursor-x')].filter((one) => !one.classList.contains('u-off')).length"
        )
        status.wait_until(f"{cursors} === 8")

    def test_dragging_zooms_all_plots_and_a_double_click_ends_that(self, status: Browser) -> None:
        status.run("mouse", "move", *self.at(status, 0.5))
        status.run("mouse", "down")
        status.run("mouse", "move", *self.at(status, 0.8))
        status.run("mouse", "up")
        status.wait_until("document.querySelectorAll('.whole:not([hidden])').length === 8")
        status.run("mouse", "dblclick", *self.at(status, 0.5))
        status.wait_until("document.querySelectorAll('.whole:not([hidden])').length === 0")

    def test_a_line_can_be_switched_off(self, status: Browser) -> None:
        key = ".legend .key"
        status.click(key)
        status.wait_until(f"document.querySelector('{key}').getAttribute('aria-pressed') === 'false'")
        status.click(key)
        status.wait_until(f"document.querySelector('{key}').getAttribute('aria-pressed') === 'true'")

    def test_plot_values_are_available_as_text(self, status: Browser) -> None:
        assert "lowest" in status.evaluate("document.querySelector('.plot').getAttribute('aria-label')")
        status.click(".values summary")
        status.wait_for(".values[open] th")
        assert status.texts(".values[open] th")[:5] == ["Line", "Now", "Lowest", "Highest", "Mean"]
        status.click(".values summary")

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_value_in_a_stack_has_the_colour_of_its_line(self, status: Browser, place: int) -> None:
        pixels = status.evaluate(STACKED_PLOT.replace("PLACE", str(place)))
        assert pixels.index(max(pixels)) == place, pixels
        status.evaluate("document.querySelector('[aria-label=stack]').remove()")


class TestNodes:
    def test_options_that_differ_are_named(self, page: Browser) -> None:
        open_page(page, "status", "Status")
        page.wait_for_text(".more summary", "one option differs")
        page.wait_for_text(".more td", "redis")
        page.wait_for_text(".more tr", "drain_time\t1\t2")

    def test_an_unknown_page_is_named(self, page: Browser) -> None:
        open_page(page, "stauts", "Page not found")
        page.wait_for_text("main", "#/stauts")
        page.click("main a")
        page.wait_for_text("h1", "Status")


@pytest.fixture(scope="class")
def busy(nodes: list[Server]) -> Iterator[None]:
    """250 channels, the first 50 of them on both nodes."""
    with ExitStack() as stack:
        for node, first, last in ((0, 0, 100), (0, 100, 150), (1, 0, 50), (1, 150, 250)):
            client = stack.enter_context(ProtocolClient(nodes[node], "many"))
            for number in range(first, last):
                client.subscribe(f"channel-{number:03}")
        yield


class TestLists:
    def test_all_channels_can_be_reached_by_name(self, page: Browser, busy: None) -> None:
        open_page(page, "channels", "Channels")
        page.wait_for_text(".page p", "1 to 100 of")
        page.click("thead th:first-child button")
        page.wait_for_text("tbody tr:first-child", "channel-000\t2")
        for first in ("channel-100", "channel-200"):
            page.click("form + .row button:last-child")
            page.wait_for_text("tbody tr:first-child", first)
        page.wait_for_text(".page p", "201 to 250 of 250 channels, each listed once.")
        page.click("form + .row button:first-child")
        page.wait_for_text("tbody tr:first-child", "channel-100")

    def test_channels_are_found_by_the_beginning_of_their_name(self, page: Browser, busy: None) -> None:
        open_page(page, "channels", "Channels")
        page.fill("[data-filter]", "nnel-24")
        page.wait_for_text(".page p", "1 to 10 of 10 channels, each listed once.")
        page.run("selectOption", "form select", "prefix")
        page.wait_for_text(".page p", "No channels match.")
        page.fill("[data-filter]", "channel-24")
        page.wait_for_text(".page p", "1 to 10 of 10 channels, each listed once.")

    def test_the_busiest_channel_comes_first(self, page: Browser, nodes: list[Server], busy: None) -> None:
        open_page(page, "channels", "Channels")
        page.click("thead th:last-child button")
        eventually(lambda: self.is_first(page, nodes[1], "channel-042"), within=15, what="the rates are known")

    def is_first(self, page: Browser, node: Server, channel: str) -> bool:
        APIClient(node.host, node.port).publish(channel, 1)
        first = page.texts("tbody tr:first-child")
        return bool(first) and first[0].startswith(channel) and first[0][-1].isdigit()

    def test_the_focus_stays_on_a_channel_when_the_list_is_updated(self, page: Browser, busy: None) -> None:
        open_page(page, "channels", "Channels")
        page.click("thead th:first-child button")
        page.wait_for_text("tbody tr:first-child", "channel-000")
        # At once, because the list may be updated between two calls.
        page.evaluate("(link => { link.id = 'old'; link.focus(); })(document.querySelector('tbody tr:nth-child(7) a'))")
        page.wait_until("!document.getElementById('old')")
        assert page.evaluate("document.activeElement.innerText") == "channel-006"

    def test_users_are_listed_by_connections(self, page: Browser, nodes: list[Server], busy: None) -> None:
        with ProtocolClient(nodes[0], "single"):
            open_page(page, "users", "Users")
            page.wait_for_text("tbody", "single")
            assert page.texts("tbody tr") == ["many\t4", "single\t1"]
            page.click("tbody tr:last-child a")
            page.wait_for_text("h1", "single")

    @pytest.mark.parametrize(
        ("name", "title", "label"), [("users", "Users", "User ID"), ("channels", "Channels", "Name")]
    )
    def test_the_search_says_what_it_looks_for(self, name: str, title: str, label: str, page: Browser) -> None:
        in_text = label[0].lower() + label[1:]
        open_page(page, name, title)
        assert page.text("form label").split("contains")[0].strip() == label
        assert page.evaluate("document.querySelector('[data-filter]').placeholder") == label
        assert page.evaluate("document.querySelector('form select').ariaLabel") == f"How the {in_text} matches"
        page.fill("[data-filter]", "nothing like this")
        page.wait_for_text(".page p", f"No {name} match. Press Enter to open this {in_text}.")


class TestUser:
    def test_one_connection_is_closed_after_a_question(self, page: Browser, nodes: list[Server]) -> None:
        with ProtocolClient(nodes[0], "bob") as kept, ProtocolClient(nodes[1], "bob") as closed:
            open_page(page, "users/bob", "bob")
            page.wait_for_text(".connection", kept.id)
            card = f"[aria-label='Connection {closed.id}']"
            for fact in ("node-2", "127.0.0.1", "websocket", "v1"):
                page.wait_for_text(card, fact)
            button = f"[aria-label='Close connection {closed.id} of bob']"
            page.click(button)
            page.wait_for_text(".asking", "Close this connection of bob?")
            page.click(".asking")
            assert closed.wait_closed().advice["reason"] == "disconnect"
            page.wait_until("document.querySelectorAll('.connection').length === 1")
            assert kept.call("ping")["method"] == "ping"


class TestClients:
    def test_kinds_of_clients_and_reasons_of_closes_are_counted(self, page: Browser, nodes: list[Server]) -> None:
        with ProtocolClient(nodes[1], "eve") as eve:
            open_page(page, "clients", "Clients")
            page.wait_for_text(".kinds", "websocket")
            page.wait_for_text(".kinds", "v1")
            api = APIClient(nodes[0].host, nodes[0].port)
            assert api.post('{"method":"disconnect","params":{"user":"eve"}}').status == 200
            eve.wait_closed()
        page.wait_for_text("[aria-label='Closed by the server'] tr", "eve\tdisconnect")
        page.wait_for_text("[aria-label=Reasons] tr", "disconnect")
        page.wait_for_text(".legend", "disconnect")

    def test_closes_of_the_last_minute_are_shown_with_plots_of_a_day(self, page: Browser, nodes: list[Server]) -> None:
        page.evaluate("localStorage.setItem('gentrifugo.window', '86400')")
        try:
            open_page(page, "clients", "Clients")
            page.wait_for_text(".kinds", "Transports")
            time.sleep(1)  # the page has asked once
            ProtocolClient(nodes[1], "eve").close()
            figure = "document.querySelector('[aria-label=\\'Closed connections, per minute\\'] .figure').innerText"
            page.wait_until(f"parseFloat({figure}) > 0")
        finally:
            page.evaluate("localStorage.removeItem('gentrifugo.window')")

    def test_long_name_of_a_library_hides_no_figures(self, page: Browser, nodes: list[Server]) -> None:
        with ProtocolClientV2(nodes[0]) as client:
            client.call("connect", token=jwt(sub="zoe"), name="x" * 200)
            open_page(page, "clients", "Clients")
            page.wait_for_text(".kinds", "xxxxx")
            assert page.evaluate(
                "[...document.querySelectorAll('.kinds .scroll')].every((one) => one.scrollWidth === one.clientWidth)"
            )


def test_a_long_name_hides_no_numbers_of_a_list(page: Browser, nodes: list[Server]) -> None:
    with ProtocolClient(nodes[0], "ann") as ann:
        ann.subscribe("shown:" + "x" * 200)
        open_page(page, "channels", "Channels")
        page.wait_for_text("tbody a", "xxxxx")
        assert (
            page.evaluate(
                "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector('.scroll'))"
            )
            == 0
        )


def test_options_say_that_none_matches(page: Browser) -> None:
    open_page(page, "configuration", "Options")
    page.fill("[data-filter]", "no such option")
    page.wait_for_text(".hint", "No option matches.")


SELECT = """
(selector) => {
    const range = document.createRange();
    range.selectNodeContents(document.querySelector(selector));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
}
"""


class TestUse:
    """What an operator does on several pages, with the mouse or the keyboard."""

    def test_selected_text_stays_to_be_copied(self, page: Browser, nodes: list[Server]) -> None:
        with ProtocolClient(nodes[0], "ann") as ann:
            for path, selector, text in (("users/ann", ".connection code", ann.id), ("users", "tbody a", "ann")):
                open_page(page, path, "ann" if path == "users/ann" else "Users")
                page.wait_for(selector)
                page.evaluate(f"({SELECT})({selector!r})")
                before = page.text("#content")
                with ProtocolClient(nodes[0], "ann" if path == "users/ann" else "bob"):
                    page.wait_until(f"document.querySelector('#content').innerText !== {json.dumps(before)}")
                    assert page.evaluate("getSelection().toString()") == text

    def test_opened_message_stays_open_after_a_pause(self, page: Browser, nodes: list[Server]) -> None:
        open_page(page, "messages", "Messages")
        eventually(lambda: self.arrives(page, nodes[0]), what="a message")
        page.press("p")
        page.wait_for_text("[aria-pressed=true]", "Continue")
        page.click(".feed .data")
        page.wait_for(".feed pre")
        APIClient(nodes[0].host, nodes[0].port).publish("shown:x", "later")
        page.wait_for_text("[aria-pressed=true]", "1 new")
        page.press("p")
        page.wait_for_text(".feed code", "later")
        assert len(page.texts(".feed pre")) == 1

    def arrives(self, page: Browser, node: Server) -> bool:
        APIClient(node.host, node.port).publish("shown:x", "sooner")
        return "shown:x" in page.texts(".feed .channel")

    def test_list_is_as_before_when_an_operator_comes_back(self, page: Browser, nodes: list[Server]) -> None:
        with ProtocolClient(nodes[0], "ann") as ann:
            for number in range(3):
                ann.subscribe(f"shown:room-{number}")
            open_page(page, "channels", "Channels")
            page.fill("[data-filter]", "room-")
            page.click("thead th:first-child button")
            page.wait_until("document.querySelectorAll('tbody a').length === 3")
            page.click("tbody tr:nth-child(2) a")
            page.wait_for_text("h1", "shown:room-1")
            page.run("goBack")
            page.wait_for_text("h1", "Channels")
            page.wait_until("document.querySelectorAll('tbody a').length === 3")
            assert page.evaluate("document.querySelector('[data-filter]').value") == "room-"
            assert page.evaluate("document.querySelector('thead th').getAttribute('aria-sort')") == "ascending"


class TestWatching:
    def test_a_namespace_is_watched_for_a_while(self, page: Browser, nodes: list[Server]) -> None:
        open_page(page, "messages", "Messages")
        page.click(".watch summary")
        page.run("selectOption", ".watch select", "kept")
        page.click("#watch")
        page.wait_for_text(".watched", "Watching kept")
        eventually(lambda: self.arrives(page, nodes[1]), what="messages of the other node are watched")
        page.click(".watched button")
        page.wait_until("!document.querySelector('.watched li')")
        line = "watches messages of namespace 'kept' for 60 s, although option watch is off"
        assert all(line in node.log for node in nodes)

    def test_a_watched_channel_says_that_its_messages_are_shown(self, page: Browser, nodes: list[Server]) -> None:
        open_page(page, "channel/kept:secretly", "kept:secretly")
        page.wait_for_text("#watch-hint", "New messages are not shown")
        page.wait_for_text(".watch", "No messages are shown")
        page.click("#watch")
        page.wait_for_text("#watch-hint", "New messages appear here.")
        eventually(lambda: self.arrives(page, nodes[1]), what="messages are watched")
        assert not any("No messages are shown" in text for text in page.texts(".watch"))
        page.click(".watched button")
        page.wait_for_text("#watch-hint", "New messages are not shown")
        page.wait_for_text(".watch", "No messages are shown")

    def arrives(self, page: Browser, node: Server) -> bool:
        APIClient(node.host, node.port).publish("kept:secretly", "seen")
        return "kept:secretly" in page.texts(".feed .channel")


class TestChannel:
    def test_history_has_offsets_and_the_position(self, page: Browser, nodes: list[Server]) -> None:
        api = APIClient(nodes[1].host, nodes[1].port)
        for number in range(3):
            api.publish("kept:room", {"number": number}, uid=f"uid-{number}")
        open_page(page, "channel/kept:room", "kept:room")
        page.click("[role=tab]:nth-child(2)")
        page.wait_for_text(".position", "Recover from offset")
        assert [text.split("\n")[:2] for text in page.texts("#history summary")] == [
            ["3", "uid-2"],
            ["2", "uid-1"],
            ["1", "uid-0"],
        ]
        page.click("#history summary")
        page.wait_for_text("#history pre", '"offset": 3')
        page.wait_for_text("#history .copies", "publish again with curl")

    def test_options_say_where_they_come_from(self, page: Browser) -> None:
        open_page(page, "channel/kept:room", "kept:room")
        page.click("[role=tab]:nth-child(4)")
        page.wait_for_text("[data-option=history_size]", "history_size\t10\tnamespace kept")
        page.wait_for_text("[data-option=watch]", "watch\tfalse\tdefault")

    def test_subscribers_and_rate_are_plotted(self, page: Browser, nodes: list[Server]) -> None:
        with ProtocolClient(nodes[1], "ann") as ann:
            ann.subscribe("kept:plot")
            open_page(page, "channel/kept:plot", "kept:plot")
            page.wait_for_text("[aria-label=Subscribers] .legend", "node-2\n1")
            page.wait_until("document.querySelectorAll('.plot canvas').length === 3")
            page.wait_for_text("#recorded", "Recorded since ")
            page.wait_for_text("[data-tile='Messages/s']", "0")
            page.wait_for_text("[data-tile=Present]", "1")


def test_throttled_logins_are_counted_down(
    chromium: Browser, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server(**OPTIONS, web=True)
    chromium.open(server.url)
    for _ in range(8):
        chromium.fill("#password", "wrong")
        chromium.wait_until("!document.querySelector('form button').disabled")
        chromium.click("form button")
        if any("Wait" in text for text in chromium.texts("form button")):
            break
    chromium.wait_for_text("form button", "Wait ")
    chromium.wait_for_text("[role=alert]", "retry in")
    chromium.wait_for_text("form button", "Log in")
