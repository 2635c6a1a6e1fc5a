"""Tokens that pages of an application receive for client libraries of protocol v2."""

from __future__ import annotations

import pytest
from flask import render_template_string

from gentrifugo import Gentrifugo
from gentrifugo.app.protocol.v2.tokens import TokenVerifier
from tests.flask_sites import service_in, site


def test_a_view_makes_tokens_that_the_server_accepts() -> None:
    app = site()
    realtime = Gentrifugo(app)
    verifier = TokenVerifier(service_in(app).config)
    with app.app_context():
        connection = verifier.connection(realtime.token(42, info={"n": 1}, channels=["news"], expires=60))
        token = realtime.subscription_token(42, "board", info=[1], expires=60)
    assert (connection.user, connection.info, list(connection.channels)) == ("42", b'{"n":1}', ["news"])
    assert connection.expires_at == connection.issued_at + 60
    assert verifier.subscription(token, "board", "42", "c1").options.info == b"[1]"


def test_templates_have_the_token_functions() -> None:
    app = site()
    Gentrifugo(app)
    with app.test_request_context():
        shown = render_template_string(
            "{{ gentrifugo_token('42') }} {{ gentrifugo_subscription_token('42', 'board') }}"
        )
    connection, subscription = shown.split()
    verifier = TokenVerifier(service_in(app).config)
    assert verifier.connection(connection).user == "42"
    assert verifier.any_subscription(subscription).channel == "board"


def test_each_application_has_a_key_of_its_own() -> None:
    realtime, one, other = Gentrifugo(), site(SECRET_KEY="one"), site(SECRET_KEY="other")
    realtime.init_app(one)
    realtime.init_app(other)
    with other.app_context():
        token = realtime.token("42")
    assert TokenVerifier(service_in(other).config).connection(token).user == "42"
    with pytest.raises(Exception, match="signature"):
        TokenVerifier(service_in(one).config).connection(token)


def test_token_without_a_key_is_an_error() -> None:
    app = site(SECRET_KEY=None, GENTRIFUGO_SECRET="secret")
    realtime = Gentrifugo(app)
    with app.app_context(), pytest.raises(ValueError, match="token_hmac_secret_key is not set"):
        realtime.token("42")


def test_a_token_for_a_channel_of_an_unknown_namespace_is_made_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = site(GENTRIFUGO_NAMESPACES=[{"name": "chat"}])  # the extension refers to its applications only weakly
    realtime = Gentrifugo(app)
    caplog.clear()
    for number in range(3):
        assert realtime.subscription_token("42", f"chta:{number}")
        assert realtime.token("42", channels=["news", "chat:1", f"chta:{number}"])
    assert caplog.messages == [
        "the server of this application will refuse a token that was created for channel 'chta:0': namespace 'chta' is "
        "not in option namespaces (chat)"
    ]
