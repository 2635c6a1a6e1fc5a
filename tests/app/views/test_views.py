"""Behaviour of the API as a view: which bodies are JSON, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from gentrifugo import Gentrifugo
from gentrifugo.app.extension.wsgi import flask_app
from gentrifugo.app.http.newer_versions import newer_versions
from gentrifugo.app.views.mounted import service_of
from tests.app.conftest import config
from tests.credentials import sign
from tests.flask_sites import site

BODY = '{"method":"channels","params":{}}'
REPLY = b'[{"method":"channels","error":null,"body":{"data":[]}}]'
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def api(nothing_left_behind: None) -> Iterator[FlaskClient]:
    application = flask_app(config())
    service = service_of(application)
    assert service is not None
    service.start()
    yield application.test_client()
    service.stop()


@pytest.mark.parametrize("content_type", [None, "text/plain", FORM, "application/JSON; charset=utf-8", "*/*"])
def test_a_signed_body_is_json_by_its_first_byte(api: FlaskClient, content_type: str | None) -> None:
    response = api.post("/api/", data=BODY, content_type=content_type, headers={"X-API-Sign": sign(BODY)})
    assert (response.status_code, response.data) == (200, REPLY)


@pytest.mark.parametrize("content_type", [FORM, "application/json"])
def test_json_without_a_sign_lacks_the_sign_and_nothing_else(api: FlaskClient, content_type: str | None) -> None:
    response = api.post("/api/", data=BODY, content_type=content_type)
    assert response.status_code == 400
    assert response.data == b'missing signature (X-API-Sign header or form field "sign")\n'


@pytest.mark.parametrize(
    ("content_type", "named"),
    [(None, "the header Content-Type is missing"), ("text/plain", "the content type is 'text/plain'")],
)
def test_what_is_neither_json_nor_a_form_is_told_by_its_content_type(
    api: FlaskClient, content_type: str | None, named: str
) -> None:
    response = api.post("/api/", data="data=1&sign=2", content_type=content_type, headers={"X-API-Sign": "sign"})
    assert response.status_code == 400
    assert response.text == f"{named}: expected application/json, or a form\n"


@pytest.mark.parametrize("body", ["data=1&sign=2", BODY])
@pytest.mark.parametrize(
    ("content_type", "named"),
    [(None, "the header Content-Type is missing"), ("text/plain", "the content type is 'text/plain'")],
)
def test_without_a_sign_in_a_header_only_a_form_can_have_one(
    api: FlaskClient, content_type: str | None, named: str, body: str | bytes
) -> None:
    response = api.post("/api/", data=body, content_type=content_type)
    assert response.status_code == 400
    assert response.text.startswith(f"{named}: expected application/json, or a form; missing signature")


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data"])
def test_a_form_is_read_as_before(api: FlaskClient, content_type: str) -> None:
    response = api.post("/api/", data={"data": BODY, "sign": sign(BODY)}, content_type=content_type)
    assert (response.status_code, response.data) == (200, REPLY)


def test_a_form_with_a_header_for_the_sign_is_still_a_form(api: FlaskClient) -> None:
    """Libraries that send both sign the same JSON in both places."""
    form = {"data": BODY, "sign": sign(BODY)}
    response = api.post("/api/", data=form, headers={"X-API-Sign": sign(BODY)})
    assert (response.status_code, response.data) == (200, REPLY)


# -- backends for later versions


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": "key"}, {"Authorization": "apikey key"}, {"Authorization": "ApiKey key"}],
)
def test_a_key_in_place_of_a_sign_is_told_what_this_server_needs(api: FlaskClient, headers: dict[str, str]) -> None:
    response = api.post("/api/", data=BODY, content_type="application/json", headers=headers)
    assert response.status_code == 400
    assert "cent 3 and other libraries for Centrifugo 2 and later" in response.text
    assert "X-API-Sign" in response.text


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "key"}])
@pytest.mark.parametrize("method", ["publish", "broadcast", "presence_stats", "batch"])
def test_a_path_for_each_method_is_of_later_versions(
    api: FlaskClient, method: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    newer_versions.reset()
    for _ in range(3):
        response = api.post(f"/api/{method}", json={"channel": "news", "data": {}}, headers=headers)
        assert response.status_code == 404
        assert "cent before 3" in response.text
    (record,) = caplog.records
    assert "a request to the API was refused: this is how cent 3" in record.getMessage()


def test_other_paths_and_other_authorization_get_the_usual_answers(api: FlaskClient) -> None:
    assert "not found; the endpoints are" in api.post("/api/unknown").text
    bearer = {"Authorization": "Bearer x"}
    response = api.post("/api/", data=BODY, content_type="application/json", headers=bearer)
    assert response.text == 'missing signature (X-API-Sign header or form field "sign")\n'
    signed = {"Authorization": "apikey x", "X-API-Sign": sign(BODY)}
    assert api.post("/api/", data=BODY, headers=signed).data == REPLY


# -- redirects


@pytest.mark.parametrize("query", ["", "?a=%2F&b"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_api_without_its_slash_redirects_to_an_address_that_holds_behind_every_proxy(
    api: FlaskClient, method: str, query: str
) -> None:
    response = api.open(f"/api{query}", method=method)
    assert response.status_code == 308
    assert response.headers["Location"] == f"api/{query}"


def test_redirects_of_the_application_itself_stay_as_they_are() -> None:
    app = site()
    Gentrifugo(app)
    app.add_url_rule("/pages/", "pages", lambda: "")
    client = app.test_client()
    assert client.get("/pages").headers["Location"] == "http://localhost/pages/"
    assert client.post("/realtime/api").headers["Location"] == "api/"


def test_a_server_that_stops_refuses_requests_and_says_so(nothing_left_behind: None) -> None:
    application = flask_app(config(health=True))
    service = service_of(application)
    assert service is not None
    service.start()
    client = application.test_client()
    assert (client.get("/health").status_code, client.get("/health").data) == (200, b"{}")
    service.close_connections()
    answers = [client.post("/api/", data=BODY, headers={"X-API-Sign": sign(BODY)}), client.get("/health")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert all(answer.data.startswith(b"the server is shutting down") for answer in answers)
    service.stop()
