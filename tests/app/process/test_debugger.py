"""Flask's debug mode: tracebacks are shown only to requests from this machine."""

from __future__ import annotations

import pytest
from flask import Flask

from gentrifugo.app.process.debugger import show_errors


@pytest.fixture
def app() -> Flask:
    app = Flask("site")

    @app.get("/fail")
    def fail() -> str:
        raise KeyError("what failed")

    return app


def test_a_developer_sees_the_traceback_and_can_run_code(app: Flask) -> None:
    warning = show_errors(app)
    response = app.test_client().get("/fail")
    assert (response.status_code, app.debug) == (500, True)
    assert "KeyError: &#39;what failed&#39;" in response.text
    assert 'id="frame-' in response.text
    assert "its PIN is " in warning


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
    ],
)
def test_the_debugger_is_not_shown_to_other_machines(app: Flask, environ: dict[str, str]) -> None:
    """The error is raised to the server, which answers with status 500 and logs it."""
    show_errors(app)
    with pytest.raises(KeyError):
        app.test_client().get("/fail", environ_overrides=environ)
    resource = "/?__debugger__=yes&cmd=resource&f=style.css"
    assert app.test_client().get(resource, environ_overrides=environ).status_code == 404


def test_a_request_for_another_host_runs_no_code(app: Flask) -> None:
    """A page whose name resolves to 127.0.0.1 could otherwise use the debugger of its visitor."""
    show_errors(app)
    response = app.test_client().get("/fail", base_url="http://evil.example")
    assert "EVALEX = false" in response.text or "EVALEX_TRUSTED = false" in response.text
