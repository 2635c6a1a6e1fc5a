"""Encoding API requests, and parsing responses that arrive in pieces."""

from __future__ import annotations

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.http_message import Response, ResponseReader, api_request
from benchmarks.protocols.base import APIRequest
from benchmarks.target import Target

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 4\r\n\r\nabcd"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;with=extension\r\n0123456789\r\n0\r\n\r\n"
)


def test_a_request_has_the_credential_and_the_length_of_its_body() -> None:
    target = Target.of("http://127.0.0.1:8000/prefix", "secret")
    request = api_request(target, APIRequest("/api/", "X-API-Key: key", b"{}")).decode()
    assert request.startswith("POST /prefix/api/ HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert "X-API-Key: key\r\n" in request
    assert request.endswith("Content-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize(("data", "body"), [(SIZED, b"abcd"), (CHUNKED, b"abc0123456789")], ids=["sized", "chunked"])
@pytest.mark.parametrize("step", [1, 10, 1000])
def test_a_response_may_come_in_pieces(data: bytes, body: bytes, step: int) -> None:
    reader = ResponseReader()
    for _ in range(2):  # one after the other on the same connection
        answers = [reader.feed(data[start : start + step]) for start in range(0, len(data), step)]
        assert answers[-1] == Response(200, body)
        assert not any(answers[:-1])


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x05hello\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
)
def test_invalid_response_is_refused(data: bytes) -> None:
    with pytest.raises(BenchmarkError):
        ResponseReader().feed(data)
