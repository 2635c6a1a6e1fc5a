"""Behaviour of the request that opened a connection, as a WSGI environ."""

from __future__ import annotations

from gentrifugo.app.http.opening_request import Opening


def environ(**headers: str) -> dict[str, object]:
    named = {name.replace("__", "-"): value for name, value in headers.items()}
    return Opening("GET", "/path%20of?a=1", named, "192.0.2.7", "https").environ()


def test_opening_request_keeps_the_received_request() -> None:
    made = environ(host="chat.example", x__name="Ann", content__type="text/plain")
    expected = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/path of",
        "QUERY_STRING": "a=1",
        "SERVER_NAME": "chat.example",
        "SERVER_PORT": "443",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_X_NAME": "Ann",
        "CONTENT_TYPE": "text/plain",
    }
    assert made.items() >= expected.items()


def test_header_names_with_underscores_are_omitted() -> None:
    """A client could send X_Forwarded_User, while a proxy removes only X-Forwarded-User."""
    made = environ(x_forwarded_user="admin", x__forwarded_user="admin", content_type="text/html")
    assert [name for name in made if "FORWARDED" in name or "CONTENT" in name] == []
