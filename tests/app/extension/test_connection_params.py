"""The connection parameters of pages: the address of the server and a token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, render_template_string
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, EnvironBuilder

from gentrifugo import Gentrifugo
from gentrifugo.app.model import signing
from tests.flask_sites import site


def test_templates_have_the_connection_parameters() -> None:
    app = site()
    Gentrifugo(app)
    with app.test_request_context(base_url="https://chat.example"):
        shown = render_template_string("{{ gentrifugo_params('42')|tojson }}")
    assert '"url": "https://chat.example/realtime"' in shown


def test_the_address_has_the_path_below_which_a_proxy_serves_the_site() -> None:
    app = site()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1, x_prefix=1, x_proto=1)  # type: ignore[method-assign]
    rt = Gentrifugo(app)
    app.add_url_rule("/", "page", lambda: rt.connection_params("42"))
    headers = {
        "X-Forwarded-Host": "chat.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/club",
    }
    assert app.test_client().get("/", headers=headers).json["url"] == "https://chat.example/club/realtime"  # type: ignore[index]


OUTER = {
    "X-Forwarded-Host": "chat.example:8443",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/club",
}


def params_url(app: Flask, path: str = "/page", peer: str = "127.0.0.1", **headers: str) -> str:
    """The address in connection_params of a page that `peer` requests from the application, wherever it is mounted."""
    request = EnvironBuilder(path=path, base_url="http://inner:8000", headers=[*{**OUTER, **headers}.items()])
    environ: dict[str, Any] = {**request.get_environ(), "REMOTE_ADDR": peer}
    answer = Client(app.wsgi_app).run_wsgi_app(environ)
    return str(json.loads(b"".join(answer[0]))["url"])


def site_with_page(**options: Any) -> Flask:
    app = site(**options)
    rt = Gentrifugo(app)
    app.add_url_rule("/page", "page", lambda: rt.connection_params("42"))
    return app


def test_trusted_proxy_determines_scheme_host_and_path_of_the_address() -> None:
    app = site_with_page()
    assert params_url(app) == "https://chat.example:8443/club/realtime"
    assert params_url(app, peer="") == "https://chat.example:8443/club/realtime"


def test_forwarded_address_of_untrusted_proxies_is_ignored() -> None:
    app = site_with_page(GENTRIFUGO_TRUSTED_PROXIES="10.0.0.0/8")
    assert params_url(app, peer="192.0.2.1") == "http://inner:8000/realtime"
    assert params_url(app, peer="10.1.2.3") == "https://chat.example:8443/club/realtime"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example/path"},
        {"X-Forwarded-Host": "a@b"},
        {"X-Forwarded-Host": "<script>"},
        {"X-Forwarded-Proto": "javascript"},
        {"X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Prefix": 'club"'},
    ],
)
def test_invalid_forwarded_scheme_host_or_path_is_ignored(headers: dict[str, str]) -> None:
    (said,) = headers.values()
    assert said not in params_url(site_with_page(), **headers)


def test_last_of_several_forwarded_values_is_used() -> None:
    headers = {"X-Forwarded-Proto": "http, https", "X-Forwarded-Host": "a.example, b.example"}
    assert params_url(site_with_page(), **headers) == "https://b.example/club/realtime"


def test_address_contains_the_path_at_which_the_site_is_mounted() -> None:
    app = site_with_page()
    app.wsgi_app = DispatcherMiddleware(NotFound(), {"/inner": app.wsgi_app})  # type: ignore[method-assign]
    assert params_url(app, "/inner/page") == "https://chat.example:8443/club/inner/realtime"
    assert params_url(app, "/inner/page", peer="192.0.2.1") == "http://inner:8000/inner/realtime"


@pytest.mark.parametrize("fixes", [{"x_prefix": 1}, {"x_proto": 1}, {"x_host": 1, "x_prefix": 1, "x_proto": 1}])
@pytest.mark.parametrize("is_mounted", [False, True])
def test_proxy_fix_and_trusted_proxies_can_be_combined(fixes: dict[str, int], is_mounted: bool) -> None:
    app = site_with_page()
    if is_mounted:
        app.wsgi_app = DispatcherMiddleware(NotFound(), {"/inner": app.wsgi_app})  # type: ignore[method-assign]
    app.wsgi_app = ProxyFix(app.wsgi_app, **fixes)  # type: ignore[method-assign]
    expected = f"https://chat.example:8443/club{'/inner' if is_mounted else ''}/realtime"
    assert params_url(app, "/inner/page" if is_mounted else "/page") == expected


def test_a_user_may_be_a_number() -> None:
    app = site(GENTRIFUGO_SECRET="s")
    rt = Gentrifugo(app)
    with app.test_request_context():
        params = rt.connection_params(42)
        with pytest.raises(TypeError, match="expected a string or a number"):
            rt.connection_params(["42"])  # type: ignore[arg-type]
    assert (params["user"], params["token"]) == ("42", signing.client_token("s", "42", params["timestamp"], ""))


def test_the_token_is_valid_for_the_info() -> None:
    app = site(GENTRIFUGO_SECRET="s")
    rt = Gentrifugo(app)
    with app.test_request_context():
        params = rt.connection_params("42", {"name": "Zoë"})
    expected = signing.client_token("s", "42", params["timestamp"], params["info"])
    assert params["token"] == expected


def test_each_application_has_its_own_address_and_secret() -> None:
    rt, first, second = Gentrifugo(), site(GENTRIFUGO_SECRET="1"), site(GENTRIFUGO_SECRET="2")
    rt.init_app(first, url_prefix="/first")
    rt.init_app(second, url_prefix="/second")
    shown = []
    for app in (first, second):
        with app.test_request_context(base_url="https://chat.example"):
            shown.append(rt.connection_params("42"))
    assert [params["url"] for params in shown] == ["https://chat.example/first", "https://chat.example/second"]
    assert shown[0]["token"] != shown[1]["token"]
