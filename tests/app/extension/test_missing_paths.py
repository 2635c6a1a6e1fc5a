"""Behaviour of requests to paths that the server does not have, but that say what the peer needs."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo import Gentrifugo
from gentrifugo.app.extension.missing_paths import not_found_text
from gentrifugo.app.extension.wsgi import flask_app, port_app
from gentrifugo.app.service import Service
from tests.app.conftest import config
from tests.flask_sites import site

NOT_FOUND_TEXT = not_found_text("")
API_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/", {"json": {"method": "publish"}}),
    ("/", {"data": "{}", "headers": {"X-API-Key": "key"}}),
    ("/", {"data": "{}", "headers": {"Authorization": "apikey key"}}),
    ("/v1", {"data": "{}", "headers": {"X-API-Sign": "sign"}}),
    ("/?api_key=key", {"data": "{}"}),
    ("/v1/api", {"data": "{}"}),
    ("/v1/api/nowhere", {}),
    ("/api/nowhere/", {}),
]
"""Calls of the API at paths that it does not have."""
METHOD_PATHS = ["/publish", "/publish/", "/api/publish/", "/api/v1/publish", "/v1/api/publish", "/api/api/publish"]
"""Wrong paths of a method."""


@pytest.mark.parametrize(("path", "sent"), API_CALLS)
@pytest.mark.parametrize("options", [{}, {"web": True, "admin": True}, {"web": True, "http_prefix": "/realtime"}])
def test_call_at_another_path_gets_a_refusal_that_names_the_api(
    options: dict[str, object], path: str, sent: dict[str, Any]
) -> None:
    refused = flask_app(config(**options)).test_client().post(path, **sent)
    prefix = options.get("http_prefix", "")
    assert refused.status_code == 404
    assert "Allow" not in refused.headers
    assert refused.text == (
        f"not found; the endpoints are {prefix}/connection, {prefix}/connection/websocket and {prefix}/api/\n"
    )


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/wp-login.php"), ("PUT", "/"), ("POST", "/"), ("GET", "/x/api")]
)
def test_other_requests_of_a_web_interface_get_the_usual_refusal(method: str, path: str) -> None:
    refused = flask_app(config(web=True)).test_client().open(path, method=method)
    assert refused.status_code == (404 if method == "GET" else 405)
    assert ("/api/" in refused.text) is (method == "GET")


@pytest.mark.parametrize("web", [True, False])
@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_wrong_method_of_another_page_of_the_server_is_said_to_be_one(web: bool, path: str) -> None:
    client = flask_app(config(web=web, health=True, prometheus=True)).test_client()
    refused = client.post(path, json={}, headers={"X-API-Key": "key"})
    assert (refused.status_code, "GET" in refused.headers["Allow"]) == (405, True)


def test_refusal_at_a_port_without_the_api_does_not_name_it() -> None:
    refused = port_app(Service(config(web=True)), ["admin"]).test_client().post("/", json={})
    assert (refused.status_code, "API" in refused.text) == (405, False)


@pytest.mark.parametrize(("path", "sent"), [*API_CALLS, *((path, {"json": {}}) for path in METHOD_PATHS)])
def test_an_application_answers_its_own_paths_and_missing_ones_itself(path: str, sent: dict[str, Any]) -> None:
    app = site(GENTRIFUGO_WEB=True)
    app.add_url_rule("/", "home", lambda: "home")
    Gentrifugo(app)
    refused = app.test_client().post(path, **sent)
    assert refused.status_code in (404, 405)
    assert "/api/" not in refused.text


@pytest.mark.parametrize("path", METHOD_PATHS)
@pytest.mark.parametrize("options", [{}, {"web": True, "admin": True}, {"http_prefix": "/realtime"}])
def test_method_at_a_wrong_path_is_shown_the_right_one(options: dict[str, object], path: str) -> None:
    prefix = options.get("http_prefix", "")
    refused = flask_app(config(**options)).test_client().post(f"{prefix}{path}", json={})
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
