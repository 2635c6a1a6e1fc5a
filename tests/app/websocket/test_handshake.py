"""Behaviour of the opening handshake: valid handshakes, and the error for each invalid one."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.websocket.handshake import accept, is_upgrade

RIGHT = {
    "host": "localhost",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


def refused(method: str = "GET", version: str = "HTTP/1.1", **headers: str | None) -> HTTPError:
    """The refusal of a request with some headers changed, or left out (None)."""
    changed = RIGHT | {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(HTTPError) as caught:
        accept(method, version, {name: value for name, value in changed.items() if value is not None})
    return caught.value


def test_the_sample_of_the_rfc_is_accepted() -> None:
    assert accept("GET", "HTTP/1.1", RIGHT) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("upgrade", "WebSocket"),
        ("upgrade", "h2c, websocket"),
        ("connection", "upgrade"),
        ("connection", "keep-alive,UPGRADE"),
        ("connection", "keep-alive\t, Upgrade, x"),
        ("content-length", "0"),
        ("content-length", "000"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("origin", "https://elsewhere.example"),
    ],
)
def test_unusual_valid_handshakes_are_accepted(name: str, value: str) -> None:
    assert accept("GET", "HTTP/1.1", RIGHT | {name: value}).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("value", ["", "h2c", "websockets", "websocket/13", "web socket"])
def test_requests_without_valid_upgrade_are_refused(value: str) -> None:
    assert not is_upgrade({"upgrade": value})
    error = refused(upgrade=value)
    assert (error.status, error.reason) == (
        400,
        'WebSocket endpoint: missing header "Upgrade: websocket"',
    )


def test_request_without_upgrade_headers_is_refused() -> None:
    assert not is_upgrade({})
    assert refused(upgrade=None).status == 400


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_other_methods_are_refused(method: str) -> None:
    error = refused(method)
    assert (error.status, error.reason, error.headers) == (
        405,
        "WebSocket handshake requires method GET",
        {"Allow": "GET"},
    )


def test_old_http_versions_are_refused() -> None:
    error = refused(version="HTTP/1.0")
    assert (error.status, error.reason) == (400, "WebSocket handshake requires HTTP/1.1")


@pytest.mark.parametrize("value", [None, "", "close", "keep-alive", "upgraded", "up grade"])
def test_handshake_without_connection_upgrade_is_refused(value: str | None) -> None:
    error = refused(connection=value)
    assert (error.status, error.reason) == (
        400,
        'WebSocket endpoint: missing header "Connection: Upgrade"',
    )


@pytest.mark.parametrize("headers", [{"content_length": "1"}, {"transfer_encoding": "chunked"}])
def test_handshake_with_a_body_is_refused(headers: dict[str, str]) -> None:
    error = refused(**headers)
    assert (error.status, error.reason) == (400, "WebSocket handshake must not have a body")


@pytest.mark.parametrize("value", [None, "", "0", "8", "14", "013", "13, 8", "13.0", "x"])
def test_other_websocket_versions_are_refused(value: str | None) -> None:
    error = refused(sec_websocket_version=value)
    assert (error.status, error.reason, error.headers) == (
        426,
        "unsupported WebSocket version: expected 13",
        {"Sec-WebSocket-Version": "13"},
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZQ==dGhl",
        "dGhl IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j_Q==",
        "\xe9" * 24,
        "==",
    ],
)
def test_invalid_key_is_refused(value: str | None) -> None:
    error = refused(sec_websocket_key=value)
    assert (error.status, error.reason) == (400, "Sec-WebSocket-Key is not 16 bytes in Base64")
