"""Behaviour of requests to paths that the server does not have, but that say what the peer needs."""

from __future__ import annotations

import pytest

from gentrifugo.app.extension.missing_paths import NOT_FOUND_TEXT
from gentrifugo.app.extension.wsgi import flask_app, port_app
from gentrifugo.app.service import Service
from tests.app.conftest import config


@pytest.mark.parametrize("options", [{}, {"web": True, "admin": True}, {"http_prefix": "/realtime"}])
def test_method_without_the_prefix_of_the_api_is_shown_its_path(options: dict[str, object]) -> None:
    prefix = options.get("http_prefix", "")
    refused = flask_app(config(**options)).test_client().post(f"{prefix}/publish", json={})
    assert refused.status_code == 404
    assert refused.text == f"not found; the path of this method is {prefix}/api/publish\n"
    assert "Allow" not in refused.headers


@pytest.mark.parametrize(("path", "option"), [("metrics", "prometheus"), ("health", "health")])
def test_endpoint_that_is_off_names_its_option(path: str, option: str) -> None:
    refused = flask_app(config(web=True)).test_client().get(f"/{path}")
    assert refused.status_code == 404
    assert f'"{option}": true' in refused.text
    assert flask_app(config(**{option: True})).test_client().get(f"/{path}").status_code != 404


def test_nothing_is_said_about_metrics_on_a_port_without_them() -> None:
    port = port_app(Service(config()), ["api"]).test_client()
    assert port.get("/metrics").text == f"{NOT_FOUND_TEXT}\n"
    assert port.post("/publish").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/publish"), ("POST", "/nowhere"), ("GET", "/")])
def test_other_paths_are_not_found(method: str, path: str) -> None:
    refused = flask_app(config()).test_client().open(path, method=method)
    assert (refused.status_code, refused.text) == (404, f"{NOT_FOUND_TEXT}\n")
