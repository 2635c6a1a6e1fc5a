"""Behaviour of the check of the origin of a request."""

from __future__ import annotations

from functools import partial

import pytest

from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.http.origins import MAX_LOGGED_ORIGINS, OriginPolicy, Origins, is_own


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "example.com"),
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com"),
        ("http://example.com", "example.com:80"),
        ("https://example.com:443", "example.com"),
        ("http://Example.COM:8000", "example.com:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_pages_of_the_server_itself_are_recognised(origin: str | None, host: str) -> None:
    assert is_own(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "http://example.com.evil.example", "http://evil.example/example.com"),
        *("http://example.com:8001", "http://example.com@evil.example", "http://a@example.com", "null", "", "file://"),
        *("http://", "http://example.com:port", "ftp://example.com", "http://[", "http://example.com:99999"),
        "https://sub.example.com",
    ],
)
def test_pages_of_other_hosts_are_not_those_of_the_server(origin: str) -> None:
    assert not is_own(origin, "example.com")


LISTED = "https://good.example, https://*.wide.example,http://port.example:8080"


def is_refused(origin: str | None, allowed: str = LISTED, host: str = "here.example") -> bool:
    try:
        Origins(allowed).check(origin, host)
    except HTTPError as error:
        assert (error.status, "allowed_origins" in error.reason) == (403, True)
        return True
    return False


@pytest.mark.parametrize(
    "origin",
    [
        *(None, "https://good.example", "https://good.example:443", "https://GOOD.example", "http://port.example:8080"),
        *("https://a.wide.example", "https://a.b.wide.example", "http://here.example", "https://good.example/page"),
    ],
)
def test_listed_and_own_origins_may_connect(origin: str | None) -> None:
    assert not is_refused(origin)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://good.example", "https://good.example:444", "https://wide.example", "https://evilwide.example"),
        *("http://a.wide.example", "https://good.example.evil.example", "null", "", "file://", "http://[", "x" * 5000),
        *("https://evil.example/https://good.example", "https://good.example@evil.example", "https://.wide.example"),
        *("https://evil.example\\.wide.example", "https://evil.example%2f.wide.example", "https://a..wide.example"),
    ],
)
def test_unlisted_origins_are_refused(origin: str) -> None:
    assert is_refused(origin)


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", ""])
def test_star_allows_all_origins(origin: str | None) -> None:
    assert not is_refused(origin, allowed="*")


APPS = "capacitor://localhost, ionic://localhost,chrome-extension://abcdefghijklmnop,null,file://"


@pytest.mark.parametrize(
    "origin",
    ["capacitor://localhost", "ionic://localhost", "chrome-extension://abcdefghijklmnop", "null", "file://"],
)
def test_origins_of_apps_and_null_may_connect_where_they_are_listed(origin: str) -> None:
    assert not is_refused(origin, allowed=APPS)
    assert is_refused(origin)
    assert is_refused(origin, allowed="")
    assert is_refused(origin, allowed="capacitor://other,https://localhost", host="localhost")


@pytest.mark.parametrize(
    "origin", ["capacitor://evil", "http://localhost", "chrome-extension://other", "", "NULL", "x"]
)
def test_unlisted_apps_are_refused(origin: str) -> None:
    assert is_refused(origin, allowed=APPS)


def test_policy_for_frames_contains_only_origins_with_a_host() -> None:
    assert Origins("https://a.example,null,file://,capacitor://localhost,*").ancestors == (
        "'self' https://a.example capacitor://localhost"
    )


def names_no_allowed_page(may_be_unnamed: bool, allowed: str = LISTED, **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        Origins(allowed).check_request({"host": "here.example", **named}, may_be_unnamed)
    except HTTPError as error:
        assert (error.status, "allowed_origins" in error.reason) == (403, True)
        return True
    return False


@pytest.mark.parametrize("may_be_unnamed", [True, False])
def test_request_is_checked_by_origin_or_referer(may_be_unnamed: bool) -> None:
    refused = partial(names_no_allowed_page, may_be_unnamed)
    assert not refused(origin="https://good.example", referer="https://evil.example/")
    assert not refused(referer="https://good.example/page?a=b", sec_fetch_site="cross-site")
    assert not refused(referer="http://here.example/page")
    assert refused(origin="https://evil.example", referer="https://good.example/")
    assert refused(origin="null", referer="https://good.example/")
    assert refused(referer="https://evil.example/", sec_fetch_site="same-origin")


def test_request_without_origin_is_checked_by_sec_fetch_site() -> None:
    for may_be_unnamed in (True, False):
        assert not names_no_allowed_page(may_be_unnamed, sec_fetch_site="same-origin")
        assert names_no_allowed_page(may_be_unnamed, sec_fetch_site="same-site")
        assert names_no_allowed_page(may_be_unnamed, sec_fetch_site="cross-site")
        assert names_no_allowed_page(may_be_unnamed, sec_fetch_site="none") is not may_be_unnamed
        assert names_no_allowed_page(may_be_unnamed) is not may_be_unnamed


def test_refusal_of_a_request_without_origin_is_logged_once_as_such(caplog: pytest.LogCaptureFixture) -> None:
    origins = OriginPolicy().origins("auto", may_use_cookies=True)
    for host in ("here.example", "there.example"):
        with pytest.raises(HTTPError, match="missing header Origin or Referer"):
            origins.check_request({"host": host}, may_be_unnamed=False)
    (line,) = caplog.messages
    assert line.startswith("refusing requests with neither Origin nor Referer, which pages of any site may have caused")
    assert "because a hook or a backend decides who connects, or because of option allowed_origins" in line
    assert "'here.example'" in line
    assert "unknown" not in line


def test_star_allows_all_origins_and_requests_without_origin() -> None:
    for headers in ({}, {"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert names_no_allowed_page(may_be_unnamed=False, **headers)
        assert not names_no_allowed_page(may_be_unnamed=False, allowed="*", **headers)


def test_an_empty_option_allows_only_pages_of_the_own_host() -> None:
    assert not is_refused("http://here.example", allowed="")
    assert is_refused("https://good.example", allowed="")


def test_each_refused_origin_is_logged_once_up_to_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    origins = Origins("")
    for number in [*range(3 * MAX_LOGGED_ORIGINS), *range(3 * MAX_LOGGED_ORIGINS)]:
        with pytest.raises(HTTPError):
            origins.check(f"https://evil{number}.example", "here.example")
    assert len(caplog.records) == MAX_LOGGED_ORIGINS
    assert "'https://evil0.example'" in caplog.text


def test_a_refusal_names_the_host_that_the_origin_was_compared_with(caplog: pytest.LogCaptureFixture) -> None:
    """Behind a proxy that does not forward Host, this is the address of the server, which shows the cause."""
    with pytest.raises(HTTPError) as refused:
        Origins("").check("https://chat.example", "10.0.0.7:8000")
    assert "the host of the request, '10.0.0.7:8000'" in refused.value.reason
    assert "Host header of the request: '10.0.0.7:8000'" in caplog.text


def test_long_host_is_truncated_in_messages(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(HTTPError) as refused:
        Origins("").check("https://chat.example", "x" * 9000)
    assert len(refused.value.reason) < 500
    assert len(caplog.text) < 1000


def test_policy_auto_allows_all_origins_only_without_cookies() -> None:
    policy = OriginPolicy()
    assert policy.origins("auto", may_use_cookies=False).are_all
    assert not policy.origins("auto", may_use_cookies=True).are_all
    policy.origins("auto", may_use_cookies=True).check("http://here.example", "here.example")


@pytest.mark.parametrize("may_use_cookies", [False, True])
def test_a_policy_that_lists_origins_allows_these(may_use_cookies: bool) -> None:
    origins = OriginPolicy().origins("https://good.example", may_use_cookies)
    origins.check("https://good.example", "here.example")
    with pytest.raises(HTTPError):
        origins.check("https://evil.example", "here.example")


def test_refused_origin_is_logged_once_with_every_policy(caplog: pytest.LogCaptureFixture) -> None:
    policy = OriginPolicy()
    for allowed in ("", "https://good.example"):
        with pytest.raises(HTTPError):
            policy.origins(allowed, may_use_cookies=True).check("https://evil.example", "here.example")
    assert len(caplog.records) == 1
