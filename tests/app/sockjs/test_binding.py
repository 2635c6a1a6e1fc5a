"""Which requests belong to a session, and how a browser stores the secret that proves it."""

from __future__ import annotations

import re

import pytest

from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.sockjs.binding import BINDING_COOKIE, bind

SECRET = "0123456789abcdefABCDE-"


def opening(scheme: str = "http", **headers: str) -> Opening:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Opening("GET", "/", {"host": "here.example", **named}, "127.0.0.1", scheme)


def set_cookie(request: Opening) -> str:
    return bind(request)[1]["Set-Cookie"]


def admits(request: Opening, **headers: str) -> bool:
    binding, _ = bind(request)
    assert binding is not None
    return binding.admits(headers)


def test_request_without_cookies_creates_no_binding() -> None:
    assert bind(opening()) == (None, {})
    assert bind(opening(cookie="")) == (None, {})


def test_the_secret_admits_a_browser_whose_other_cookies_have_changed() -> None:
    binding, headers = bind(opening(cookie="session=a; theme=dark"))
    assert binding is not None
    secret = headers["Set-Cookie"].partition(";")[0]
    assert binding.admits({"cookie": f"session=b; {secret}"})
    assert binding.admits({"cookie": secret})
    assert not binding.admits({"cookie": f"{secret}x"})
    assert not binding.admits({"cookie": f"{BINDING_COOKIE}={SECRET}"})
    assert not binding.admits({"cookie": f"{BINDING_COOKIE}=\u00e9"})


def test_every_session_has_another_secret() -> None:
    assert len({set_cookie(opening(cookie="session=a")) for _ in range(10)}) == 10


def test_the_same_credentials_admit_a_program_that_stores_no_cookies() -> None:
    request = opening(cookie="session=a; theme=dark")
    assert admits(request, cookie="theme=dark;session=a; more=1")
    assert not admits(request, cookie="session=a")
    assert not admits(request, cookie="session=b; theme=dark")
    assert not admits(request)


def test_the_header_authorization_is_a_credential() -> None:
    request = opening(authorization="Basic YTpi")
    assert admits(request, authorization="Basic YTpi")
    assert not admits(request)
    assert not admits(request, authorization="Basic eDp5")
    both = opening(authorization="Basic YTpi", cookie="a=1")
    assert not admits(both, cookie="a=1")
    assert not admits(opening(cookie="a=1"), cookie="a=1", authorization="Basic YTpi")


def test_a_secret_that_the_browser_has_already_is_kept() -> None:
    request = opening(cookie=f"session=a; {BINDING_COOKIE}={SECRET}")
    assert bind(request)[1] == {}
    assert admits(request, cookie=f"{BINDING_COOKIE}={SECRET}")
    assert not admits(request, cookie="theme=dark")


def test_a_secret_alone_is_enough_to_bind_and_must_be_presented() -> None:
    request = opening(cookie=f"{BINDING_COOKIE}={SECRET}")
    assert admits(request, cookie=f"{BINDING_COOKIE}={SECRET}")
    assert not admits(request)


@pytest.mark.parametrize("value", ["", "short", "x" * 23, "0123456789abcdefABCD<>"])
def test_a_malformed_secret_is_replaced(value: str) -> None:
    assert BINDING_COOKIE in set_cookie(opening(cookie=f"session=a; {BINDING_COOKIE}={value}"))


def test_scripts_cannot_read_the_cookie() -> None:
    value = set_cookie(opening(cookie="session=a"))
    assert re.fullmatch(rf"{BINDING_COOKIE}=[-_A-Za-z0-9]{{22}}; Path=/; HttpOnly; SameSite=Lax", value)


@pytest.mark.parametrize(
    ("request_", "attributes"),
    [
        (opening(cookie="a=1", origin="https://here.example"), "SameSite=Lax; Secure"),
        (opening(cookie="a=1", referer="https://here.example/page"), "SameSite=Lax; Secure"),
        (opening("https", cookie="a=1"), "SameSite=Lax; Secure"),
        (opening(cookie="a=1", origin="https://other.example"), "SameSite=None; Secure"),
        (opening("https", cookie="a=1", origin="capacitor://localhost"), "SameSite=None; Secure"),
        (opening(cookie="a=1", origin="http://other.example"), "SameSite=Lax"),
        (opening(cookie="a=1", origin="null"), "SameSite=Lax"),
    ],
)
def test_binding_cookie_is_cross_site_only_where_browsers_allow_it(request_: Opening, attributes: str) -> None:
    assert set_cookie(request_).endswith(f"; HttpOnly; {attributes}")
