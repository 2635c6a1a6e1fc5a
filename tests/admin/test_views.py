"""Behaviour of the admin endpoints of a running server, tested with HTTP requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from gentrifugo import Gentrifugo
from tests.admin_client import FORM, OPTIONS, PASSWORD, AdminClient, log_in, token_of
from tests.api_client import Answer, APIClient
from tests.flask_sites import site
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port
from tests.servers import Server, running
from tests.waiting import seconds
from tests.websocket_client import Closed, HandshakeRefused, WebSocketClient

ALL_PATHS = ["/auth/", "/socket", "/", "/main.js", "/metrics", "/health", "/debug/pprof/", "/debug/pprof/memory"]


def get(server: Server, path: str, port: int = 0) -> Answer:
    return APIClient(server.host, port or server.port).request("GET", path)


class TestLogIn:
    def test_the_right_password_opens_the_socket(self, server: Server) -> None:
        with AdminClient.connected(server.host, server.port) as operator:
            assert operator.call("ping")["body"] == "pong"

    @pytest.mark.parametrize("password", ["", "wrong"])
    def test_a_wrong_password_is_refused(self, server: Server, password: str) -> None:
        assert log_in(server.host, server.port, password) == Answer(400, b"wrong password\n")
        token_of(log_in(server.host, server.port))  # it is not this that the next test is about

    def test_pages_of_other_sites_cannot_log_in(self, server: Server) -> None:
        assert log_in(server.host, server.port, Origin="http://evil.example").status == 403
        assert log_in(server.host, server.port, Origin=server.url).status == 200

    def test_login_request_over_the_size_limit_is_refused(self, server: Server) -> None:
        client = APIClient(server.host, server.port)
        for length in (5_000, 1_000_000):
            assert client.request("POST", "/auth/", b"password=" + b"x" * length, FORM).status == 413

    def test_login_requires_method_post(self, server: Server) -> None:
        assert get(server, "/auth/?password=" + PASSWORD.replace(" ", "%20")).status == 405

    @pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "TRACE", "BREW"])
    @pytest.mark.parametrize(("path", "allowed"), [("/auth/", "POST"), ("/auth/session", "GET, HEAD, POST, DELETE")])
    def test_other_methods_are_refused_with_the_allowed_ones(
        self, server: Server, method: str, path: str, allowed: str
    ) -> None:
        refused = requests.request(method, f"{server.url}{path}", timeout=seconds(10))
        assert (refused.status_code, refused.headers["Allow"]) == (405, allowed)
        assert refused.text.startswith("method not allowed: ")

    @pytest.mark.parametrize("method", ["OPTIONS", "PUT", "BREW"])
    def test_other_methods_of_an_application_remain_its_own(self, method: str) -> None:
        app = site(GENTRIFUGO_WEB=True, GENTRIFUGO_HTTP_PREFIX="/rt")
        app.add_url_rule("/auth/", "auth", lambda: "own", methods=["GET"])
        Gentrifugo(app)
        answer = app.test_client().open("/auth/", method=method)
        assert answer.status_code == (200 if method == "OPTIONS" else 405)
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
        assert app.test_client().open("/rt/auth/", method=method).headers["Allow"] == "POST"


class TestSocket:
    def test_pages_of_other_sites_cannot_open_the_socket(self, server: Server) -> None:
        for origin in ("http://evil.example", "null", f"http://{server.host}:1"):
            with pytest.raises(HandshakeRefused) as refused:
                AdminClient(server.host, server.port, Origin=origin)
            assert refused.value.status == 403

    def test_pages_of_the_server_itself_can_open_the_socket(self, server: Server) -> None:
        with AdminClient(server.host, server.port, Origin=server.url) as operator:
            token = token_of(log_in(server.host, server.port))
            assert operator.call("connect", token=token, watch=False)["body"] is True

    def test_message_over_the_size_limit_closes_the_socket(self, server: Server) -> None:
        client = AdminClient(server.host, server.port)
        client.socket.send_text("x" * 100_000)
        assert client.socket.wait_closed().code == 3000

    def test_request_without_upgrade_is_refused_and_names_the_missing_header(self, server: Server) -> None:
        answer = get(server, "/socket")
        assert (answer.status, b"Upgrade: websocket" in answer.body) == (400, True)

    def test_a_shutdown_closes_the_socket_with_the_reason(self, start_server: Callable[..., Server]) -> None:
        server = start_server(**OPTIONS)
        operator = AdminClient.connected(server.host, server.port)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        with pytest.raises(Closed) as closed:
            operator.push()
        stopping.join()
        assert closed.value.advice == {"reason": "shutting down", "reconnect": True}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose configuration has no option for operators."""
    with running({}, tmp_path_factory.mktemp("plain")) as server:
        yield server


class TestNothingUnlessConfigured:
    @pytest.mark.parametrize("path", ALL_PATHS)
    def test_by_default_there_are_no_admin_endpoints(self, plain: Server, path: str) -> None:
        assert get(plain, path).status == 404

    def test_insecure_admin_alone_enables_no_admin_endpoints(self, start_server: Callable[..., Server]) -> None:
        server = start_server(insecure_admin=True)
        assert {get(server, path).status for path in ALL_PATHS} == {404}

    def test_option_admin_enables_log_in_and_socket_but_no_pages(self, start_server: Callable[..., Server]) -> None:
        server = start_server(**OPTIONS)
        found = {path: get(server, path).status for path in ALL_PATHS}
        assert [path for path, status in found.items() if status != 404] == ["/auth/", "/socket"]


class TestPorts:
    def test_admin_endpoints_move_to_their_port(self, start_server: Callable[..., Server]) -> None:
        port = free_port()
        server = start_server(
            **OPTIONS, web=True, debug=True, prometheus=True, health=True, admin_port=str(port), insecure_api=True
        )
        here = {path: get(server, path).status for path in ALL_PATHS}
        there = {path: get(server, path, port).status for path in ALL_PATHS}
        # Load balancers ask the port that they send clients to.
        assert [path for path, status in here.items() if status != 404] == ["/health"]
        assert [path for path, status in there.items() if status == 404] == []
        with AdminClient.connected(server.host, port) as operator:
            assert operator.call("ping")["body"] == "pong"
        ProtocolClient(server).close()

    def test_clients_and_the_api_are_not_served_on_admin_port(self, start_server: Callable[..., Server]) -> None:
        port = free_port()
        server = start_server(**OPTIONS, admin_port=port)
        body = json.dumps({"method": "channels", "params": {}})
        assert APIClient(server.host, port).post(body).status == 404
        assert get(server, "/connection/info", port).status == 404
        with pytest.raises(HandshakeRefused) as refused:
            WebSocketClient.connect(server.host, port)
        assert refused.value.status == 404

    def test_error_names_an_admin_port_in_use(self, start_server: Callable[..., Server], server: Server) -> None:
        with pytest.raises(AssertionError, match=r"admin_port: cannot listen on .* choose another with .*admin_port"):
            start_server(**OPTIONS, admin_port=server.port)

    def test_http_prefix_applies_to_admin_endpoints(self, start_server: Callable[..., Server]) -> None:
        server = start_server(**OPTIONS, web=True, http_prefix="/live")
        assert get(server, "/live/").status == 200
        assert get(server, "/").status == 404


class TestFiles:
    def test_web_path_replaces_the_built_in_interface(
        self, start_server: Callable[..., Server], tmp_path: Path
    ) -> None:
        (tmp_path / "mine" / "public").mkdir(parents=True)
        (tmp_path / "mine" / "index.html").write_text("my page")
        (tmp_path / "mine" / "public" / "bundle.js").write_text("my script")
        (tmp_path / "secret.txt").write_text("secret")
        server = start_server(**OPTIONS, web=True, web_path=str(tmp_path / "mine"))
        assert get(server, "/").body == b"my page"
        assert get(server, "/public/bundle.js").body == b"my script"
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/public/..%2f..%2fsecret.txt", "//etc/passwd"):
            answer = get(server, path)
            assert (answer.status, b"secret" in answer.body) == (404, False)

    def test_pages_have_a_strict_policy(self, server: Server) -> None:
        headers = requests.get(f"{server.url}/", timeout=5).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_health_answers_200(server: Server) -> None:
    assert get(server, "/health") == Answer(200, b"{}")
