"""The web interface as an operator uses it, in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin_browser import Browser, browser
from tests.admin_client import OPTIONS
from tests.api_client import APIClient
from tests.credentials import API_KEY
from tests.parts import ROOT
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running
from tests.waiting import eventually, seconds
from tests.websocket_client import Closed

LIBRARIES = ROOT / "admin" / "web" / "vendor"
SERVER = {
    **OPTIONS,
    "web": True,
    "name": "node-1",
    "namespaces": [
        {"name": "rich", "watch": True, "presence": True, "history_size": 10, "history_lifetime": 60, "publish": True}
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(SERVER, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as chromium:
        yield chromium


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Browser]:
    """The status page, logged in; at the end the page must have logged no error."""
    if chromium.is_logged_in(server.url):
        chromium.go("status")
        chromium.wait_for_text("h1", "Status")
    else:
        chromium.log_in(server.url)
    yield chromium
    assert chromium.problems == []


@pytest.fixture
def api(server: Server) -> APIClient:
    return APIClient(server.host, server.port)


class TestSession:
    def test_wrong_password_shows_an_error(self, chromium: Browser, server: Server) -> None:
        chromium.open(server.url)
        chromium.fill("#password", "wrong")
        chromium.click("form button")
        chromium.wait_for_text("[role=alert]", "Wrong password.")

    def test_opened_login_page_sends_no_empty_password(self, chromium: Browser, server: Server) -> None:
        chromium.open(server.url)
        chromium.wait_for("#password")
        chromium.wait_until("performance.getEntriesByName(new URL('auth/session', location).href).length > 0")
        chromium.click("form button")
        assert chromium.evaluate("document.querySelector('#password').matches(':invalid')")
        assert chromium.run("pages_log") == []

    def test_right_password_opens_the_status_page(self, page: Browser) -> None:
        assert page.text("h1") == "Status"
        page.wait_for("[data-node='node-1']")

    def test_a_reload_needs_no_password(self, page: Browser, server: Server) -> None:
        page.run("reload")
        page.wait_for(".state.connected")

    def test_scripts_of_the_page_cannot_read_the_session(self, page: Browser) -> None:
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("localStorage.getItem('gentrifugo.session')") == "cookie"

    def test_reload_after_logout_requires_the_password(self, page: Browser) -> None:
        page.click("#logout")
        page.wait_for("#password")
        page.run("reload")
        page.wait_for("#password")

    def test_logging_out_ends_the_session_of_other_tabs(self, page: Browser) -> None:
        page.evaluate("void (window.other = open(location.href))")
        page.wait_until("other.document.querySelector('.state.connected') !== null")
        page.click("#logout")
        page.wait_until("other.document.querySelector('#password') !== null")

    def test_logging_out_behind_a_proxy_does_not_log_in_again_at_once(
        self, chromium: Browser, start_server: Callable[..., Server]
    ) -> None:
        server = start_server(**SERVER, admin_trusted_header="X-Operator")
        chromium.open(server.url, extraHTTPHeaders={"X-Operator": "ann"})
        chromium.wait_for(".state.connected")
        chromium.click("#logout")
        chromium.wait_for_text("[role=alert]", "You have logged out.")
        chromium.wait_for("#password")
        chromium.run("reload")
        chromium.wait_for(".state.connected")

    def test_a_token_that_expires_leads_back_to_the_password(
        self, chromium: Browser, start_server: Callable[..., Server]
    ) -> None:
        server = start_server(**{**SERVER, "admin_token_lifetime": 2})
        chromium.log_in(server.url)
        chromium.wait_for_text("[role=alert]", "Your session has ended.")
        chromium.wait_for("#password")

    def test_insecure_admin_needs_no_password(self, chromium: Browser, start_server: Callable[..., Server]) -> None:
        server = start_server(web=True, insecure_admin=True)
        chromium.open(server.url)
        chromium.wait_for(".state.connected")
        assert not chromium.run("isVisible", "#logout")

    def test_interface_works_below_a_prefix(self, chromium: Browser, start_server: Callable[..., Server]) -> None:
        server = start_server(**SERVER, http_prefix="/live/here")
        chromium.log_in(f"{server.url}/live/here")
        chromium.wait_for("[data-node='node-1']")
        assert chromium.problems == []

    def test_restart_is_shown_and_the_session_continues(
        self, chromium: Browser, start_server: Callable[..., Server]
    ) -> None:
        first = start_server(**SERVER)
        chromium.log_in(first.url, "messages")
        first.stop()
        chromium.wait_for(".state.lost")
        chromium.wait_for_text("#banner", "The connection to the server is lost")
        second = start_server(port=first.port, **SERVER)
        chromium.wait_for(".state.connected")
        chromium.wait_until("document.getElementById('banner').hidden")
        eventually(lambda: _watches(chromium, second), what="messages are watched again")
        assert chromium.problems == []


def _watches(chromium: Browser, server: Server) -> bool:
    APIClient(server.host, server.port).publish("rich:news", "after the restart")
    return any("after the restart" in text for text in chromium.texts(".feed code"))


class TestStatus:
    def test_plots_move_without_a_reload(self, page: Browser, server: Server, api: APIClient) -> None:
        page.wait_until("document.querySelectorAll('.plot canvas').length === 8")
        with ProtocolClient(server):
            page.wait_until("document.querySelector('[data-tile=Clients] dd').innerText === '1'")
            for _ in range(20):
                api.publish("rich:news", 1)
            page.wait_until("Number(document.querySelector('[data-tile=\"Published/s\"] dd').innerText) > 0")
        before = page.evaluate("document.querySelectorAll('.plot canvas')[2].toDataURL()")
        page.wait_until(f"document.querySelectorAll('.plot canvas')[2].toDataURL() !== {json.dumps(before)}")

    def test_single_node_shows_no_differing_options(self, page: Browser) -> None:
        page.wait_for_text(".more summary", "all the same")
        assert not page.evaluate("document.querySelector('.more').open")

    def test_dark_and_light_can_be_changed(self, page: Browser) -> None:
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.press("t")
        page.wait_until(f"getComputedStyle(document.body).backgroundColor !== {before!r}")


class TestKeys:
    def test_pages_can_be_reached(self, page: Browser) -> None:
        for key, title in {"m": "Messages", "c": "Channels", "o": "Options", "s": "Status"}.items():
            page.press("g")
            page.press(key)
            page.wait_for_text("h1", title)

    def test_help_lists_the_keys(self, page: Browser) -> None:
        page.press("?")
        page.wait_for_text("dialog", "Messages")
        page.press("Escape")
        page.wait_until("!document.querySelector('dialog')")

    def test_slash_key_focuses_the_filter(self, page: Browser) -> None:
        page.go("messages")
        page.wait_for_text("h1", "Messages")
        page.press("/")
        page.wait_until("document.activeElement.dataset.filter !== undefined")


class TestMessages:
    @pytest.fixture
    def messages(self, page: Browser, api: APIClient) -> Browser:
        page.go("messages")
        page.wait_for_text("h1", "Messages")
        eventually(lambda: self.arrives(page, api), what="messages are watched")
        return page

    def arrives(self, page: Browser, api: APIClient) -> bool:
        api.publish("rich:first", "first")
        return "rich:first" in page.texts(".feed .channel")

    def test_a_message_arrives_as_it_was_sent(self, messages: Browser, api: APIClient) -> None:
        body = '{"method":"publish","params":{"channel":"rich:news","data":{"price":1.50,"big":12345678901234567890}}}'
        assert api.post(body).status == 200
        messages.wait_for_text(".feed code", '{"price":1.50,"big":12345678901234567890}')

    def test_message_can_be_expanded(self, messages: Browser, api: APIClient) -> None:
        api.publish("rich:news", {"look": "here"}, uid="m1")
        messages.wait_for_text(".feed code", '{"look":"here"}')
        messages.click(".feed li:first-child code")
        messages.wait_for_text(".feed pre", '"uid": "m1"')

    def test_filter_hides_messages(self, messages: Browser, api: APIClient) -> None:
        api.publish("rich:other", "needle")
        messages.wait_for_text(".feed code", "needle")
        messages.fill("[name=text]", "needle")
        messages.wait_until("document.querySelectorAll('.feed li').length === 1")
        messages.fill("[name=text]", "")
        for pattern in ("rich:first", "first", "rich:f*", "*:?irst"):
            messages.fill("[name=channel]", "nothing")
            messages.wait_until("document.querySelectorAll('.feed li').length === 0")
            messages.fill("[name=channel]", pattern)
            assert set(messages.texts(".feed .channel")) == {"rich:first"}
        messages.wait_for_text("#summary", "of them match")

    def test_pause_stops_the_list_of_messages(self, messages: Browser, api: APIClient) -> None:
        messages.press("p")
        time.sleep(0.3)  # what was on its way has come
        before = messages.texts(".feed code")
        api.publish("rich:news", "later")
        messages.wait_for_text("button[aria-pressed=true]", "new)")
        assert messages.texts(".feed code") == before
        messages.press("p")
        messages.wait_for_text(".feed code", "later")


class TestChannels:
    def test_channels_are_listed_with_their_subscribers(self, page: Browser, server: Server) -> None:
        with ProtocolClient(server, "1") as one, ProtocolClient(server, "2") as two:
            for client in (one, two):
                client.subscribe("rich:busy")
            two.subscribe("rich:quiet")
            page.go("channels")
            page.wait_for_text("tbody", "rich:busy")
            assert [row.split("\t")[:2] for row in page.texts("tbody tr")] == [["rich:busy", "2"], ["rich:quiet", "1"]]
            page.fill("[data-filter]", "qui")
            page.wait_until("document.querySelectorAll('tbody tr').length === 1")
            page.click("tbody a")
            page.wait_for_text("h1", "rich:quiet")

    def test_channel_page_shows_presence_history_and_new_messages(
        self, page: Browser, server: Server, api: APIClient
    ) -> None:
        api.publish("rich:room", {"kept": True})
        with ProtocolClient(server, "ann", '{"nick":"Annie"}') as ann:
            ann.subscribe("rich:room")
            page.go("channel/rich:room")
            eventually(lambda: self.comes_live(page, api))
            page.click("[role=tab]:nth-child(3)")
            page.wait_for_text("#presence tbody", ann.id)
            assert "Annie" in page.text("#presence tbody")
            page.click("[role=tab]:nth-child(2)")
            page.wait_for_text("#history", '{"kept":true}')

    def comes_live(self, page: Browser, api: APIClient) -> bool:
        api.publish("rich:elsewhere", "not here")
        api.publish("rich:room", "live")
        return set(page.texts(".one-channel .feed code")) == {'"live"'}

    def test_missing_presence_and_history_are_explained(self, page: Browser) -> None:
        page.go("channel/plain")
        page.wait_for_text("#watch-hint", "the option watch of this channel is off")
        page.click("[role=tab]:nth-child(2)")
        page.wait_for_text("#history", "This channel has no history: its options do not enable it.")
        page.go("channel/nowhere:x")
        page.wait_for_text("#watch-hint", "The namespace is not in the configuration.")
        page.click("[role=tab]:nth-child(3)")
        page.wait_for_text("#presence", "The namespace is not in the configuration.")


class TestActions:
    def choose(self, page: Browser, method: str, argument: str = "") -> None:
        page.go(f"actions/{method}/{argument}")
        page.wait_until(f"document.querySelector('.choice:has(:checked)')?.innerText === {method!r}")

    def type_data(self, page: Browser, text: str) -> None:
        page.wait_for(".ace_editor")
        page.evaluate(f"ace.edit(document.querySelector('.ace_editor')).setValue({json.dumps(text)}, -1)")

    def test_a_message_is_published_as_it_was_typed(self, page: Browser, server: Server) -> None:
        with ProtocolClient(server, "ann") as client:
            client.subscribe("rich:news")
            self.choose(page, "publish", "rich:news")
            self.type_data(page, '{"n": 1e3}')
            page.click("#send")
            page.wait_for_text(".verdict", "Done")
            assert client.socket.recv_text().endswith('"data":{"n": 1e3}}}')

    def test_invalid_json_is_reported_and_not_sent(self, page: Browser) -> None:
        self.choose(page, "publish", "rich:news")
        self.type_data(page, '{"n": 1,\n "m": }')
        page.wait_for_text(".problem", "Not JSON, line 2, column")
        page.click("#send")
        page.wait_for_text(".problem", "The data is not valid JSON.")
        assert not page.texts(".verdict")

    @pytest.mark.parametrize("kind", ["curl", "python"])
    def test_copied_text_has_no_control_characters(self, page: Browser, kind: str) -> None:
        self.choose(page, "publish", "rich:\x7f\x9b")
        self.type_data(page, '"\x7f\x9b"')
        page.wait_for_text(f"#{kind}", "rich:")
        page.wait_until(f"!document.querySelector('#{kind}').innerText.includes('Hello')")
        code = page.text(f"#{kind}")
        assert code.count("u007f") == 2
        assert not any("\x7f" <= character <= "\x9f" for character in code)

    def test_ctrl_enter_sends(self, page: Browser) -> None:
        self.choose(page, "publish", "rich:news")
        page.wait_for(".ace_editor")
        page.run("focus", ".ace_text-input")
        page.press("Control+Enter")
        page.wait_for_text(".verdict", "Done")

    @pytest.mark.parametrize(
        ("method", "fields"),
        [
            ("broadcast", {"channels": "rich:a\nrich:b"}),
            ("presence", {"channel": "rich:a"}),
            ("history", {"channel": "rich:a"}),
            ("channels", {}),
            ("unsubscribe", {"user": "nobody"}),
            ("disconnect", {"user": "nobody"}),
            ("stats", {}),
            ("node", {}),
        ],
    )
    def test_every_command_of_the_api_is_offered(self, page: Browser, method: str, fields: dict[str, str]) -> None:
        self.choose(page, method)
        for name, value in fields.items():
            page.fill(f"[name={name}]", value)
        page.click("#send")
        page.wait_for_text(".verdict", "Done")
        assert f'"method": "{method}"' in page.text("#reply")

    def test_an_error_of_the_server_is_shown(self, page: Browser) -> None:
        self.choose(page, "history", "plain")
        page.click("#send")
        page.wait_for_text(".verdict", "Error: not available")

    @pytest.mark.parametrize("kind", ["curl", "python"])
    def test_shown_programs_send_the_same_command(self, page: Browser, server: Server, kind: str) -> None:
        self.choose(page, "publish", "rich:news")
        self.type_data(page, '"it\'s $HOME `here` \\/ \\\\ \\"quoted\\""')
        page.wait_for_text(f"#{kind}", "HOME")
        script = page.text(f"#{kind}").replace("\u00a0", " ")
        program = ["bash", "-euo", "pipefail"] if kind == "curl" else [sys.executable, "-W", "error"]
        with ProtocolClient(server, "ann") as client:
            client.subscribe("rich:news")
            done = subprocess.run(
                [*program, "-c", script],
                env={**os.environ, "SECRET": server.secret},
                capture_output=True,
                text=True,
                timeout=seconds(20),
            )
            shown = {"curl": '[{"method":"publish","error":null,"body":null}]', "python": "None\n"}
            assert done.stdout == shown[kind], done.stderr
            assert client.message() == 'it\'s $HOME `here` / \\ "quoted"'


class TestActionsWithAPIKey:
    """Programs are shown for the API of later versions, if the server has an API key."""

    @pytest.fixture
    def page(self, chromium: Browser, start_server: Callable[..., Server]) -> Iterator[tuple[Browser, Server]]:
        server = start_server(**SERVER, api_key=API_KEY)
        chromium.log_in(server.url)
        yield chromium, server
        assert chromium.problems == []

    def run(self, page: tuple[Browser, Server], kind: str) -> str:
        """Run the shown program, and return what it prints."""
        browser, server = page
        script = browser.text(f"#{kind}").replace("\u00a0", " ")
        program = [sys.executable, "-W", "error"] if kind == "python" else ["bash", "-euo", "pipefail"]
        environment = {**os.environ, "API_KEY": API_KEY, "SECRET": server.secret}
        done = subprocess.run(
            [*program, "-c", script], env=environment, capture_output=True, text=True, timeout=seconds(20)
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @pytest.mark.parametrize("kind", ["curl", "python", "signed"])
    def test_shown_programs_publish(self, page: tuple[Browser, Server], kind: str) -> None:
        browser, server = page
        browser.go("actions/publish/rich:it's news")
        browser.wait_for_text(f"#{kind}", "SECRET" if kind == "signed" else "API_KEY")
        with ProtocolClient(server, "ann") as client:
            client.subscribe("rich:it's news")
            self.run(page, kind)
            assert client.message() == {"text": "Hello"}

    @pytest.mark.parametrize("kind", ["curl", "python"])
    def test_shown_programs_read_the_whole_history(self, page: tuple[Browser, Server], kind: str) -> None:
        browser, server = page
        for word in ("first", "second"):
            APIClient(server.host, server.port).publish("rich:news", word)
        browser.go("actions/history/rich:news")
        browser.wait_for_text(f"#{kind}", "reverse")
        shown = self.run(page, kind)
        assert 0 < shown.index("second") < shown.index("first")

    @pytest.mark.parametrize("method", ["presence", "channels", "broadcast", "unsubscribe", "disconnect"])
    def test_shown_commands_are_accepted(self, page: tuple[Browser, Server], method: str) -> None:
        browser, _ = page
        browser.go(f"actions/{method}/rich:news")
        browser.wait_for_text("#curl", f"/api/{method}")
        for name, value in (("user", "nobody"), ("channels", "rich:a")):
            if browser.evaluate(f"document.querySelector('[name={name}]') !== null"):
                browser.fill(f"[name={name}]", value)
                browser.wait_for_text("#curl", value)
        assert self.run(page, "curl").startswith('{"result":')

    def test_commands_of_v1_alone_are_signed(self, page: tuple[Browser, Server]) -> None:
        browser, _ = page
        browser.go("actions/stats")
        browser.wait_for_text("#curl", "X-API-Sign")
        assert not browser.run("isVisible", "#signed")
        assert '"method":"stats"' in self.run(page, "curl")


class TestUsers:
    def test_a_user_can_be_unsubscribed_and_disconnected(self, page: Browser, server: Server) -> None:
        with ProtocolClient(server, "bob") as bob:
            for channel in ("rich:a", "rich:b"):
                bob.subscribe(channel)
            page.go("users/bob")
            page.wait_for_text("#connections", bob.id)
            page.click("[aria-label='Unsubscribe bob from rich:a']")
            page.wait_for_text(".asking", "Unsubscribe bob?")
            page.click(".asking")
            assert bob.push()["body"] == {"channel": "rich:a", "status": True}
            page.wait_until("document.querySelectorAll('.chips li').length === 1")
            page.click("#disconnect")
            page.wait_for_text("#disconnect", "Close all connections of bob?")
            page.click("#disconnect")
            with pytest.raises(Closed) as closed:
                bob.push()
            assert closed.value.advice["reason"] == "disconnect"
            page.wait_for_text("#connections", "No connection of this user is open.")


class TestConfiguration:
    def test_options_are_shown_and_secrets_are_not(self, page: Browser) -> None:
        page.go("configuration")
        page.wait_for_text("[data-option=name]", "node-1")
        assert page.texts("[data-option=admin_password] td") == ["set, hidden"]
        assert OPTIONS["admin_password"] not in page.run("content")
        page.fill("[data-filter]", "ping")
        assert "ping_interval" in page.texts(".options code")
        assert "secret" not in page.texts(".options code")


EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class TestHostileContent:
    """Content that clients can choose is shown as text, never as HTML."""

    @pytest.fixture
    def evil(self, chromium: Browser, start_server: Callable[..., Server]) -> Iterator[tuple[Browser, Server]]:
        namespace = {"name": "rich", "watch": True, "presence": True, "history_size": 9, "history_lifetime": 60}
        options = {**SERVER, "name": EVIL, "namespaces": [namespace], "sockjs_url": EVIL, "max_channel_length": 255}
        server = start_server(**options)
        chromium.log_in(server.url)
        yield chromium, server
        assert "owned" not in str(chromium.run("title"))
        assert chromium.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0
        assert chromium.problems == []

    def test_hostile_content_is_shown_as_text_on_every_page(self, evil: tuple[Browser, Server]) -> None:
        page, server = evil
        channel = f"rich:{EVIL}"
        quoted = page.evaluate(f"encodeURIComponent({json.dumps(channel)})")
        info = json.dumps({"name": EVIL})
        with ProtocolClient(server, EVIL, info) as client:
            client.subscribe(channel)
            api = APIClient(server.host, server.port)
            page.wait_for_text("[data-node]", "<script>")
            page.go("channels")
            page.wait_for_text("tbody", "<script>")
            page.go(f"channel/{quoted}")
            page.wait_for_text("h1", "<script>")
            page.click("[role=tab]:nth-child(3)")
            page.wait_for_text("#presence", "<script>")
            api.publish(channel, {EVIL: EVIL})
            page.click("[role=tab]:nth-child(2)")
            page.wait_for_text("#history", "<script>")
            page.go("messages")
            page.wait_for_text("h1", "Messages")
            eventually(lambda: self.shown(page, api, channel))
            page.go(f"users/{page.evaluate(f'encodeURIComponent({json.dumps(EVIL)})')}")
            page.wait_for_text("#connections", "<script>")
            page.go(f"actions/history/{quoted}")
            page.wait_for_text("#curl", "<script>")
            page.click("#send")
            page.wait_for_text("#reply", "<script>")
            page.go("configuration")
            page.wait_for_text("[data-option=sockjs_url]", "<script>")

    def shown(self, page: Browser, api: APIClient, channel: str) -> bool:
        api.publish(channel, EVIL)
        return any("<script>" in text for text in page.texts(".feed code"))


def test_interface_works_without_the_libraries(
    chromium: Browser, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    web = tmp_path / "web"
    shutil.copytree(ROOT / "admin" / "web", web, ignore=shutil.ignore_patterns("vendor"))
    server = start_server(**SERVER, web_path=str(web))
    chromium.log_in(server.url)
    chromium.wait_for_text(".plot", "uPlot is not installed")
    chromium.click(".values summary")
    chromium.wait_for_text(".values table", "node-1")
    chromium.go("actions/publish/rich:news")
    chromium.wait_for_text(".hint", "Ace is not installed")
    chromium.fill(".editor textarea", "{")
    chromium.wait_for_text(".problem", "Not JSON")
    chromium.fill(".editor textarea", "[1]")
    chromium.click("#send")
    chromium.wait_for_text(".verdict", "Done")


class TestInterfaceOfV1:
    """Served through `web_path`: a page that sends the same requests as the web application of Centrifugo v1."""

    @pytest.fixture
    def v1(self, chromium: Browser, start_server: Callable[..., Server], tmp_path: Path) -> tuple[Browser, Server]:
        shutil.copy(ROOT / "tests" / "clients" / "v1_interface.html", tmp_path / "index.html")
        server = start_server(**SERVER, web_path=str(tmp_path))
        chromium.open(f"{server.url}/?password=open%20sesame")
        chromium.wait_until("seen.options !== null")
        return chromium, server

    def test_interface_of_v1_logs_in_and_shows_the_server(self, v1: tuple[Browser, Server]) -> None:
        seen = v1[0].evaluate("seen")
        assert seen["statuses"] == [400, 200]
        assert seen["connected"] is True
        assert (seen["engine"], seen["options"]["name"]) == ("memory", "node-1")
        assert seen["options"]["channel_options"]["watch"] is False
        assert [node["name"] for node in seen["nodes"]] == ["node-1"]
        assert "http_api_15_microseconds_99.99%ile" in seen["nodes"][0]["metrics"]
        assert seen["unknown"] == []

    def test_interface_of_v1_shows_messages_and_sends_commands(self, v1: tuple[Browser, Server]) -> None:
        page, _ = v1
        page.evaluate("act('publish', {channel: 'rich:news', data: {n: 1}})")
        page.wait_until("seen.replies.publish && seen.messages.length")
        seen = page.evaluate("seen")
        assert seen["replies"]["publish"] == {"uid": "1", "method": "publish", "error": None, "body": None}
        (message,) = seen["messages"]
        assert (message["channel"], message["data"]) == ("rich:news", {"n": 1})
        page.evaluate("act('history', {channel: 'rich:news'})")
        page.wait_until("seen.replies.history")
        assert page.evaluate("seen.replies.history.body.data[0].uid") == message["uid"]
        assert page.problems == []


def test_pages_load_files_only_from_the_server_itself() -> None:
    sources = [path for path in (ROOT / "admin" / "web").rglob("*.*") if LIBRARIES not in path.parents]
    addresses = [match for path in sources for match in re.findall(r"https?://[\w./-]+", path.read_text())]
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def phone(**more: Any) -> dict[str, Any]:
    return {"viewport": {"width": 360, "height": 740}, "hasTouch": True, "isMobile": True, **more}


def test_no_page_is_wider_than_a_phone(chromium: Browser, server: Server, api: APIClient) -> None:
    chromium.log_in(server.url, **phone())
    with ProtocolClient(server, "ann") as ann:
        ann.subscribe("rich:" + "a-long-name-" * 10)
        api.publish("rich:" + "a-long-name-" * 10, "word " * 100)
        channel = f"channel/rich:{'a-long-name-' * 10}"
        for path in (
            "status",
            "channels",
            channel,
            "messages",
            "clients",
            "users",
            "users/ann",
            "actions",
            "configuration",
        ):
            chromium.go(path)
            time.sleep(0.3)
            assert chromium.evaluate("document.documentElement.scrollWidth") <= 360, path
