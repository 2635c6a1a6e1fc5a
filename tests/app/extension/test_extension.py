"""Behaviour of the Flask extension, in applications of the test's own process, which gevent has not patched."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from gentrifugo import CommandError, Gentrifugo
from gentrifugo.app.runtime import monkey
from tests.flask_sites import in_thread, serve, service_in, site, status
from tests.waiting import seconds
from tests.websocket_client import HandshakeRefused, WebSocketClient

__all__ = ["serve"]


def error_of_a_call(path: str | None = None) -> str:
    """The error of a call in this process, or in a request for this path."""
    app = site()
    rt = Gentrifugo(app)
    with app.test_request_context(path) if path else nullcontext(), pytest.raises(RuntimeError) as e:
        rt.publish("news", 1)
    return str(e.value)


class TestInitialization:
    def test_the_application_has_the_extension_object(self) -> None:
        app, rt = site(), Gentrifugo()
        rt.init_app(app)
        assert app.extensions["gentrifugo"] is rt

    @pytest.mark.parametrize("is_other", [False, True], ids=["by the same extension", "by another"])
    def test_a_second_server_is_refused(self, is_other: bool) -> None:
        app = site()
        rt = Gentrifugo(app)
        before = service_in(app), list(app.url_map.iter_rules())
        with pytest.raises(RuntimeError, match=r"'site' has a Gentrifugo server already: .* once for each application"):
            (Gentrifugo() if is_other else rt).init_app(app, url_prefix="/other")
        assert (service_in(app), list(app.url_map.iter_rules())) == before
        assert app.extensions["gentrifugo"] is rt

    def test_options_that_are_set_too_late_are_named_once_when_the_server_starts(
        self, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = site(GENTRIFUGO_PRESENCE=True, GENTRIFUGO_NAME="a")
        Gentrifugo(app)
        app.config.update(GENTRIFUGO_ENGINE="redis", GENTRIFUGO_NAME="b", GENTRIFUGO_PRESENCE=True)
        app.config.update(GENTRIFUGO_HISTORY_TTL="0s", GENTRIFUGO_NAMESPACES=[])  # as they are anyway
        assert "GENTRIFUGO_ENGINE" not in caplog.text
        serve(app)
        service_in(app).start()
        assert [message for message in caplog.messages if "GENTRIFUGO_" in message] == [
            "app.config: GENTRIFUGO_NAME, GENTRIFUGO_ENGINE: not used, because set after Gentrifugo was initialized; "
            "set options before init_app(app), or Gentrifugo(app)"
        ]

    def test_an_option_that_is_changed_in_place_too_late_is_named(
        self, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = site(GENTRIFUGO_NAMESPACES=[{"name": "news"}])
        Gentrifugo(app)
        app.config["GENTRIFUGO_NAMESPACES"].append({"name": "chat"})
        serve(app)
        assert "app.config: GENTRIFUGO_NAMESPACES: not used, because set after" in caplog.text

    def test_objects_under_other_names_in_the_configuration_need_not_be_copyable(
        self, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = site(GENTRIFUGO_LOCK=threading.Lock())
        Gentrifugo(app)
        serve(app)
        assert "has changed" not in caplog.text

    def test_a_misspelt_option_that_is_set_too_late_is_named(
        self, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = site()
        Gentrifugo(app)
        app.config["GENTRIFUGO_ENGIN"] = "redis"
        serve(app)
        (message,) = [message for message in caplog.messages if "has changed" in message]
        assert "GENTRIFUGO_ENGINE" in message

    def test_a_deleted_config_file_is_not_reported_as_a_change_of_options(
        self, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        file = tmp_path / "config.json"
        file.write_text('{"name": "a"}')
        app = site()
        Gentrifugo(app, config=str(file))
        file.unlink()
        serve(app)
        assert "has changed" not in caplog.text

    def test_mistakes_in_options_that_are_set_too_late_are_logged(
        self, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = site()
        Gentrifugo(app)
        app.config.update(GENTRIFUGO_ENGIN="redis", GENTRIFUGO_NAME=5)
        serve(app)
        (message,) = [message for message in caplog.messages if "has changed" in message]
        assert message.startswith("app.config has changed after Gentrifugo was initialized, and is not used: ")
        assert "GENTRIFUGO_NAME" in message
        assert "GENTRIFUGO_ENGINE" in message

    def test_application_that_has_handled_requests_is_refused_and_unchanged(self) -> None:
        app = site()
        app.test_client().get("/")
        with pytest.raises(AssertionError, match="can no longer be called on the application"):
            Gentrifugo(app)
        assert not app.extensions

    def test_applications_of_a_factory_share_only_the_hooks(self) -> None:
        rt = Gentrifugo(url_prefix="/rt")
        rt.on_connect(lambda context: None)

        def create_app(**config: Any) -> Flask:
            app = site(**config)
            rt.init_app(app)
            return app

        first, second = create_app(GENTRIFUGO_SECRET="1"), create_app(GENTRIFUGO_SECRET="2")
        assert [service_in(app).config.secret for app in (first, second)] == ["1", "2"]
        assert [service_in(app).config.http_prefix for app in (first, second)] == ["/rt", "/rt"]
        assert all(service_in(app).node.hooks.has("connect") for app in (first, second))
        assert first.extensions["gentrifugo"] is second.extensions["gentrifugo"] is rt


class TestMounting:
    def test_endpoints_are_below_the_prefix(self, serve: Callable[[Flask], int]) -> None:
        app = site()
        app.add_url_rule("/", "home", lambda: "the site")
        Gentrifugo(app, url_prefix="/live")
        port = serve(app)
        assert in_thread(status, port, "GET", "/") == (200, "the site")
        assert in_thread(status, port, "GET", "/live/connection/info")[0] == 200
        assert in_thread(status, port, "POST", "/live/api/")[0] == 400
        assert in_thread(status, port, "GET", "/connection/info")[0] == 404

    def test_views_have_names_for_csrf_exemption(self) -> None:
        app = site()
        rt = Gentrifugo(app)
        rt.on_private_subscribe(lambda context: None)
        rt.on_refresh(lambda context: None)
        views = [app.view_functions[name] for name in ("gentrifugo_api.api", "gentrifugo_auth", "gentrifugo_refresh")]
        assert len({f"{view.__module__}.{view.__name__}" for view in views}) == 3

    @pytest.mark.parametrize(
        ("endpoints", "found"), [(["client"], (True, False)), (["api"], (False, True)), (["admin"], (False, False))]
    )
    def test_each_group_of_endpoints_can_be_served_alone(
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

    def test_admin_endpoints_are_served_with_the_option(self, serve: Callable[[Flask], int]) -> None:
        app = site(
            GENTRIFUGO_WEB=True, GENTRIFUGO_HEALTH=True, GENTRIFUGO_ADMIN_PASSWORD="p", GENTRIFUGO_ADMIN_SECRET="s"
        )
        Gentrifugo(app)
        port = serve(app)
        assert in_thread(status, port, "GET", "/realtime/health")[0] == 200
        assert "<title>" in in_thread(status, port, "GET", "/realtime/")[1]


class TestCalls:
    def test_client_receives_messages_of_the_application(self, serve: Callable[[Flask], int]) -> None:
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

    def test_two_applications_are_independent(self, serve: Callable[[Flask], int]) -> None:
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
        assert service_in(first) is not service_in(second)
        with pytest.raises(RuntimeError, match=r"2 applications .* use `with app\.app_context\(\):`"):
            rt.publish("chat:1", 1)

    def test_process_with_use_redis_only_does_not_become_a_node(self, serve: Callable[[Flask], int]) -> None:
        app = site()
        rt = Gentrifugo(app)
        rt.use_redis_only()
        serve(app)
        with pytest.raises(RuntimeError, match="the memory engine cannot reach a server in another process"):
            rt.publish("news", 1)

    def test_errors_of_commands_are_raised_as_exceptions(self, serve: Callable[[Flask], int]) -> None:
        app = site()
        rt = Gentrifugo(app)
        serve(app)
        with pytest.raises(CommandError, match="namespace not found"):
            rt.publish("what:1", 1)


class TestUnpatched:
    """A server cannot run in a process that gevent has not patched, such as the process of this test."""

    def test_calls_in_an_unpatched_process_raise_an_error_with_a_remedy(self) -> None:
        rt = Gentrifugo(site())
        with pytest.raises(
            RuntimeError, match=r"gevent has not patched this process\. Instead, run `gentrifugo --app"
        ) as e:
            rt.publish("news", 1)
        assert str(e.value).endswith(
            "In a program beside the server, such as flask shell, use the HTTP API, or set "
            'app.config["GENTRIFUGO_ENGINE"] = "redis".'
        )

    def test_calls_in_a_spawned_process_need_redis(self) -> None:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as spawned:
            error = spawned.submit(error_of_a_call).result()
            assert error.startswith("the memory engine cannot reach a server in another process: use the HTTP API; ")
            assert spawned.submit(error_of_a_call, "/").result() == error_of_a_call()

    def test_requests_are_refused_with_a_reason_and_the_site_works(self, caplog: pytest.LogCaptureFixture) -> None:
        app = site()
        app.add_url_rule("/", "home", lambda: "the site")
        Gentrifugo(app)
        client = app.test_client()
        for path in ("/realtime/connection/info", "/realtime/connection/websocket", "/realtime/api/"):
            response = client.get(path)
            assert (response.status_code, "gevent has not patched" in response.text) == (501, True)
        assert client.get("/").text == "the site"

    @pytest.mark.parametrize(("command", "warned"), [("", False), ("run", True), ("routes", False)])
    def test_unsupported_server_is_logged_immediately_and_once(
        self, caplog: pytest.LogCaptureFixture, command: str, warned: bool
    ) -> None:
        monkey.warn_once.cache_clear()
        app = site()
        with click.Context(click.Command(command), info_name=command) if command else nullcontext():
            Gentrifugo(app)
        assert ("gevent has not patched" in caplog.text) == warned
        app.test_client().get("/realtime/connection/info")
        assert caplog.text.count("gevent has not patched") == 1

    def test_import_neither_patches_nor_requires_patched_modules(self) -> None:
        program = "import gentrifugo; gentrifugo.Gentrifugo; from gevent import monkey; print(monkey.saved)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=seconds(20))
        assert (done.stdout, done.stderr) == ("{}\n", "")
