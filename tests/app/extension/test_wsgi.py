"""Log messages when the application for gunicorn is created."""

from __future__ import annotations

import logging
import sys

import pytest

from gentrifugo.app import logs
from gentrifugo.app.extension.wsgi import create_app, flask_app
from gentrifugo.app.node.hooks import CONNECT, Context
from gentrifugo.app.views.mounted import service_of
from tests.app.conftest import config


@pytest.fixture(autouse=True)
def _a_log_that_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs.root, "handlers", [logging.NullHandler()])


@pytest.mark.parametrize("name", ["ssl", "ssl_autocert"])
def test_warning_says_that_gunicorn_handles_tls(name: str, caplog: pytest.LogCaptureFixture) -> None:
    certificate = {"ssl_cert": __file__, "ssl_key": __file__, "ssl_autocert_cache_dir": "."}
    create_app(config(**certificate, **{name: True}))
    (said,) = caplog.messages
    assert f"option {name} has no effect here: gunicorn handles TLS" in said
    assert "--certfile" in said


@pytest.mark.parametrize(
    ("options", "arguments"), [({}, []), ({"ssl": True}, ["--certfile=cert.pem"])], ids=["without", "gunicorn does it"]
)
def test_usual_configuration_causes_no_log_lines(
    options: dict[str, bool], arguments: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gunicorn", *arguments])
    create_app(config(**options))
    assert caplog.messages == []


def test_hooks_of_a_whole_server_are_called_directly() -> None:
    service = service_of(flask_app(config()))
    assert service is not None
    asked: list[Context] = []
    service.node.hooks.add(CONNECT, asked.append)
    context = Context(CONNECT, "alice", "c1")
    service.node.hooks.ask(context)
    assert asked == [context]


def test_a_server_that_refuses_all_backends_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    create_app({"token_hmac_secret_key": "secret-of-a-test"})
    (said,) = caplog.messages
    assert said.startswith("options api_key and secret are not set, so no backend can use the HTTP API")


def test_ports_and_warnings_of_a_configuration_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    create_app({"secret": "secret-of-a-test", "api_port": 8001, "unknown": 1})
    assert len(caplog.messages) == 2
    assert "unknown option unknown" in caplog.messages[0]
    assert caplog.messages[1] == (
        "option api_port has no effect here: a WSGI application has no separate port, "
        "so the api endpoints are not served"
    )
