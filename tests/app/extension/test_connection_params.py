"""What pages get for the client: the address of the server and a token."""

from __future__ import annotations

import pytest
from flask import render_template_string
from werkzeug.middleware.proxy_fix import ProxyFix

from gentrifugo import Gentrifugo
from gentrifugo.app.model import signing
from tests.flask_sites import site


def test_templates_have_what_a_page_needs() -> None:
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


def test_a_user_may_be_a_number() -> None:
    app = site(GENTRIFUGO_SECRET="s")
    rt = Gentrifugo(app)
    with app.test_request_context():
        params = rt.connection_params(42)
        with pytest.raises(TypeError, match="expected a text or a number"):
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
