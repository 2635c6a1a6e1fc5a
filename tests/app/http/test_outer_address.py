"""The address that the browser has requested: which headers of which peers are trusted."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.client_address import TrustedProxies
from gentrifugo.app.http.outer_address import NOT_FORWARDED, Forwarded, client_of, forwarded_address, outer_root

PROXY, STRANGER = "10.0.0.1", "192.0.2.7"
PROXIES = TrustedProxies("10.0.0.0/8, unix")
ALL = {"x-forwarded-proto": "https", "x-forwarded-host": "chat.example:8443", "x-forwarded-prefix": "/club/"}
ENVIRON = {"wsgi.url_scheme": "http", "SERVER_NAME": "inner", "SERVER_PORT": "8000", "REMOTE_ADDR": PROXY}


@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}", ""])
def test_headers_of_a_trusted_proxy_are_used(peer: str) -> None:
    assert forwarded_address(peer, ALL, PROXIES) == Forwarded("https", "chat.example:8443", "/club")


@pytest.mark.parametrize("peer", [STRANGER, "nonsense", "::1"])
def test_headers_of_other_peers_are_ignored(peer: str) -> None:
    assert forwarded_address(peer, ALL, PROXIES) == NOT_FORWARDED


def test_ignored_headers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    forwarded_address(STRANGER, {"x-forwarded-proto": "https"}, TrustedProxies("10.0.0.0/8"))
    (line,) = caplog.messages
    assert line.startswith(f"ignoring the header X-Forwarded-Proto of requests from {STRANGER},")


def proxy_fix_environ(client: str) -> dict[str, object]:
    return {"REMOTE_ADDR": client, "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": PROXY}}


@pytest.mark.parametrize(
    ("environ", "client"),
    [
        ({"REMOTE_ADDR": PROXY}, STRANGER),
        ({"REMOTE_ADDR": ""}, STRANGER),
        ({"REMOTE_ADDR": "::1"}, "::1"),
        ({"REMOTE_ADDR": "198.51.100.9", "gentrifugo.peer": PROXY}, "198.51.100.9"),
        (proxy_fix_environ("198.51.100.9"), "198.51.100.9"),
        (proxy_fix_environ(PROXY), STRANGER),  # it has left the address to others
    ],
)
def test_headers_are_evaluated_once_for_the_client_of_an_environ(
    caplog: pytest.LogCaptureFixture, environ: dict[str, object], client: str
) -> None:
    caplog.set_level("INFO")
    assert client_of(environ, {"x-forwarded-for": STRANGER}, TrustedProxies("10.0.0.0/8, unix")) == client
    assert len(caplog.messages) == (client == "::1")  # the address of a client is not logged as that of a proxy


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(("proto", "ftp"), ("proto", ""), ("proto", "https http")),
        *(("prefix", "club"), ("prefix", "/"), ("prefix", "//a"), ("prefix", "/a\x00b"), ("prefix", "/<b>")),
        *(("host", "a b"), ("host", "a/b"), ("host", "a@b"), ("host", "a:port"), ("host", "[::1")),
        *(("host", "a:123456"), ("host", "ä")),
    ],
)
def test_invalid_forwarded_values_are_ignored(header: str, value: str) -> None:
    assert forwarded_address(PROXY, {f"x-forwarded-{header}": value}, PROXIES) == NOT_FORWARDED


@pytest.mark.parametrize("host", ["a", "a.example", "127.0.0.1:8000", "[::1]:8000", "[2001:db8::7]"])
def test_forwarded_hosts_of_every_kind_are_accepted(host: str) -> None:
    assert forwarded_address(PROXY, {"x-forwarded-host": host}, PROXIES).host == host


@pytest.mark.parametrize(
    ("more", "root"),
    [
        ({}, "http://inner:8000"),
        ({"SERVER_PORT": "80"}, "http://inner"),
        ({"wsgi.url_scheme": "https", "SERVER_PORT": "443"}, "https://inner"),
        ({"HTTP_HOST": "a.example", "SCRIPT_NAME": "/site"}, "http://a.example/site"),
        ({"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "a.example"}, "https://a.example"),
        ({"HTTP_X_FORWARDED_PREFIX": "/club", "SCRIPT_NAME": "/club"}, "http://inner:8000/club/club"),
        ({"HTTP_X_FORWARDED_HOST": "a.example", "REMOTE_ADDR": STRANGER}, "http://inner:8000"),
        # REMOTE_ADDR is the client, whom the proxy has named.
        ({"HTTP_X_FORWARDED_HOST": "a.example", "REMOTE_ADDR": STRANGER, "gentrifugo.peer": PROXY}, "http://a.example"),
        ({"HTTP_X_FORWARDED_HOST": "a.example", "gentrifugo.peer": STRANGER}, "http://inner:8000"),
    ],
)
def test_address_of_an_application_is_computed(more: dict[str, str], root: str) -> None:
    assert outer_root({**ENVIRON, **more}, PROXIES) == root
