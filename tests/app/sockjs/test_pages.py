"""The page for iframes: which pages may contain it, how long browsers cache it, and the check of its script."""

from __future__ import annotations

import base64
import hashlib

import pytest

from gentrifugo.app.sockjs import pages
from gentrifugo.app.sockjs.options import SOCKJS_INTEGRITY, SOCKJS_URL, SockJSOptions
from tests.parts import node_package

CHANGING = SockJSOptions(iframe_may_change=True)


def test_the_default_script_must_be_the_published_one() -> None:
    page = pages.iframe({}, SockJSOptions()).body.decode()
    assert f'<script src="{SOCKJS_URL}" integrity="{SOCKJS_INTEGRITY}" crossorigin="anonymous"></script>' in page
    script = (node_package("sockjs-client") / "dist" / "sockjs.min.js").read_bytes()
    assert base64.b64encode(hashlib.sha384(script).digest()).decode() == SOCKJS_INTEGRITY.removeprefix("sha384-")


def test_a_script_without_a_hash_has_none_in_the_page() -> None:
    page = pages.iframe({}, SockJSOptions(sockjs_url='/a.js?"', sockjs_integrity="")).body.decode()
    assert '<script src="/a.js?&quot;"></script>' in page


def test_iframe_page_names_the_allowed_embedding_origins() -> None:
    assert "Content-Security-Policy" not in pages.iframe({}, CHANGING).headers
    limited = SockJSOptions(iframe_ancestors="'self' https://a.example")
    for known in ({}, {"if-none-match": "*"}):
        policy = pages.iframe(known, limited).headers["Content-Security-Policy"]
        assert policy == "frame-ancestors 'self' https://a.example"


def test_a_page_that_may_change_is_checked_each_time() -> None:
    headers = pages.iframe({}, CHANGING).headers
    assert headers["Cache-Control"] == "no-cache"
    assert "Expires" not in headers
    assert pages.iframe({"if-none-match": headers["ETag"]}, CHANGING).status == 304


@pytest.mark.parametrize(
    "changed",
    [
        SockJSOptions(iframe_may_change=True, sockjs_url="/other.js"),
        SockJSOptions(iframe_may_change=True, sockjs_integrity=""),
        SockJSOptions(iframe_may_change=True, iframe_ancestors="'self'"),
    ],
)
def test_changed_option_invalidates_the_browser_cache(changed: SockJSOptions) -> None:
    tag = pages.iframe({}, CHANGING).headers["ETag"]
    assert pages.iframe({"if-none-match": tag}, changed).status == 200
