"""Behaviour of responses: how they are created and encoded."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import pytest

from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.http.response import (
    JSON_HEADERS,
    HTTPResponse,
    encode_head,
    encode_response,
    encode_response_head,
    error_response,
    http_date,
    json_response,
    text_response,
)

NONE = HTTPResponse(200, {"Content-Type": "text/plain"})


def lines_and_body(whole: bytes) -> tuple[list[str], bytes]:
    """Lines of the head without the date, and the body."""
    head, _, body = whole.partition(b"\r\n\r\n")
    return [line for line in head.decode().split("\r\n") if not line.startswith("Date: ")], body


def test_response_that_ends_the_connection_has_a_close_header() -> None:
    response = HTTPResponse(404, {"Content-Type": "text/plain"}, b"none\n")
    lines, body = lines_and_body(encode_response(response, False, {"Allow": "GET"}))
    assert lines == [
        "HTTP/1.1 404 Not Found",
        "Content-Type: text/plain",
        "Content-Length: 5",
        "Allow: GET",
        "Connection: close",
    ]
    assert body == b"none\n"


def test_response_that_keeps_the_connection_open_has_no_close_header() -> None:
    lines, body = lines_and_body(encode_response(NONE, True))
    assert lines == ["HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 0"]
    assert body == b""


def test_response_has_a_date_header() -> None:
    before = int(time.time())
    (date,) = re.findall(rb"\r\nDate: (.*)\r\n", encode_response(NONE, True))
    assert before <= parsedate_to_datetime(date.decode()).timestamp() <= time.time()


def test_date_has_the_http_format() -> None:
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_head_is_a_line_the_headers_and_an_empty_line() -> None:
    assert (
        encode_head("GET /\xe9 HTTP/1.1", {"a": "1", "b": "\xff"}) == b"GET /\xe9 HTTP/1.1\r\na: 1\r\nb: \xff\r\n\r\n"
    )
    assert encode_response_head(101, {}) == b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


@pytest.mark.parametrize("status", HTTPStatus)
def test_every_status_has_its_phrase(status: HTTPStatus) -> None:
    assert encode_response_head(status.value, {}) == f"HTTP/1.1 {status.value} {status.phrase}\r\n\r\n".encode()


def test_text_response_is_one_line_in_utf_8() -> None:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    assert text_response(400, "na\xefve") == HTTPResponse(400, headers, b"na\xc3\xafve\n")
    assert error_response(HTTPError(405, "no", {"Allow": "GET"})) == HTTPResponse(405, headers, b"no\n")


def test_a_json_document_is_a_success() -> None:
    assert json_response(b"{}") == HTTPResponse(200, {"Content-Type": "application/json"}, b"{}")


@pytest.mark.parametrize("status", [200, 500])
def test_a_json_document_is_encoded_as_any_other_response(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.5)
    for body in (b"{}", b""):
        usual = encode_response(HTTPResponse(status, JSON_HEADERS, body), keep_alive=True)
        assert usual == encode_response(HTTPResponse(status, dict(JSON_HEADERS), body), keep_alive=True)
