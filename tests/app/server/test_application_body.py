"""A body that cannot be read causes a response for a client error, and no log line."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask, request
from gevent.pywsgi import Input

from gentrifugo.app.http.chunked import BadBody
from gentrifugo.app.server.application_body import ApplicationBody, BrokenBody, LateBody


class Failing:
    """A body that cannot be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int | None = None) -> bytes:
        raise self._error

    readline = read


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (BadBody("a chunk is longer than it says"), BrokenBody),
        (OSError("unexpected end of file"), BrokenBody),
        (TimeoutError("timed out"), LateBody),
    ],
)
def test_a_body_that_cannot_be_read_is_an_error_of_the_client(
    error: Exception, raised: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask(__name__)

    @app.post("/")
    def view() -> str:
        return str(len(request.get_data()))

    environ: dict[str, Any] = {
        "wsgi.input": ApplicationBody(Failing(error)),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "5",
    }
    response = app.test_client().post("/", environ_overrides=environ)
    assert response.status_code == 400
    assert not caplog.records
    for read in (ApplicationBody(Failing(error)).read, ApplicationBody(Failing(error)).readlines):
        with pytest.raises(raised, match=str(error)):
            read()


def test_whole_body_is_read_unchanged() -> None:
    def body() -> ApplicationBody:
        return ApplicationBody(Input(io.BufferedReader(io.BytesIO(b"one\ntwo\nrest")), 11))

    assert body().read() == b"one\ntwo\nres"
    assert body().read(5) == b"one\nt"
    assert body().readline(2) == b"on"
    assert body().readlines() == list(body()) == [b"one\n", b"two\n", b"res"]
    assert isinstance(body().rfile, io.BufferedReader)
