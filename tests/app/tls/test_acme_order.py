"""Requests to an ACME server that refuses a nonce, or offers other challenges."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from acme import client, errors, messages
from josepy import jwk

from gentrifugo.app.tls.acme_order import NONCE_TRIES, Account, CertificateRefused, _Network, _rsa_key


class Refusing:
    """Answers a request after it has refused it a few times."""

    def __init__(self, code: str, times: int) -> None:
        self._error = messages.Error.with_code(code)
        self._times = times
        self.requests = 0

    def post(self, *arguments: Any, **named: Any) -> str:
        self.requests += 1
        if self.requests <= self._times:
            raise self._error
        return "answered"


@pytest.mark.parametrize(
    ("code", "times", "requests", "is_answered"),
    [
        ("badNonce", 2, 3, True),
        ("badNonce", NONCE_TRIES - 1, NONCE_TRIES, True),
        ("badNonce", NONCE_TRIES, NONCE_TRIES, False),
        ("malformed", 1, 1, False),
    ],
)
def test_only_a_request_whose_nonce_is_refused_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, code: str, times: int, requests: int, is_answered: bool
) -> None:
    server = Refusing(code, times)
    monkeypatch.setattr(client.ClientNetwork, "post", server.post)
    network = _Network(jwk.JWKRSA(key=_rsa_key()))
    if is_answered:
        assert network.post("https://acme.example/order", None) == "answered"
    else:
        with pytest.raises(messages.Error):
            network.post("https://acme.example/order", None)
    assert server.requests == requests


def test_a_server_without_the_challenge_that_can_be_answered_is_refused() -> None:
    offered = [SimpleNamespace(chall=SimpleNamespace(typ=kind)) for kind in ("http-01", "dns-01")]
    authorization = SimpleNamespace(challenges=offered)
    with pytest.raises(CertificateRefused, match="no challenge of type tls-alpn-01 offered, only dns-01, http-01"):
        Account("", "", None)._answer(None, authorization, "tls-alpn-01", "a.example", lambda *_: None)


class KnowsAccount:
    """An ACME server that has an account for the key already."""

    url = "https://acme.example/account/1"

    def __init__(self, directory: object, network: Any) -> None:
        self.network = network
        self.queried: list[str] = []

    @staticmethod
    def get_directory(url: str, network: object) -> object:
        return object()

    def new_account(self, registration: object) -> None:
        raise errors.ConflictError(self.url)

    def query_registration(self, account: messages.RegistrationResource) -> None:
        self.queried.append(account.uri)


def test_account_that_the_server_knows_already_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ClientV2", KnowsAccount)
    server = Account("https://acme.example/directory", "", None)._connect()
    assert server.queried == [KnowsAccount.url]
    assert server.network.account.uri == KnowsAccount.url
