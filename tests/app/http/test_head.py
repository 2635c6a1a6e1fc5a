"""Behaviour of reading a request's head: valid heads, refused heads with their reasons, and arbitrary input."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gentrifugo.app.http.head import MAX_HEADERS, MAX_REQUEST_LINE, HTTPError, origin_form, parse_head
from tests.waiting import seconds


def head(*lines: str, first: str = "GET / HTTP/1.1", host: str = "Host: localhost") -> bytes:
    """The head of a request, without the empty line that ends it."""
    return "\r\n".join([first, *filter(None, [host]), *lines]).encode("latin-1")


def refused(data: bytes) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        parse_head(data)
    return caught.value.status, caught.value.reason


# -- what is understood


def test_head_is_parsed() -> None:
    data = head("Content-Type: application/json", "X-Empty:", first="POST /api/?x=%20 HTTP/1.1")
    parsed = parse_head(data)
    assert (parsed.method, parsed.target, parsed.version) == ("POST", "/api/?x=%20", "HTTP/1.1")
    assert parsed.headers == {"host": "localhost", "content-type": "application/json", "x-empty": ""}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X-A:b", "b"),
        ("X-A:  b", "b"),
        ("X-A: \t b \t", "b"),
        ("X-A: b c", "b c"),
        ("X-A: b\tc", "b\tc"),
        ("X-A: :", ":"),
        ("X-A: Zo\xeb", "Zo\xeb"),
        ("x-a: b", "b"),
    ],
)
def test_white_space_around_a_header_value_is_removed(line: str, value: str) -> None:
    assert parse_head(head(line)).headers["x-a"] == value


def test_values_of_a_repeated_header_are_joined() -> None:
    assert parse_head(head("Accept: a", "X: y", "accept: b")).headers["accept"] == "a, b"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c/d", "/a/b"),
        ("/", "/"),
        ("/%61", "/%61"),
        ("//a", "//a"),
        ("http://localhost/a?b", "/a"),
        ("HTTPS://localhost:8000/a", "/a"),
        ("http://localhost", "/"),
        ("http://localhost?a", "/"),
        ("*", "*"),
    ],
)
def test_the_path_is_the_target_without_server_and_query(target: str, path: str) -> None:
    assert parse_head(head(first=f"GET {target} HTTP/1.1")).path == path


def test_query_is_kept_when_the_host_is_removed_from_the_target() -> None:
    assert origin_form("http://localhost/a?b=http://c") == "/a?b=http://c"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        ("HTTP/1.1", "", True),
        ("HTTP/1.1", "Connection: close", False),
        ("HTTP/1.1", "Connection: Close", False),
        ("HTTP/1.1", "Connection: x, close", False),
        ("HTTP/1.1", "Connection: keep-alive", True),
        ("HTTP/1.2", "", True),
        ("HTTP/1.0", "", False),
        ("HTTP/1.0", "Connection: Keep-Alive", True),
        ("HTTP/1.0", "Connection: close", False),
    ],
)
def test_keep_alive_depends_on_version_and_connection_header(version: str, connection: str, keeps: bool) -> None:
    lines = [connection] if connection else []
    parsed = parse_head(head(*lines, first=f"GET / {version}"))
    assert parsed.keep_alive is keeps
    told = parsed.connection_headers.get("Connection") == "keep-alive"
    assert told is (keeps and version == "HTTP/1.0"), "with HTTP/1.0 the peer must be told"


@pytest.mark.parametrize(
    ("version", "expect", "waits"),
    [
        ("HTTP/1.1", "Expect: 100-continue", True),
        ("HTTP/1.1", "Expect: 100-Continue", True),
        ("HTTP/1.1", "Expect: 200-ok", False),
        ("HTTP/1.1", "X: 100-continue", False),
        ("HTTP/1.0", "Expect: 100-continue", False),
    ],
)
def test_expect_100_continue_is_recognized(version: str, expect: str, waits: bool) -> None:
    assert parse_head(head(expect, first=f"POST / {version}")).waits_for_continue is waits


@pytest.mark.parametrize(("line", "length"), [("X: 1", None), ("Content-Length: 0", 0), ("Content-Length: 0042", 42)])
def test_length_of_the_body_is_parsed(line: str, length: int | None) -> None:
    assert parse_head(head(line)).content_length == length


def test_http_1_0_needs_no_host() -> None:
    assert parse_head(head(first="GET / HTTP/1.0", host="")).headers == {}


@pytest.mark.parametrize("host", ["", "localhost", "localhost:80", "[::1]:80", "a_b-c.example", "xn--nxasmq6b", "%41"])
def test_valid_hosts_are_accepted(host: str) -> None:
    assert parse_head(head(host=f"Host: {host}")).headers["host"] == host


def test_maximum_number_of_headers_is_accepted() -> None:
    assert len(parse_head(head(*(f"X-{number}: a" for number in range(MAX_HEADERS - 1)))).headers) == MAX_HEADERS


# -- what is refused


@pytest.mark.parametrize(
    "first",
    [
        "",
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.10",
        "GET / HTTP/11",
        "GET / HTTP/\u00b9.1",
        "GET /a b HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\xe9 HTTP/1.1",
        "G\x00T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "G" * 33 + " / HTTP/1.1",
        " / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
    ],
)
def test_malformed_request_line_is_refused(first: str) -> None:
    assert refused(head(first=first)) == (400, "malformed request line")


@pytest.mark.parametrize("target", ["a", "localhost:80", "a/b", "ftp://localhost/", "?a", "http:/a", "**"])
def test_invalid_target_is_refused(target: str) -> None:
    assert refused(head(first=f"GET {target} HTTP/1.1")) == (
        400,
        "the target of the request is neither a path nor a URL",
    )


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0", "HTTP/3.1", "HTTP/9.9"])
def test_other_http_versions_are_refused(version: str) -> None:
    assert refused(head(first=f"GET / {version}")) == (505, "only HTTP/1.1 and HTTP/1.0 are supported")


@pytest.mark.parametrize(
    "line",
    [
        "X",
        ": y",
        "X : y",
        "X\t: y",
        " X: y",
        "\tX: y",
        "X Y: z",
        "X\x00: y",
        "X: y\x00",
        "X: y\rZ: a",
        "X: y\nZ: a",
        "X: y\x0b",
        "X: y\x1f",
        "X: y\x7f",
        "X(Y): z",
        "X\xe9: y",
        '"X": y',
        "",
    ],
)
def test_malformed_header_is_refused(line: str) -> None:
    assert refused(head(line, "A: b")) == (400, "malformed header line")


@pytest.mark.parametrize(
    "name",
    ["content-length", "host", "transfer-encoding", "sec-websocket-key", "sec-websocket-version", "x-api-sign"],
)
def test_repeated_single_value_header_is_refused(name: str) -> None:
    line = f"{name.title()}: 1"
    assert refused(head(line, line, host="")) == (400, f"duplicate header {name}")


@pytest.mark.parametrize("length", ["", "a", "-1", "+1", "1 2", "1,1", "1, 1", "0x1", "1.0", "1_0", "\xb2", "1" * 16])
def test_invalid_content_length_is_refused(length: str) -> None:
    assert refused(head(f"Content-Length: {length}")) == (
        400,
        "Content-Length must be digits only, at most 15, without a sign",
    )


def test_length_together_with_transfer_encoding_is_refused() -> None:
    assert refused(head("Content-Length: 1", "Transfer-Encoding: chunked")) == (
        400,
        "Content-Length and Transfer-Encoding must not be used together",
    )


@pytest.mark.parametrize(
    "coding", ["", "gzip", "identity", "gzip, chunked", "chunked, chunked", "chunked;q=1", "xchunked"]
)
def test_unsupported_transfer_coding_is_refused(coding: str) -> None:
    assert refused(head(f"Transfer-Encoding: {coding}"))[0] == 501


def test_chunks_in_http_1_0_are_refused() -> None:
    assert refused(head("Transfer-Encoding: chunked", first="POST / HTTP/1.0"))[0] == 501


def test_missing_host_is_refused() -> None:
    assert refused(head(host="")) == (400, "missing header Host")


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "<a>", '"a"', "\xe9"])
def test_invalid_host_is_refused(host: str) -> None:
    assert refused(head(host=f"Host: {host}")) == (400, "invalid header Host")


def test_too_many_headers_are_refused() -> None:
    lines = (f"X-{number}: a" for number in range(MAX_HEADERS))
    assert refused(head(*lines)) == (431, f"more than {MAX_HEADERS} headers")


def test_too_long_request_line_is_refused() -> None:
    frame = len("GET / HTTP/1.1")
    assert parse_head(head(first=f"GET /{'a' * (MAX_REQUEST_LINE - frame)} HTTP/1.1"))
    assert refused(head(first=f"GET /{'a' * (MAX_REQUEST_LINE - frame + 1)} HTTP/1.1")) == (
        414,
        f"the request line is longer than {MAX_REQUEST_LINE} bytes",
    )


@pytest.mark.timeout(seconds(20))
def test_many_spaces_in_a_header_value_are_parsed_quickly() -> None:
    """A regular expression that matches white space lazily would take a minute."""
    for _ in range(20):
        assert refused(head(f"X: a{' ' * 30_000}b\x00"))[0] == 400


@given(st.binary(max_size=2000))
@example(b"\r\n" * 50)
@example(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 200)
def test_arbitrary_bytes_are_a_valid_head_or_are_refused(data: bytes) -> None:
    try:
        parsed = parse_head(data)
    except HTTPError as error:
        assert 400 <= error.status < 600
        assert error.reason
    else:
        assert parsed.path
        assert parsed.version in ("HTTP/1.0", "HTTP/1.1")


@given(
    st.lists(
        st.sampled_from(
            [
                b"GET / HTTP/1.1",
                b"POST http://a/b?c HTTP/1.0",
                b"Host: a",
                b"host : a",
                b"Content-Length: 5",
                b"Content-Length: 5,5",
                b"Transfer-Encoding: chunked",
                b"\tfolded",
                b"X:" + bytes(range(256)),
                b"",
                b"\r",
                b"\n",
            ]
        ),
        max_size=8,
    )
)
def test_lines_in_any_order_are_a_valid_head_or_are_refused(lines: list[bytes]) -> None:
    try:
        headers = parse_head(b"\r\n".join(lines)).headers
    except HTTPError:
        return
    assert not {"content-length", "transfer-encoding"} <= headers.keys()
