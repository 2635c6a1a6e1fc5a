"""The record of the server in an application: the same with the extension and with create_app."""

from __future__ import annotations

import pytest
from flask import Flask

from gentrifugo import Gentrifugo, create_app
from gentrifugo.app.config.loading import from_mapping
from gentrifugo.app.service import Service
from gentrifugo.app.views.mounted import attach_service, endpoints_of, service_of

OPTIONS = {"secret": "s"}


def test_application_has_a_service_and_its_endpoints() -> None:
    app, service = Flask("site"), Service(from_mapping(OPTIONS).config)
    attach_service(app, service, ["client"])
    assert service_of(app) is service
    assert endpoints_of(app) == {"client"}


@pytest.mark.parametrize("application", [Flask("site"), lambda environ, start_response: []], ids=["Flask", "WSGI"])
def test_other_applications_have_no_service(application: object) -> None:
    assert (service_of(application), endpoints_of(application)) == (None, frozenset())


def test_an_application_without_the_extension_has_no_extension_object() -> None:
    app = create_app(OPTIONS)
    assert isinstance(service_of(app), Service)
    assert endpoints_of(app) == {"client", "api", "admin"}
    assert "gentrifugo" not in app.extensions


def test_second_server_of_any_kind_in_an_application_is_refused() -> None:
    with pytest.raises(RuntimeError, match="'gentrifugo' has a Gentrifugo server already"):
        Gentrifugo(create_app(OPTIONS))
