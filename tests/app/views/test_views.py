"""Behaviour of the API as a view: which bodies are JSON, and errors for other bodies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask.testing import FlaskClient

from gentrifugo import Gentrifugo
from gentrifugo.app.config.config import Config
from gentrifugo.app.extension.wsgi import flask_app
from gentrifugo.app.views.mounted import service_of
from gentrifugo.app.views.views import OTHER_METHODS
from tests.app.conftest import config
from tests.credentials import sign
from tests.flask_sites import site

BODY = '{"method":"channels","params":{}}'
REPLY = b'[{"method":"channels","error":null,"body":{"data":[]}}]'
FORM = "application/x-www-form-urlencoded"


KEY = {"X-API-Key": "key"}


@contextmanager
def served(options: Config) -> Iterator[FlaskClient]:
    """A client of an application with a started service."""
    application = flask_app(options)
    service = service_of(application)
    assert service is not None
    service.start()
    yield application.test_client()
    service.stop()


@pytest.fixture
def api(nothing_left_behind: None) -> Iterator[FlaskClient]:
    with served(config(api_key="key")) as client:
        yield client


@pytest.mark.parametrize("content_type", [None, "text/plain", FORM, "application/JSON; charset=utf-8", "*/*"])
def test_signed_body_that_begins_like_json_needs_no_content_type(api: FlaskClient, content_type: str | None) -> None:
    response = api.post("/api/", data=BODY, content_type=content_type, headers={"X-API-Sign": sign(BODY)})
    assert (response.status_code, response.data) == (200, REPLY)


def test_refused_backend_is_logged_with_its_address(api: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    api.post("/api/publish", json={}, headers={"X-API-Key": "no"})
    api.post("/api/", data={"sign": "no", "data": BODY})
    assert [line.partition(":")[0] for line in caplog.messages if line.startswith("refused")] == [
        "refused a request to /api/publish from 127.0.0.1",
        "refused a request to /api/ from 127.0.0.1",
    ]


@pytest.mark.parametrize("content_type", [FORM, "application/json"])
def test_json_without_signature_is_refused_for_the_missing_signature(
    api: FlaskClient, content_type: str | None
) -> None:
    response = api.post("/api/", data=BODY, content_type=content_type)
    assert response.status_code == 400
    assert (
        response.data == b'missing signature (X-API-Sign header or form field "sign") or API key (X-API-Key header)\n'
    )


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_key_under_another_scheme_is_refused_with_the_right_form(api: FlaskClient, content_type: str | None) -> None:
    response = api.post("/api/", data="{}", content_type=content_type, headers={"Authorization": "Bearer key"})
    assert response.status_code == 400
    assert "missing signature" in response.text
    assert response.text.endswith("send it as X-API-Key: KEY, or as Authorization: apikey KEY\n")


@pytest.mark.parametrize(
    ("content_type", "named"),
    [(None, "missing header Content-Type"), ("text/plain", "unsupported content type 'text/plain'")],
)
def test_unsupported_content_type_is_refused(api: FlaskClient, content_type: str | None, named: str) -> None:
    response = api.post("/api/", data="data=1&sign=2", content_type=content_type, headers={"X-API-Sign": "sign"})
    assert response.status_code == 400
    assert response.text == f"{named}: expected application/json or a form\n"


@pytest.mark.parametrize("body", ["data=1&sign=2", BODY])
@pytest.mark.parametrize(
    ("content_type", "named"),
    [(None, "missing header Content-Type"), ("text/plain", "unsupported content type 'text/plain'")],
)
def test_without_the_signature_header_only_a_form_can_contain_a_signature(
    api: FlaskClient, content_type: str | None, named: str, body: str | bytes
) -> None:
    response = api.post("/api/", data=body, content_type=content_type)
    assert response.status_code == 400
    assert response.text.startswith(f"{named}: expected application/json or a form; missing signature")


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data"])
def test_a_form_is_read_as_before(api: FlaskClient, content_type: str) -> None:
    response = api.post("/api/", data={"data": BODY, "sign": sign(BODY)}, content_type=content_type)
    assert (response.status_code, response.data) == (200, REPLY)


def test_a_form_with_a_signature_header_is_still_a_form(api: FlaskClient) -> None:
    """Libraries that send both sign the same JSON in both places."""
    form = {"data": BODY, "sign": sign(BODY)}
    response = api.post("/api/", data=form, headers={"X-API-Sign": sign(BODY)})
    assert (response.status_code, response.data) == (200, REPLY)


# -- the API of later versions


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", FORM, "multipart/form-data; boundary=x", "application/json"]
)
def test_a_method_has_a_path_and_takes_json_of_any_content_type(api: FlaskClient, content_type: str | None) -> None:
    response = api.post("/api/channels", data="{}", content_type=content_type, headers=KEY)
    assert (response.status_code, response.json) == (200, {"result": {"channels": {}}})


def test_the_key_may_be_in_the_address_and_errors_may_be_statuses(api: FlaskClient) -> None:
    response = api.post(
        "/api/publish?api_key=key",
        json={"channel": "nosuch:x", "data": 1},
        headers={"X-Centrifugo-Error-Mode": "transport"},
    )
    assert (response.status_code, response.json) == (404, {"code": 102, "message": "unknown channel"})


def test_a_request_without_a_key_is_unauthorized(api: FlaskClient) -> None:
    assert api.post("/api/publish", json={"channel": "news", "data": 1}).status_code == 401


def test_unknown_methods_and_other_verbs_are_refused(api: FlaskClient) -> None:
    assert api.post("/api/dance", json={}, headers=KEY).status_code == 404
    for method in OTHER_METHODS:
        refused = api.open("/api/publish", method=method, headers=KEY)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    refused = api.get("/api/publish", headers=KEY)
    assert refused.text == "GET is not allowed: the API requires POST\n"
    assert api.get("/api/dance", headers=KEY).status_code == 404


@pytest.mark.parametrize("prefix", ["", "/realtime"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api", "POST"),
        ("/api/", "POST"),
        ("/api/publish", "POST"),
        ("/api/openapi.json", "GET, HEAD"),
        ("/api/dance", None),
    ],
)
def test_a_made_up_verb_is_refused_with_the_methods_of_the_path(prefix: str, path: str, allowed: str | None) -> None:
    with served(config(api_key="key", http_prefix=prefix, web=True)) as client:
        refused = client.open(f"{prefix}{path}", method="FOO", headers=KEY)
        assert (refused.status_code, refused.headers.get("Allow")) == ((405, allowed) if allowed else (404, None))
        elsewhere = client.open(f"{prefix}/", method="FOO")
        assert (elsewhere.status_code, "POST" in elsewhere.headers["Allow"]) == (405, False)


@pytest.mark.parametrize("method", ["DELETE", "POST", "FOO"])
def test_views_of_the_application_below_the_api_keep_their_answers(nothing_left_behind: None, method: str) -> None:
    application = site()
    application.add_url_rule("/api/users/<int:number>", "users", lambda number: "")
    Gentrifugo(application, {"api_key": "key"}, url_prefix="", endpoints=["client", "api"])
    refused = application.test_client().open("/api/users/5", method=method)
    assert (refused.status_code, "GET" in refused.headers["Allow"]) == (405, True)


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE"])
def test_the_openapi_document_can_only_be_read(api: FlaskClient, method: str) -> None:
    refused = api.open("/api/openapi.json", method=method, headers=KEY)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert refused.text == f"{method} is not allowed: the document requires GET\n"
    assert api.head("/api/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/api", "/api/"])
@pytest.mark.parametrize("method", OTHER_METHODS)
def test_request_without_a_body_must_be_a_post(api: FlaskClient, method: str, path: str) -> None:
    refused = api.open(path, method=method, headers=KEY)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    text = "" if method == "HEAD" else f"{method} is not allowed: the API requires POST\n"
    assert refused.text == text


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_signed_body_may_come_with_another_verb(api: FlaskClient, method: str) -> None:
    response = api.open("/api/", method=method, data=BODY, headers={"X-API-Sign": sign(BODY)})
    assert (response.status_code, response.data) == (200, REPLY)


def test_a_larger_body_than_allowed_is_refused(nothing_left_behind: None) -> None:
    with served(config(api_key="key", api_request_max_size=10)) as client:
        assert client.post("/api/publish", data="x" * 11, headers=KEY).status_code == 413


def test_the_openapi_document_needs_no_key(api: FlaskClient) -> None:
    document = api.get("/api/openapi.json").json
    assert document is not None
    assert "/publish" in document["paths"]


@pytest.mark.parametrize("headers", [{"X-API-Key": "key"}, {"Authorization": "apikey key"}])
def test_commands_with_a_key_are_those_of_later_versions(api: FlaskClient, headers: dict[str, str]) -> None:
    response = api.post("/api/", data=BODY, content_type="application/json", headers=headers)
    assert (response.status_code, response.data) == (200, b'{"result":{"channels":{}}}')


def test_signature_takes_precedence_over_an_api_key(api: FlaskClient) -> None:
    signed = {"Authorization": "apikey x", "X-API-Sign": sign(BODY)}
    assert api.post("/api/", data=BODY, headers=signed).data == REPLY


@pytest.mark.parametrize("headers", [KEY, {"X-API-Sign": sign(BODY)}])
def test_commands_may_be_sent_to_the_path_without_its_slash(api: FlaskClient, headers: dict[str, str]) -> None:
    """Libraries in PHP post to exactly this path, and do not follow redirects."""
    responses = [
        api.post(path, data=BODY, content_type="application/json", headers=headers) for path in ("/api", "/api/")
    ]
    assert [response.status_code for response in responses] == [200, 200]
    assert responses[0].data == responses[1].data


# -- redirects


@pytest.mark.parametrize("query", ["", "?a=%2F&b"])
def test_a_path_without_its_slash_redirects_to_an_address_that_holds_behind_every_proxy(
    nothing_left_behind: None, query: str
) -> None:
    with served(config(debug=True)) as client:
        response = client.get(f"/debug/pprof{query}")
    assert response.status_code == 308
    assert response.headers["Location"] == f"pprof/{query}"


def test_redirects_of_the_application_are_unchanged() -> None:
    app = site()
    Gentrifugo(app)
    app.add_url_rule("/pages/", "pages", lambda: "")
    client = app.test_client()
    assert client.get("/pages").headers["Location"] == "http://localhost/pages/"


def test_requests_during_shutdown_are_refused_with_503(nothing_left_behind: None) -> None:
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
