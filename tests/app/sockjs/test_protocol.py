"""The chapters of the SockJS protocol 0.3.3, one after another, against the four services that it requires.

The names are those of the published suite, which is run separately; `test_haproxy` is left out, because it requires
a WebSocket draft of 2010.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable

import pytest

from tests.sockjs_client import Answer, Service, Stream
from tests.waiting import seconds
from tests.websocket_client import Closed

Services = Callable[[str], Service]

JAVASCRIPT = "application/javascript; charset=UTF-8"
PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STILL_OPEN = 'c[2010,"Another connection still open"]'
GO_AWAY = 'c[3000,"Go away!"]'


def assert_cors(answer: Answer, origin: str | None = None) -> None:
    assert answer.headers["access-control-allow-origin"] == (origin or "*")
    assert answer.headers.get("access-control-allow-credentials") == ("true" if origin else None)


def assert_not_cached(answer: Answer) -> None:
    never = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
    assert answer.headers["cache-control"] == never
    assert not {"expires", "last-modified"} & answer.headers.keys()


def assert_cached(answer: Answer) -> None:
    assert "public" in answer.headers["cache-control"]
    assert re.search("max-age=[1-9][0-9]{6}", answer.headers["cache-control"])
    assert answer.headers["expires"]
    assert "last-modified" not in answer.headers


def assert_options(service: Service, path: str, method: str) -> None:
    for origin in ("test", "null"):
        answer = service.options(path, {"Access-Control-Request-Method": method, "Origin": origin})
        assert (answer.status, answer.body) == (204, b"")
        assert_cached(answer)
        assert int(answer.headers["access-control-max-age"]) > 1_000_000
        assert answer.headers["access-control-allow-methods"] == f"OPTIONS, {method}"
        assert_cors(answer, origin)


def assert_not_allowed(answer: Answer, allowed: str) -> None:
    assert (answer.status, answer.headers["allow"], answer.body) == (405, allowed, b"")
    assert "content-type" not in answer.headers


# -- BaseUrlGreeting


@pytest.mark.parametrize("path", ["", "/"])
def test_greeting(echo: Service, path: str) -> None:
    answer = echo.get(path)
    assert (answer.status, answer.text) == (200, "Welcome to SockJS!\n")
    assert answer.headers["content-type"] == PLAIN
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/a//a", "//a/a/xhr", "/%2F"])
def test_not_found(echo: Service, path: str) -> None:
    assert echo.get(path).status == 404


# -- IframePage


IFRAME = re.compile(
    """<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="(/|http)[^"]*" integrity="sha384-[^"]+" crossorigin="anonymous"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe\\(\\);
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""
)


@pytest.mark.parametrize(
    "name",
    [
        "iframe.html",
        "iframe-a.html",
        "iframe-.html",
        "iframe-0.1.2.html",
        "iframe-0.1.2abc-dirty.2144.html",
        "iframe-a.html?t=1234",
        "iframe-0.1.2abc-dirty.2144.html?t=qweqweq123",
    ],
)
def test_iframe(echo: Service, name: str) -> None:
    answer = echo.get(f"/{name}")
    assert (answer.status, answer.headers["content-type"]) == (200, HTML)
    assert_cached(answer)
    assert answer.headers["etag"]
    assert IFRAME.fullmatch(answer.text.strip())
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "name", ["iframe.htm", "iframe", "IFRAME.HTML", "IFRAME", "iframe.HTML", "iframe.xml", "iframe-/.html"]
)
def test_invalid_iframe(echo: Service, name: str) -> None:
    assert echo.get(f"/{name}").status == 404


def test_cacheability(echo: Service) -> None:
    tag = echo.get("/iframe.html").headers["etag"]
    assert echo.get("/iframe.html").headers["etag"] == tag
    for known in (tag, f'"other", W/{tag}', "*"):
        answer = echo.get("/iframe.html", {"If-None-Match": known})
        assert (answer.status, answer.body) == (304, b"")
        assert not {"content-type", "content-length"} & answer.headers.keys()
    assert echo.get("/iframe.html", {"If-None-Match": '"other"'}).status == 200


# -- InfoTest


def test_info_basic(echo: Service) -> None:
    answer = echo.get("/info", {"Origin": "test"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json; charset=UTF-8")
    assert_not_cached(answer)
    assert_cors(answer, "test")
    assert "set-cookie" not in answer.headers
    info = json.loads(answer.body)
    assert 0 <= info.pop("entropy") < 1 << 32
    assert info == {"websocket": True, "cookie_needed": False, "origins": ["*:*"]}


def test_entropy(echo: Service) -> None:
    entropies = {json.loads(echo.get("/info").body)["entropy"] for _ in range(3)}
    assert len(entropies) > 1


def test_info_options(echo: Service) -> None:
    assert_options(echo, "/info", "GET")


def test_info_options_null_origin(echo: Service) -> None:
    answer = echo.options("/info", {"Origin": "null", "Access-Control-Request-Method": "POST"})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "null"


def test_disabled_websocket(service_at: Services) -> None:
    service = service_at("/disabled_websocket_echo")
    assert json.loads(service.get("/info").body)["websocket"] is False
    assert service.get("/0/0/websocket").status == 404
    assert service.get("/websocket").status == 404


# -- SessionURLs


def test_any_value(echo: Service) -> None:
    for server, session in (
        ("a", "a"),
        ("_", "_"),
        ("1", ""),
        ("abcdefgh_i-j%20", "abcdefg_i-j%20"),
        ("%FF", "%c3%A9"),
    ):
        answer = echo.post(f"/{server}/{session}{uuid.uuid4().hex}/xhr")
        assert (answer.status, answer.body) == (200, b"o\n")


@pytest.mark.parametrize("part", ["//", "/a./a", "/a/a.", "/./.", "/", "///", "/a/%2E", "/a/b%2Fc", "/a"])
def test_invalid_paths(echo: Service, part: str) -> None:
    assert echo.get(f"{part}/xhr").status == 404
    assert echo.post(f"{part}/xhr").status == 404


def test_ignoring_server_id(echo: Service) -> None:
    key = uuid.uuid4()
    assert echo.post(f"/000/{key}/xhr").body == b"o\n"
    answer = echo.post(f"/000/{key}/xhr_send", b'["a"]')
    assert (answer.status, answer.body) == (204, b"")
    answer = echo.post(f"/999/{key}/xhr")
    assert (answer.status, answer.body) == (200, b'a["a"]\n')


def test_escapes_in_a_path_are_the_same_session(echo: Service) -> None:
    key = uuid.uuid4().hex
    assert echo.post(f"/000/{key}/xhr").body == b"o\n"
    assert echo.post(f"/000/%{ord(key[0]):02x}{key[1:]}/xhr_send", b'["a"]').status == 204


# -- Protocol


def test_simple_session(echo: Service) -> None:
    session = echo.session().opened()
    answer = session.send("a")
    assert (answer.status, answer.body) == (204, b"")
    assert session.poll() == 'a["a"]'
    assert echo.post("/000/bad_session/xhr_send", b'["a"]').status == 404
    with session.start_poll():
        assert session.poll() == STILL_OPEN


def test_close_session(close: Service) -> None:
    session = close.session().opened()
    assert [session.poll() for _ in range(3)] == [GO_AWAY] * 3


# -- WebsocketHttpErrors


def test_websocket_http_method(echo: Service) -> None:
    assert echo.get("/0/0/websocket").status == 400


def test_invalid_connection_header(echo: Service) -> None:
    assert echo.get("/0/0/websocket", {"Upgrade": "WebSocket", "Connection": "close"}).status == 400


@pytest.mark.parametrize("headers", [{"Upgrade": "WebSocket", "Connection": "Upgrade"}, {}])
@pytest.mark.parametrize("path", ["/0/0/websocket", "/websocket"])
def test_invalid_method(echo: Service, path: str, headers: dict[str, str]) -> None:
    assert_not_allowed(echo.post(path, headers=headers), "GET")


# -- Websocket


def test_websocket_transport(echo: Service) -> None:
    with echo.websocket(f"{echo.session().url}/websocket") as client:
        assert client.recv_text() == "o"
        client.send_text('["a"]')
        assert client.recv_text() == 'a["a"]'
        client.send_text('"one alone"')
        assert client.recv_text() == 'a["one alone"]'


def test_websocket_close(close: Service) -> None:
    client = close.websocket(f"{close.session().url}/websocket")
    assert [client.recv_text(), client.recv_text()] == ["o", GO_AWAY]
    closed = client.wait_closed()
    assert (closed.code, closed.reason) == (3000, "Go away!")


def test_headers_sanity(echo: Service) -> None:
    headers = {"Sec-WebSocket-Origin": "http://asd", "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw=="}
    with echo.websocket(f"{echo.session().url}/websocket", headers) as client:
        assert client.headers["sec-websocket-accept"] == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
        assert client.headers["connection"].lower() == "upgrade"
        assert client.headers["upgrade"].lower() == "websocket"
        assert "content-length" not in client.headers


def test_empty_frame(echo: Service) -> None:
    with echo.websocket(f"{echo.session().url}/websocket") as client:
        assert client.recv_text() == "o"
        for text in ("", "[]", '["a"]'):
            client.send_text(text)
        assert client.recv_text() == 'a["a"]'


def test_reuse_session_id(echo: Service) -> None:
    url = f"{echo.session().url}/websocket"
    with echo.websocket(url) as one, echo.websocket(url) as other:
        assert (one.recv_text(), other.recv_text()) == ("o", "o")
        one.send_text('["a"]')
        other.send_text('["b"]')
        assert (one.recv_text(), other.recv_text()) == ('a["a"]', 'a["b"]')
    with echo.websocket(url) as again:
        assert again.recv_text() == "o"
        again.send_text('["a"]')
        assert again.recv_text() == 'a["a"]'


@pytest.mark.parametrize("text", ['["a', "{}", "[1]", '["a",null]', "1", "nonsense", "[" * 5000, "null"])
def test_websocket_broken_json(echo: Service, text: str) -> None:
    client = echo.websocket(f"{echo.session().url}/websocket")
    assert client.recv_text() == "o"
    client.send_text(text)
    assert client.wait_closed().code is None


# -- XhrPolling


@pytest.mark.parametrize("transport", ["xhr", "xhr_send"])
def test_xhr_options(echo: Service, transport: str) -> None:
    assert_options(echo, f"/abc/abc/{transport}", "POST")


def test_xhr_transport(echo: Service) -> None:
    url, origin = echo.session().url, {"Origin": "test"}
    answer = echo.post(f"{url}/xhr", headers=origin)
    assert (answer.status, answer.body) == (200, b"o\n")
    assert answer.headers["content-type"] == JAVASCRIPT
    assert_cors(answer, "test")
    assert_not_cached(answer)
    answer = echo.post(f"{url}/xhr_send", b'["x"]', origin)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["content-type"] == PLAIN
    assert_cors(answer, "test")
    assert_not_cached(answer)
    answer = echo.post(f"{url}/xhr")
    assert (answer.status, answer.body) == (200, b'a["x"]\n')
    assert_cors(answer)


def test_xhr_invalid_session(echo: Service) -> None:
    answer = echo.session().send("x")
    assert answer.status == 404
    assert_cors(answer)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'["x', "Broken JSON encoding."),
        (b"", "Payload expected."),
        (b'{"a": 1}', "Payload expected."),
        (b'"x"', "Payload expected."),
        (b"null", "Payload expected."),
        (b"[1]", "Broken JSON encoding."),
        (b'["a", ["b"]]', "Broken JSON encoding."),
        (b'["\xff"]', "Broken JSON encoding."),
        (b"[" * 5000, "Broken JSON encoding."),
        (b'["a\n"]', "Broken JSON encoding."),
        (b"<script>alert(1)</script>", "Broken JSON encoding."),
    ],
)
def test_xhr_invalid_json(echo: Service, body: bytes, reason: str) -> None:
    session = echo.session().opened()
    answer = session.send_raw(body)
    assert (answer.status, answer.text) == (500, f"{reason}\n")
    assert session.send("a").status == 204
    assert session.poll() == 'a["a"]'


def test_xhr_content_types(echo: Service) -> None:
    session = echo.session().opened()
    types = ["text/plain", "T", "application/json", "application/xml", "", "application/json; charset=utf-8"]
    types += ["text/xml; charset=utf-8", "text/xml"]
    for content_type in types:
        answer = session.send_raw(b'["a"]', {"Content-Type": content_type})
        assert (answer.status, answer.body) == (204, b"")
    assert session.poll() == "a[" + ",".join(['"a"'] * len(types)) + "]"


@pytest.mark.parametrize(("asked", "allowed"), [("a, b, c", "a, b, c"), ("", None), (None, None)])
def test_request_headers_cors(echo: Service, asked: str | None, allowed: str | None) -> None:
    headers = {"Origin": "test", "Access-Control-Request-Method": "POST"}
    if asked is not None:
        headers["Access-Control-Request-Headers"] = asked
    answer = echo.options("/a/b/xhr", headers)
    assert answer.status == 204
    assert_cors(answer, "test")
    assert answer.headers.get("access-control-allow-headers") == allowed


def test_xhr_sending_empty_frame(echo: Service) -> None:
    session = echo.session().opened()
    assert session.send().status == 204
    assert session.send("a").status == 204
    assert session.poll() == 'a["a"]'


# -- XhrStreaming


def test_xhr_streaming_options(echo: Service) -> None:
    assert_options(echo, "/abc/abc/xhr_streaming", "POST")


def test_xhr_streaming_transport(echo: Service) -> None:
    session = echo.session()
    stream = Stream(echo.start("POST", f"{session.url}/xhr_streaming", {"Origin": "test"}))
    assert (stream.head.status, stream.head.headers["content-type"]) == (200, JAVASCRIPT)
    assert_cors(stream.head, "test")
    assert_not_cached(stream.head)
    assert stream.prelude == b"h" * 2048 + b"\n"
    assert stream.frame() == "o\n"
    assert session.send("x").status == 204
    assert stream.frame() == 'a["x"]\n'


def test_xhr_streaming_response_limit(echo: Service) -> None:
    session = echo.session()
    stream = session.stream()
    assert stream.frame() == "o\n"
    message = "x" * 128
    for _ in range(31):
        assert session.send(message).status == 204
        assert stream.frame() == f'a["{message}"]\n'
    assert stream.frame() == ""


# -- EventSource


def test_eventsource_transport(echo: Service) -> None:
    session = echo.session()
    stream = Stream(echo.start("GET", f"{session.url}/eventsource"))
    assert (stream.head.status, stream.head.headers["content-type"]) == (200, "text/event-stream")
    assert_not_cached(stream.head)
    assert stream.prelude == b"\r\n"
    assert stream.frame() == "data: o\r\n\r\n"
    session.send("x")
    assert stream.frame() == 'data: a["x"]\r\n\r\n'
    session.send_raw(rb'["  \u0000\n\r "]')
    assert stream.frame() == 'data: a["  \\u0000\\n\\r "]\r\n\r\n'
    session.send("100%41")
    assert stream.frame() == 'data: a["100%2541"]\r\n\r\n'


def test_eventsource_response_limit(echo: Service) -> None:
    session = echo.session()
    stream = Stream(echo.start("GET", f"{session.url}/eventsource"))
    assert stream.frame() == "data: o\r\n\r\n"
    session.send("x" * 4096)
    assert stream.frame() == f'data: a["{"x" * 4096}"]\r\n\r\n'
    assert stream.frame() == ""


# -- HtmlFile

HTMLFILE = """<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.callback;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"""


def test_htmlfile_transport(echo: Service) -> None:
    session = echo.session()
    stream = Stream(echo.start("GET", f"{session.url}/htmlfile?c=%63allback"))
    assert (stream.head.status, stream.head.headers["content-type"]) == (200, HTML)
    assert_not_cached(stream.head)
    assert stream.prelude.decode().strip() == HTMLFILE
    assert len(stream.prelude) > 1024
    assert stream.frame() == '<script>\np("o");\n</script>\r\n'
    session.send("x")
    assert stream.frame() == '<script>\np("a[\\"x\\"]");\n</script>\r\n'
    session.send("</script><!--<script>")
    assert "<" not in stream.frame().removeprefix("<script>").removesuffix("</script>\r\n")


def test_htmlfile_response_limit(echo: Service) -> None:
    session = echo.session()
    stream = Stream(echo.start("GET", f"{session.url}/htmlfile?c=callback"))
    assert stream.frame() == '<script>\np("o");\n</script>\r\n'
    session.send("x" * 4096)
    assert stream.frame() == f'<script>\np("a[\\"{"x" * 4096}\\"]");\n</script>\r\n'
    assert stream.frame() == ""


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp"])
@pytest.mark.parametrize("query", ["", "?", "?c=", "?d=x", "?callback="])
def test_no_callback(echo: Service, transport: str, query: str) -> None:
    answer = echo.get(f"/a/a/{transport}{query}")
    assert (answer.status, answer.text) == (500, '"callback" parameter required\n')


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp"])
@pytest.mark.parametrize(
    "callback", ["%20", "*", "abc(", "abc%28", "%3Cscript%3E", "a%0d%0aX:y", "%ff", "a;b", "%C3%A9", "a%00", "a%0A"]
)
def test_invalid_callback(echo: Service, transport: str, callback: str) -> None:
    answer = echo.get(f"/a/a/{transport}?c={callback}")
    assert (answer.status, answer.text) == (500, 'invalid "callback" parameter\n')


# -- JsonPolling


def test_jsonp_transport(echo: Service) -> None:
    url = echo.session().url
    answer = echo.get(f"{url}/jsonp?c=%63allback")
    assert (answer.status, answer.text) == (200, '/**/callback("o");\r\n')
    assert answer.headers["content-type"] == JAVASCRIPT
    assert_not_cached(answer)
    answer = echo.post(f"{url}/jsonp_send", b"d=%5B%22x%22%5D", FORM)
    assert (answer.status, answer.text) == (200, "ok")
    assert answer.headers["content-type"] == PLAIN
    assert_not_cached(answer)
    answer = echo.get(f"{url}/jsonp?callback=callback")
    assert (answer.status, answer.text) == (200, '/**/callback("a[\\"x\\"]");\r\n')


def test_jsonp_invalid_json(echo: Service) -> None:
    url = echo.session().url
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("o");\r\n'
    answer = echo.post(f"{url}/jsonp_send", b"d=%5B%22x", FORM)
    assert (answer.status, answer.text) == (500, "Broken JSON encoding.\n")
    for body in (b"", b"d=", b"p=p"):
        answer = echo.post(f"{url}/jsonp_send", body, FORM)
        assert (answer.status, answer.text) == (500, "Payload expected.\n")
    assert echo.post(f"{url}/jsonp_send", b"d=%5B%22b%22%5D", FORM).text == "ok"
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("a[\\"b\\"]");\r\n'


def test_jsonp_content_types(echo: Service) -> None:
    url = echo.session().url
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("o");\r\n'
    assert echo.post(f"{url}/jsonp_send", b"d=%5B%22abc%22%5D", FORM).text == "ok"
    assert echo.post(f"{url}/jsonp_send", b'["%61bc"]', {"Content-Type": "text/plain"}).text == "ok"
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("a[\\"abc\\",\\"%61bc\\"]");\r\n'


def test_jsonp_forms_carry_any_text(echo: Service) -> None:
    url = echo.session().url
    echo.get(f"{url}/jsonp?c=x")
    body = b"a=b&d=" + "[%22%C3%A9+%F0%9F%98%80 é%26%2B%22]".encode() + b"&c=d"
    assert echo.post(f"{url}/jsonp_send", body, FORM).text == "ok"
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("a[\\"é 😀 é&+\\"]");\r\n'


def test_jsonp_close(close: Service) -> None:
    url = close.session().url
    answers = [close.get(f"{url}/jsonp?c=x").text for _ in range(3)]
    assert answers == ['/**/x("o");\r\n'] + ['/**/x("c[3000,\\"Go away!\\"]");\r\n'] * 2


def test_jsonp_sending_empty_frame(echo: Service) -> None:
    url = echo.session().url
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("o");\r\n'
    assert echo.post(f"{url}/jsonp_send", b"d=%5B%5D", FORM).text == "ok"
    assert echo.post(f"{url}/jsonp_send", b"d=%5B%22x%22%5D", FORM).text == "ok"
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("a[\\"x\\"]");\r\n'


def test_jsonp_response_cannot_be_manipulated(echo: Service) -> None:
    url = echo.session().url
    answer = echo.get(f"{url}/jsonp?c=x")
    assert answer.headers["x-content-type-options"] == "nosniff"
    echo.post(f"{url}/jsonp_send", b'["\\u2028</script>\\u2029"]', {"Content-Type": "text/plain"})
    assert echo.get(f"{url}/jsonp?c=x").text == '/**/x("a[\\"\\\\u2028\\u003c/script>\\\\u2029\\"]");\r\n'


# -- JsessionidCookie


def cookie_of(answer: Answer) -> list[str]:
    return [part.strip() for part in answer.headers["set-cookie"].split(";")]


def test_cookie_basic(service_at: Services) -> None:
    service = service_at("/cookie_needed_echo")
    answer = service.get("/info")
    assert json.loads(answer.body)["cookie_needed"] is True
    for path in ("/info", "", "/", "/iframe.html"):
        assert "set-cookie" not in service.get(path).headers


@pytest.mark.parametrize(
    ("sent", "cookie"),
    [
        (None, "JSESSIONID=dummy"),
        ("JSESSIONID=abcdef", "JSESSIONID=abcdef"),
        ("a=b; JSESSIONID=abcdef; c=d", "JSESSIONID=abcdef"),
        ("OTHERJSESSIONID=abcdef", "JSESSIONID=dummy"),
        ("JSESSIONID=", "JSESSIONID=dummy"),
    ],
)
def test_cookie_xhr(service_at: Services, sent: str | None, cookie: str) -> None:
    service = service_at("/cookie_needed_echo")
    answer = service.post(f"{service.session().url}/xhr", headers={"Cookie": sent} if sent else {})
    assert (answer.status, answer.body) == (200, b"o\n")
    assert cookie_of(answer)[:2] == [cookie, "Path=/"]


@pytest.mark.parametrize(
    ("method", "transport"), [("POST", "xhr_streaming"), ("GET", "eventsource"), ("GET", "htmlfile?c=%63allback")]
)
def test_cookie_of_streams(service_at: Services, method: str, transport: str) -> None:
    service = service_at("/cookie_needed_echo")
    stream = Stream(service.start(method, f"{service.session().url}/{transport}"))
    assert stream.head.status == 200
    assert cookie_of(stream.head)[:2] == ["JSESSIONID=dummy", "Path=/"]


def test_cookie_jsonp(service_at: Services) -> None:
    service = service_at("/cookie_needed_echo")
    url = service.session().url
    answers = [service.get(f"{url}/jsonp?c=x"), service.post(f"{url}/jsonp_send", b"d=%5B%22x%22%5D", FORM)]
    assert [answer.text for answer in answers] == ['/**/x("o");\r\n', "ok"]
    assert [cookie_of(answer)[:2] for answer in answers] == [["JSESSIONID=dummy", "Path=/"]] * 2


def test_without_the_option_no_cookie_is_set(echo: Service) -> None:
    assert "set-cookie" not in echo.post(f"{echo.session().url}/xhr").headers


# -- RawWebsocket


def test_raw_websocket_transport(echo: Service) -> None:
    with echo.websocket("/websocket") as client:
        client.send_text("Hello world!\uffff")
        assert client.recv_text() == "Hello world!\uffff"


def test_raw_websocket_close(close: Service) -> None:
    closed = close.websocket("/websocket").wait_closed()
    assert (closed.code, closed.reason) == (3000, "Go away!")


# -- JSONEncoding

FRAGILE = [*range(0x200C, 0x2010), *range(0x2028, 0x2030), *range(0x2060, 0x2070), *range(0xFFF0, 0x10000)]


def test_server_encodes(echo: Service) -> None:
    session = echo.session().opened()
    text = "".join(map(chr, FRAGILE))
    assert session.send_raw(f'["{text}"]'.encode()).status == 204
    assert session.poll() == 'a["' + "".join(f"\\u{code:04x}" for code in FRAGILE) + '"]'


def test_server_decodes(echo: Service) -> None:
    session = echo.session().opened()
    codes = range(0x10000)
    assert session.send_raw(('["' + "".join(f"\\u{code:04x}" for code in codes[:20000]) + '"]').encode()).status == 204
    assert json.loads(session.poll()[1:]) == ["".join(map(chr, codes[:20000]))]


def test_lone_surrogates_survive(echo: Service) -> None:
    session = echo.session().opened()
    assert session.send_raw(b'["\\ud800 and \\udfff \\u2028"]').status == 204
    assert json.loads(session.poll()[1:]) == ["\ud800 and \udfff \u2028"]


# -- HandlingClose


def test_close_frame(close: Service) -> None:
    session = close.session()
    one = session.stream()
    assert [one.frame(), one.frame()] == ["o\n", f"{GO_AWAY}\n"]
    other = session.stream()
    assert other.frame() == f"{GO_AWAY}\n"
    assert (one.frame(), other.frame()) == ("", "")


def test_close_request(echo: Service) -> None:
    session = echo.session()
    one = session.stream()
    assert one.frame() == "o\n"
    other = session.stream()
    assert [other.frame(), other.frame()] == [f"{STILL_OPEN}\n", ""]
    session.send("x")
    assert one.frame() == 'a["x"]\n', "the first must not notice"


def test_abort_xhr_streaming(echo: Service) -> None:
    session = echo.session()
    one = session.stream()
    assert one.frame() == "o\n"
    other = session.stream()
    assert [other.frame(), other.frame()] == [f"{STILL_OPEN}\n", ""]
    one.close()
    assert session.stream().frame() in ("o\n", 'c[1002,"Connection interrupted"]\n')


def test_abort_xhr_polling(echo: Service) -> None:
    session = echo.session().opened()
    poll = session.start_poll()
    assert session.poll() == STILL_OPEN
    poll.close()
    assert session.poll() in ("o", 'c[1002,"Connection interrupted"]')


# -- Http10 and Http11


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_xhr_requests_on_one_connection_are_answered_in_order(echo: Service, version: str) -> None:
    connection = echo.connect()
    for _ in range(2):
        connection.send("GET", echo.prefix, {"Connection": "Keep-Alive"}, version=version)
        answer = connection.answer()
        assert (answer.status, answer.text) == (200, "Welcome to SockJS!\n")
        assert answer.headers["content-length"] == "19"
        assert "transfer-encoding" not in answer.headers
        assert answer.headers.get("connection", "keep-alive").lower() == "keep-alive"


def test_streaming_in_http_1_0(close: Service) -> None:
    connection = close.connect()
    target = f"{close.prefix}{close.session().url}/xhr_streaming"
    connection.send("POST", target, {"Connection": "Keep-Alive"}, version="1.0")
    head = connection.head()
    assert head.status == 200
    assert not {"transfer-encoding", "content-length"} & head.headers.keys()
    assert connection.rest() == b"h" * 2048 + b"\no\n" + GO_AWAY.encode() + b"\n"


def test_streaming_in_http_1_1(close: Service) -> None:
    stream = Stream(close.start("POST", f"{close.session().url}/xhr_streaming", {"Connection": "Keep-Alive"}))
    assert stream.head.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in stream.head.headers
    assert [stream.frame() for _ in range(3)] == ["o\n", f"{GO_AWAY}\n", ""]
    if stream.head.headers.get("connection") == "close":  # over WSGI
        assert stream.connection.has_ended()
        return
    stream.connection.send("GET", close.prefix)
    assert stream.connection.answer().text == "Welcome to SockJS!\n"


# -- what the protocol leaves to the server's good manners

NOT_ALLOWED = {
    "": "GET",
    "/iframe.html": "GET",
    "/info": "OPTIONS, GET",
    "/a/b/xhr": "OPTIONS, POST",
    "/a/b/xhr_send": "OPTIONS, POST",
    "/a/b/xhr_streaming": "OPTIONS, POST",
    "/a/b/eventsource": "GET",
    "/a/b/htmlfile": "GET",
    "/a/b/jsonp": "GET",
    "/a/b/jsonp_send": "POST",
    "/a/b/websocket": "GET",
    "/websocket": "GET",
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", NOT_ALLOWED)
def test_other_methods(echo: Service, path: str, method: str) -> None:
    allowed = NOT_ALLOWED[path]
    if method not in allowed:
        assert_not_allowed(echo.request(method, path), allowed)


@pytest.mark.parametrize("transport", ["xhr_", "XHR", "", "websockets", "send", "xhr/", "xhr%00"])
def test_other_transports(echo: Service, transport: str) -> None:
    assert echo.get(f"/a/b/{transport}").status == 404
    assert echo.post(f"/a/b/{transport}", b'["a"]').status == 404


def test_responses_contain_no_unescaped_input(echo: Service) -> None:
    evil = "%3Cscript%3Ealert(1)%3C/script%3E"
    for answer in (
        echo.get(f"/{evil}"),
        echo.get(f"/{evil}/{evil}/{evil}"),
        echo.get(f"/a/b/jsonp?c={evil}"),
        echo.get(f"/a/b/htmlfile?c={evil}"),
        echo.get(f"/iframe-{evil}.html"),
        echo.post(f"/a/{evil}b/xhr_send", b"<script>"),
        echo.post(f"/a/b/{evil}", b"<script>"),
    ):
        assert b"alert" not in answer.body
        assert b"<script>" not in answer.body


def test_frames_wait_for_the_next_poll(echo: Service) -> None:
    session = echo.session().opened()
    for number in range(3):
        session.send(str(number))
    assert session.poll() == 'a["0","1","2"]'
    poll = session.start_poll()
    session.send("3")
    assert poll.answer().body == b'a["3"]\n'


def test_closed_session_is_forgotten(close: Service) -> None:
    session = close.session().opened()
    assert session.poll() == GO_AWAY
    deadline = time.monotonic() + seconds(8)
    while session.poll() == GO_AWAY:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_frames_of_any_kind_end_a_websocket_cleanly(echo: Service) -> None:
    client = echo.websocket("/0/0/websocket")
    assert client.recv_text() == "o"
    client.send_frame(0x8, b"\x03\xe8")
    with pytest.raises(Closed) as closed:
        client.recv_text()
    assert closed.value.code == 1000
