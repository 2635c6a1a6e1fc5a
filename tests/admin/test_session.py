"""The session of the included web interface: a cookie for pages of the server itself, and logging in by a header."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
import requests

from tests.admin_client import OPTIONS, PASSWORD, AdminClient
from tests.servers import Server, running
from tests.waiting import seconds
from tests.websocket_client import Closed, HandshakeRefused

HEADER = "X-Auth-Request-Email"
EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without a password that trusts a proxy on this machine to authenticate operators."""
    options = {"web": True, "admin_secret": "admin secret", "admin_trusted_header": HEADER}
    with running(options, tmp_path_factory.mktemp("proxied")) as server:
        yield server


def session(server: Server, method: str = "POST", password: str = PASSWORD, **headers: str) -> requests.Response:
    """Request the session like the page of the web interface, with changed `headers` if given."""
    given = {name.replace("_", "-"): value for name, value in {"Origin": server.url, **headers}.items() if value}
    return requests.request(
        method, f"{server.url}/auth/session", data={"password": password}, headers=given, timeout=seconds(10)
    )


def cookie_of(answer: requests.Response) -> Morsel[str]:
    """The only cookie of an answer."""
    assert answer.status_code == 200, answer.text
    ((_, cookie),) = SimpleCookie(answer.headers["Set-Cookie"]).items()
    return cookie


def connect(server: Server, cookie: Morsel[str], **headers: str) -> dict[str, Any]:
    """The reply to `connect` without a token, on a socket that was opened with the cookie."""
    with AdminClient(server.host, server.port, Cookie=f"{cookie.key}={cookie.value}", **headers) as operator:
        return operator.call("connect")


class TestCookie:
    def test_scripts_and_other_sites_cannot_use_the_cookie(self, server: Server) -> None:
        cookie = cookie_of(session(server))
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Strict"
        assert cookie["path"] == "/"
        assert int(cookie["max-age"]) == 86400
        assert cookie.key == f"gentrifugo_admin_{server.port}"

    def test_reply_to_the_login_of_a_page_has_no_token(self, server: Server) -> None:
        answer = session(server)
        assert answer.json() == {"insecure": False}
        assert answer.headers["Cache-Control"] == "no-store"

    def test_the_cookie_opens_the_socket(self, server: Server) -> None:
        assert connect(server, cookie_of(session(server)), Origin=server.url)["body"] is True

    def test_the_cookie_is_only_for_pages_of_the_server(self, server: Server) -> None:
        cookie = cookie_of(session(server))
        with pytest.raises(HandshakeRefused):
            connect(server, cookie, Origin=EVIL)
        with pytest.raises(Closed, match="unauthorized"):
            connect(server, cookie)
        with pytest.raises(Closed, match="unauthorized"):
            connect(server, cookie, Origin=server.url, **{"Sec-Fetch-Site": "same-site"})

    def test_a_forged_cookie_does_not_open_the_socket(self, server: Server) -> None:
        cookie = cookie_of(session(server))
        cookie.set(cookie.key, cookie.value[:-2], cookie.value[:-2])
        with pytest.raises(Closed, match="unauthorized"):
            connect(server, cookie, Origin=server.url)

    def test_wrong_passwords_and_other_sites_get_no_cookie(self, server: Server) -> None:
        for answer in (session(server, password="wrong"), session(server, Origin=EVIL), session(server, Origin="")):
            assert answer.status_code in (400, 403)
            assert "Set-Cookie" not in answer.headers
        session(server)  # the right password ends the count of wrong ones

    def test_page_learns_whether_a_password_is_needed(self, server: Server) -> None:
        answer = session(server, "GET", Origin="")
        assert (answer.status_code, answer.json()) == (200, {"needs_password": True})
        assert "Set-Cookie" not in answer.headers
        assert session(server, "GET", Origin="http://elsewhere.example").status_code == 403

    def test_logout_removes_the_cookie(self, server: Server) -> None:
        cookie = cookie_of(session(server, "DELETE"))
        assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")

    def test_other_sites_cannot_log_out(self, server: Server) -> None:
        for answer in (session(server, "DELETE", Origin=EVIL), session(server, "DELETE", Origin="")):
            assert answer.status_code == 403

    def test_cookie_behind_tls_and_a_prefix_is_secure_and_has_the_prefix_as_path(
        self, start_server: Callable[..., Server]
    ) -> None:
        server = start_server(**OPTIONS, http_prefix="/rt")
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/site", "Origin": server.url}
        answer = requests.post(
            f"{server.url}/rt/auth/session", data={"password": PASSWORD}, headers=headers, timeout=seconds(10)
        )
        cookie = cookie_of(answer)
        assert (cookie["secure"], cookie["path"]) == (True, "/site/rt/")

    def test_with_insecure_admin_there_is_no_cookie(self, start_server: Callable[..., Server]) -> None:
        answer = session(start_server(web=True, insecure_admin=True))
        assert answer.json() == {"insecure": True}
        assert "Set-Cookie" not in answer.headers


class TestHeader:
    def test_trusted_proxy_can_name_the_operator(self, behind_proxy: Server) -> None:
        cookie = cookie_of(session(behind_proxy, password="", X_Auth_Request_Email="ann@example.com"))
        assert connect(behind_proxy, cookie, Origin=behind_proxy.url)["body"] is True
        assert "admin login of 'ann@example.com' from 127.0.0.1 (header X-Auth-Request-Email)" in behind_proxy.log

    def test_the_application_of_version_1_gets_a_token(self, behind_proxy: Server) -> None:
        headers = {HEADER: "ann@example.com"}
        answer = requests.post(f"{behind_proxy.url}/auth/", headers=headers, timeout=seconds(10))
        with AdminClient(behind_proxy.host, behind_proxy.port) as operator:
            assert operator.call("connect", token=answer.json()["token"])["body"] is True

    @pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {"X-Auth-Request-User": "ann"}])
    def test_login_without_the_header_of_the_proxy_is_refused(
        self, behind_proxy: Server, headers: dict[str, str]
    ) -> None:
        assert session(behind_proxy, password="", **headers).status_code == 400

    def test_header_with_underscores_does_not_count_as_the_trusted_header(self, behind_proxy: Server) -> None:
        answer = requests.post(
            f"{behind_proxy.url}/auth/session",
            headers={"X_Auth_Request_Email": "eve", "Origin": behind_proxy.url},
            timeout=seconds(10),
        )
        assert answer.status_code == 400

    def test_several_values_are_refused(self, behind_proxy: Server) -> None:
        answer = session(behind_proxy, password="", X_Auth_Request_Email="eve, ann@example.com")
        assert (answer.status_code, "must replace" in answer.text) == (400, True)

    @pytest.mark.parametrize("trusted", ["", "10.0.0.0/8,unix"])
    def test_untrusted_proxies_cannot_use_the_header(self, trusted: str, start_server: Callable[..., Server]) -> None:
        server = start_server(**OPTIONS, admin_trusted_header=HEADER, trusted_proxies=trusted)
        assert session(server, password="", X_Auth_Request_Email="eve").status_code == 400
        assert session(server, password=PASSWORD, X_Auth_Request_Email="eve").status_code == 200
        assert server.log.count(f"ignoring the header {HEADER} of requests from 127.0.0.1, which is not in option") == 1

    def test_header_is_ignored_without_the_option(self, server: Server) -> None:
        assert session(server, password="", X_Auth_Request_Email="eve").status_code == 400
        session(server)

    def test_removing_the_option_ends_the_sessions(self, start_server: Callable[..., Server]) -> None:
        options = {"web": True, "admin_secret": "admin secret"}
        server = start_server(**options, admin_trusted_header=HEADER)
        cookie = cookie_of(session(server, password="", X_Auth_Request_Email="ann"))
        other = start_server(**options)
        renamed = cookie_of(session(start_server(**OPTIONS)))
        renamed.set(f"gentrifugo_admin_{other.port}", cookie.value, cookie.value)
        with pytest.raises(Closed, match="unauthorized"):
            connect(other, renamed, Origin=other.url)
