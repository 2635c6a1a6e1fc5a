"""Headers with which pages of other origins read responses."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.cors import FOR_ALL_ORIGINS, access_headers, preflight_headers


def test_a_page_reads_responses_to_requests_with_cookies() -> None:
    assert access_headers("https://page.example") == {
        "Access-Control-Allow-Origin": "https://page.example",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
    }


@pytest.mark.parametrize("origin", [None, ""])
def test_without_an_origin_no_page_may_read_the_response_unless_the_caller_says_so(origin: str | None) -> None:
    assert access_headers(origin) == {"Vary": "Origin"}
    assert access_headers(origin, FOR_ALL_ORIGINS) == {"Access-Control-Allow-Origin": "*", "Vary": "Origin"}


@pytest.mark.parametrize("asked", [None, "", "content-type,x-requested-with"])
def test_a_preflight_response_permits_the_headers_that_the_browser_asks_for(asked: str | None) -> None:
    permitted = {"Access-Control-Allow-Headers": asked} if asked else {}
    assert preflight_headers("POST", asked, 600) == {
        **permitted,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Max-Age": "600",
    }
