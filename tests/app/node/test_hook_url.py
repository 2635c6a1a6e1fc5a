"""Behaviour of the hook over HTTP with unintended responses of backends, such as error pages."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.node.hook_url import HookURL
from gentrifugo.app.node.hooks import CONNECT, Context, Refuse, Undelivered
from tests.credentials import SECRET
from tests.hook_backend import Backend, hook_backend

DJANGO = "<!DOCTYPE html><html><h1>Forbidden</h1><p>CSRF verification failed. Request aborted.</p></html>"
WERKZEUG = "<!doctype html>\n<html lang=en>\n<title>403 Forbidden</title>\n<h1>Forbidden</h1>"
EXPIRED = "\n<html><title>Page Expired</title></html>"
FLASK_WTF = "<!doctype html><title>400 Bad Request</title><p>The CSRF token is missing.</p>"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with hook_backend() as made:
        yield made


@pytest.fixture
def hook(backend: Backend) -> HookURL:
    return HookURL(Config(secret=SECRET, hook_url=backend.url, hook_events="connect", hook_tries=1))


@pytest.mark.parametrize(("status", "page"), [(403, DJANGO), (419, EXPIRED), (400, FLASK_WTF), (422, EXPIRED)])
def test_a_page_of_csrf_protection_is_a_fault_of_the_backend(
    hook: HookURL, backend: Backend, status: int, page: str
) -> None:
    backend.answer = lambda event: (status, page)
    with pytest.raises(Undelivered) as failure:
        hook(Context("connect", client="1"))
    assert f"the backend answered with status {status} and an HTML page" in str(failure.value)
    assert "CSRF protection" in str(failure.value)


def test_meta_of_the_token_is_sent_to_the_backend(hook: HookURL, backend: Backend) -> None:
    hook(Context("connect", client="1", meta={"role": "admin"}))
    assert backend.events[0]["meta"] == {"role": "admin"}


@pytest.mark.parametrize(("status", "hint"), [(302, "is a redirect"), (404, "hook_url"), (500, "log of the backend")])
def test_html_response_is_an_error_with_a_hint(hook: HookURL, backend: Backend, status: int, hint: str) -> None:
    backend.answer = lambda event: (status, WERKZEUG)
    with pytest.raises(Undelivered, match=hint) as failure:
        hook(Context("connect", client="1"))
    assert str(status) in str(failure.value)
    assert "CSRF" not in str(failure.value)


def test_login_page_with_status_200_is_not_a_valid_answer(hook: HookURL, backend: Backend) -> None:
    backend.answer = lambda event: (200, "<html>Please log in</html>")
    with pytest.raises(Undelivered, match="status 200 and an HTML page, not with JSON"):
        hook(Context("connect", client="1"))


def test_403_page_without_mention_of_csrf_refuses_and_is_logged(
    hook: HookURL, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """`abort(403)` of Flask returns such a page."""
    backend.answer = lambda event: (403, WERKZEUG)
    for _ in range(3):
        with pytest.raises(Refuse):
            hook(Context("connect", client="1"))
    (record,) = caplog.records
    assert "status 403 and an HTML page, which counts as a refusal" in record.getMessage()
    assert "CSRF protection" in record.getMessage()


def test_a_403_without_a_page_refuses_silently(
    hook: HookURL, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda event: (403, "")
    with pytest.raises(Refuse):
        hook(Context("connect", client="1"))
    assert not caplog.records


def test_timeout_of_the_caller_is_not_a_timeout_of_the_hook(hook: HookURL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook._backend._http, "_exchange", lambda *arguments: gevent.sleep(60))
    with gevent.Timeout(0.01) as limit:
        with pytest.raises(gevent.Timeout) as raised:
            hook(Context(CONNECT, "42", "c1"))
        assert raised.value is limit


def test_the_backend_adds_channels_of_a_client_that_connects(hook: HookURL, backend: Backend) -> None:
    backend.answer = lambda event: (200, {"channels": ["news"]})
    context = Context(CONNECT, "42", "c1")
    hook(context)
    hook(context)
    assert context.channels == ["news", "news"]
