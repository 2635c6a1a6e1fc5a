"""Behaviour of the Flask extension, in applications of the test's own process, which gevent has not patched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from flask import Flask, render_template_string

from gentrifugo import CommandError, Gentrifugo
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.model import signing
from gentrifugo.app.runtime import monkey
from tests.flask_sites import carried, in_thread, serve, site, status
from tests.waiting import seconds
from tests.websocket_client import HandshakeRefused, WebSocketClient

__all__ = ["serve"]


class TestOptions:
    def test_they_stand_in_the_applications_config(self) -> None:
        app = site(GENTRIFUGO_SECRET="mine", GENTRIFUGO_PING_INTERVAL=7, GENTRIFUGO_NAMESPACES=[{"name": "chat"}])
        Gentrifugo(app)
        config = carried(app).config
        assert (config.secret, config.ping_interval, config.namespaces[0].name) == ("mine", 7, "chat")

    def test_those_of_the_application_beat_a_mapping(self) -> None:
        app = site(GENTRIFUGO_PING_INTERVAL=7)
        Gentrifugo(app, {"ping_interval": 8, "max_channel_length": 9})
        assert (carried(app).config.ping_interval, carried(app).config.max_channel_length) == (7, 9)

    def test_they_may_stand_in_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "options.toml"
        file.write_text('secret = "of the file"\nping_interval = 9\n')
        app = site()
        Gentrifugo(app, file)
        assert (carried(app).config.secret, carried(app).config.ping_interval) == ("of the file", 9)

    def test_a_secret_is_made_of_the_applications_key(self) -> None:
        apps = [site(SECRET_KEY=key) for key in ("key", b"key", "other")]
        for app in apps:
            Gentrifugo(app)
        first, same, other = (carried(app).config.secret for app in apps)
        assert first == same != other
        assert "key" not in first

    def test_without_any_key_it_says_what_is_missing(self) -> None:
        with pytest.raises(ConfigError, match="secret: not set"):
            Gentrifugo(site(SECRET_KEY=None))

    def test_a_wrong_one_is_named_as_it_was_given(self) -> None:
        with pytest.raises(ConfigError, match=r"app\.config: GENTRIFUGO_PING_INTERVAL: Not a valid number"):
            Gentrifugo(site(GENTRIFUGO_PING_INTERVAL="often"))
        with pytest.raises(ConfigError, match=r"the options of Gentrifugo\(\.\.\.\): ping_interval"):
            Gentrifugo(site(), {"ping_interval": "often"})

    def test_an_unknown_one_is_named_with_the_nearest(self, caplog: pytest.LogCaptureFixture) -> None:
        Gentrifugo(site(GENTRIFUGO_PING_INTERVALL=1))
        assert "app.config: unknown option ping_intervall; did you mean ping_interval?" in caplog.text


class TestMounting:
    def test_a_second_server_is_refused(self) -> None:
        app = site()
        Gentrifugo(app)
        with pytest.raises(RuntimeError, match="already"):
            Gentrifugo(app)

    def test_unknown_endpoints_are_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown endpoints: clients; there are client, api, admin"):
            Gentrifugo(site(), endpoints=["clients"])

    def test_endpoints_stand_below_the_prefix(self, serve: Callable[[Flask], int]) -> None:
        app = site()
        app.add_url_rule("/", "home", lambda: "the site")
        Gentrifugo(app, url_prefix="/live")
        port = serve(app)
        assert in_thread(status, port, "GET", "/") == (200, "the site")
        assert in_thread(status, port, "GET", "/live/connection/info")[0] == 200
        assert in_thread(status, port, "POST", "/live/api/")[0] == 400
        assert in_thread(status, port, "GET", "/connection/info")[0] == 404

    @pytest.mark.parametrize(
        ("prefix", "is_there"), [("live", "/live"), ("/live/", "/live"), ("/a/b/", "/a/b"), ("/", ""), ("", "")]
    )
    def test_a_prefix_may_have_slashes_at_its_ends_or_none(self, prefix: str, is_there: str) -> None:
        app = site()
        Gentrifugo(app, url_prefix=prefix)
        assert carried(app).config.http_prefix == is_there
        assert f"{is_there}/api/" in {rule.rule for rule in app.url_map.iter_rules()}

    @pytest.mark.parametrize("prefix", ["/a b", "/a?b", "//a//b", None, 7])
    def test_a_prefix_that_is_none_is_named_as_it_was_given(self, prefix: Any) -> None:
        with pytest.raises(ConfigError, match=r"^url_prefix: Must be a path"):
            Gentrifugo(site(), url_prefix=prefix)

    def test_views_can_be_named_to_exempt_them(self) -> None:
        app = site()
        rt = Gentrifugo(app)
        rt.on_private_subscribe(lambda context: None)
        rt.on_refresh(lambda context: None)
        views = [app.view_functions[name] for name in ("gentrifugo_api.api", "gentrifugo_auth", "gentrifugo_refresh")]
        assert len({f"{view.__module__}.{view.__name__}" for view in views}) == 3

    @pytest.mark.parametrize(
        ("endpoints", "found"), [(["client"], (True, False)), (["api"], (False, True)), (["admin"], (False, False))]
    )
    def test_each_can_be_there_by_itself(
        self, serve: Callable[[Flask], int], endpoints: list[str], found: tuple[bool, bool]
    ) -> None:
        app = site()
        Gentrifugo(app, endpoints=endpoints)
        port = serve(app)
        client = in_thread(status, port, "GET", "/realtime/connection/info")[0] != 404
        api = in_thread(status, port, "POST", "/realtime/api/", {"Content-Type": "application/json"})[0] != 404
        assert (client, api) == found
        if not found[0]:
            with pytest.raises(HandshakeRefused, match="404"):
                in_thread(WebSocketClient.connect, "127.0.0.1", port, path="/realtime/connection/websocket")

    def test_operators_are_served_when_options_ask_for_them(self, serve: Callable[[Flask], int]) -> None:
        app = site(
            GENTRIFUGO_WEB=True, GENTRIFUGO_HEALTH=True, GENTRIFUGO_ADMIN_PASSWORD="p", GENTRIFUGO_ADMIN_SECRET="s"
        )
        Gentrifugo(app)
        port = serve(app)
        assert in_thread(status, port, "GET", "/realtime/health")[0] == 200
        assert "<title>" in in_thread(status, port, "GET", "/realtime/")[1]


class TestCalls:
    def test_a_client_gets_what_the_application_publishes(self, serve: Callable[[Flask], int]) -> None:
        app = site()
        rt = Gentrifugo(app)
        port = serve(app)
        with app.test_request_context(base_url=f"http://127.0.0.1:{port}"):
            params = rt.connection_params("42", {"name": "Ann"})
        assert params.pop("url") == f"http://127.0.0.1:{port}/realtime"
        client = in_thread(WebSocketClient.connect, "127.0.0.1", port, path="/realtime/connection/websocket")

        def call(method: str, params: dict[str, str]) -> Any:
            client.send_json({"method": method, "params": params})
            return client.recv_json()

        assert "error" not in in_thread(call, "connect", params)
        assert in_thread(call, "subscribe", {"channel": "news"})["body"]["status"]
        assert rt.channels() == ["news"]
        rt.publish("news", {"text": "hello"})
        assert in_thread(client.recv_json)["body"]["data"] == {"text": "hello"}
        rt.unsubscribe("42", "news")
        assert in_thread(client.recv_json)["method"] == "unsubscribe"
        rt.disconnect("42")
        assert "disconnect" in in_thread(client.wait_closed).reason

    def test_two_applications_share_nothing(self, serve: Callable[[Flask], int]) -> None:
        rt, first, second = Gentrifugo(), site(), site()
        options = {"namespaces": [{"name": "chat", "history_size": 5, "history_lifetime": 60}]}
        for app in (first, second):
            rt.init_app(app, options)
            serve(app)
        with first.app_context():
            rt.publish("chat:1", 1)
            assert len(rt.history("chat:1")) == 1
        with second.app_context():
            assert rt.history("chat:1") == []
        assert carried(first) is not carried(second)

    def test_errors_are_exceptions(self, serve: Callable[[Flask], int]) -> None:
        app = site()
        rt = Gentrifugo(app)
        serve(app)
        with pytest.raises(CommandError, match="namespace not found"):
            rt.publish("what:1", 1)

    def test_without_an_application_it_says_what_to_do(self) -> None:
        with pytest.raises(RuntimeError, match=r"call init_app\(app\)"):
            Gentrifugo().publish("news", 1)

    def test_in_another_application_it_says_so(self) -> None:
        rt = Gentrifugo(site())
        with Flask("other").app_context(), pytest.raises(RuntimeError, match="'other' has no Gentrifugo server"):
            rt.publish("news", 1)

    def test_templates_have_what_a_page_needs(self) -> None:
        app = site()
        Gentrifugo(app)
        with app.test_request_context(base_url="https://chat.example"):
            shown = render_template_string("{{ gentrifugo_params('42')|tojson }}")
        assert '"url": "https://chat.example/realtime"' in shown

    def test_a_user_may_be_a_number(self) -> None:
        app = site(GENTRIFUGO_SECRET="s")
        rt = Gentrifugo(app)
        with app.test_request_context():
            params = rt.connection_params(42)
            with pytest.raises(TypeError, match="expected a text or a number"):
                rt.connection_params(["42"])  # type: ignore[arg-type]
        assert (params["user"], params["token"]) == ("42", signing.client_token("s", "42", params["timestamp"], ""))

    def test_the_token_holds_for_what_is_said(self) -> None:
        app = site(GENTRIFUGO_SECRET="s")
        rt = Gentrifugo(app)
        with app.test_request_context():
            params = rt.connection_params("42", {"name": "Zoë"})
        expected = signing.client_token("s", "42", params["timestamp"], params["info"])
        assert params["token"] == expected


class TestUnpatched:
    """Where gevent has not patched the standard library, a server cannot run: this very process."""

    def test_calls_say_what_to_do(self) -> None:
        rt = Gentrifugo(site())
        with pytest.raises(RuntimeError, match=r"gevent has not patched this process\. Instead, run `gentrifugo --app"):
            rt.publish("news", 1)

    def test_requests_are_refused_in_words_and_the_site_works(self, caplog: pytest.LogCaptureFixture) -> None:
        app = site()
        app.add_url_rule("/", "home", lambda: "the site")
        Gentrifugo(app)
        client = app.test_client()
        for path in ("/realtime/connection/info", "/realtime/connection/websocket", "/realtime/api/"):
            response = client.get(path)
            assert (response.status_code, "gevent has not patched" in response.text) == (501, True)
        assert client.get("/").text == "the site"

    @pytest.mark.parametrize(
        ("modules", "command", "warned"),
        [
            ([], "", False),
            (["gunicorn.arbiter"], "", True),
            (["gunicorn.arbiter", "gunicorn.workers.ggevent"], "", False),
            ([], "run", True),
            ([], "routes", False),
        ],
        ids=["elsewhere", "gunicorn", "gunicorn on gevent", "flask run", "flask routes"],
    )
    def test_a_server_that_will_not_do_is_named_at_once_and_once(
        self,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        modules: list[str],
        command: str,
        warned: bool,
    ) -> None:
        monkey.warn.cache_clear()
        for name in ("gunicorn.arbiter", "gunicorn.workers.ggevent"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        for name in modules:
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        app = site()
        with click.Context(click.Command(command), info_name=command) if command else nullcontext():
            Gentrifugo(app)
        assert ("gevent has not patched" in caplog.text) == warned
        app.test_client().get("/realtime/connection/info")
        assert caplog.text.count("gevent has not patched") == 1

    def test_the_import_patches_nothing_and_needs_nothing_patched(self) -> None:
        program = "import gentrifugo; gentrifugo.Gentrifugo; from gevent import monkey; print(monkey.saved)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=seconds(20))
        assert (done.stdout, done.stderr) == ("{}\n", "")
