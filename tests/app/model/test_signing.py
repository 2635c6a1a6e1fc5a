"""Behaviour of tokens and signatures, against digests of another program: `printf … | openssl dgst -sha256 -hmac …`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.model import signing
from tests import credentials

TOKEN = "8cd94ecec1a86d5a2da4d5876963ccb3ff001a67750fa6c3b5085c4750300aa7"
TOKEN_WITH_INFO = "bc8ac3cae53eb8f500ed5a29a0c5e704bd6543703b241d5e09bc797560408a99"
CHANNEL_SIGN = "f689a3eda519689867d0d59a88f3ffcdf096e9286c2601f53ec7d27296ea8fe9"
API_SIGN = "e0053ccf59f2b5617d4466182cb14d7def9b4ba11aa56373aac17f1403185cb9"


def test_token_of_a_client_is_computed() -> None:
    assert signing.client_token("secret", "42", "1395086390") == TOKEN


def test_info_is_part_of_the_token() -> None:
    assert signing.client_token("secret", "42", "1395086390", '{"name":"Zoë"}') == TOKEN_WITH_INFO


def test_signature_of_a_private_channel_is_computed() -> None:
    assert signing.channel_sign("secret", "c1", "$one", "{}") == CHANNEL_SIGN


def test_signature_of_an_api_request_is_computed() -> None:
    assert signing.api_sign("secret", b'{"method":"node","params":{}}') == API_SIGN


@given(st.text(), st.text(), st.text(), st.text())
def test_signs_follow_the_documented_formula(secret: str, user: str, timestamp: str, info: str) -> None:
    assert signing.client_token(secret, user, timestamp, info) == credentials.sign(user, timestamp, info, secret=secret)


def test_a_signature_matches_itself() -> None:
    assert signing.matches(TOKEN, TOKEN)
    assert signing.matches("pässword", "pässword")


@pytest.mark.parametrize("given_sign", ["", TOKEN[:-1], TOKEN + "0", TOKEN.upper(), " " + TOKEN, "é", "\ud800", "\0"])
def test_changed_parts_do_not_match_the_token(given_sign: str) -> None:
    assert not signing.matches(TOKEN, given_sign)


@pytest.mark.parametrize("given_password", ["", "password", "passwört", "é", "\ud800"])
def test_other_texts_do_not_match_a_password_with_any_characters(given_password: str) -> None:
    assert not signing.matches("pässword", given_password)
