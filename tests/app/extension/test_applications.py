"""The application that a call applies to, and references that keep an application alive."""

from __future__ import annotations

import gc
import weakref

import pytest
from flask import Flask

from gentrifugo import Gentrifugo
from gentrifugo.app.extension.applications import Applications
from tests.flask_sites import site


@pytest.fixture
def applications() -> Applications:
    return Applications()


class TestCurrent:
    def test_current_application_comes_from_the_context(self, applications: Applications) -> None:
        first, second = Flask("first"), Flask("second")
        applications.add(first)
        applications.add(second)
        for app in (first, second):
            with app.app_context():
                assert applications.current is app

    def test_current_application_without_context_is_the_only_one(self, applications: Applications) -> None:
        app = Flask("site")
        applications.add(app)
        assert applications.current is app

    def test_current_application_among_several_requires_a_context(self, applications: Applications) -> None:
        apps = [Flask("first"), Flask("second")]
        for app in apps:
            applications.add(app)
        with pytest.raises(RuntimeError, match=r"2 applications \('first', 'second'\).*`with app\.app_context\(\):`"):
            _ = applications.current

    def test_error_without_application_contains_advice(self, applications: Applications) -> None:
        with pytest.raises(RuntimeError, match=r"has no application: call init_app\(app\)"):
            _ = applications.current

    def test_the_context_of_an_application_without_a_server_is_an_error(self, applications: Applications) -> None:
        app = Flask("site")
        applications.add(app)
        with (
            Flask("other").app_context(),
            pytest.raises(RuntimeError, match=r"'other' has no Gentrifugo server: call init_app\(app\)"),
        ):
            _ = applications.current

    def test_the_context_of_an_application_of_another_extension_is_an_error(self) -> None:
        app, other = site(), site()
        rt = Gentrifugo(app)
        Gentrifugo(other)
        with other.app_context(), pytest.raises(RuntimeError, match="belongs to another Gentrifugo object"):
            rt.publish("news", 1)


class TestLifetime:
    def test_an_extension_keeps_no_application_alive(self) -> None:
        """This includes all objects that the extension adds to the application, and its hooks."""
        rt = Gentrifugo()
        rt.on_connect(lambda context: None)
        rt.on_private_subscribe(lambda context: None)
        app = site()
        rt.init_app(app)
        with app.test_request_context():
            rt.connection_params("42")
        gone = weakref.ref(app)
        del app
        gc.collect()
        assert gone() is None
        with pytest.raises(RuntimeError, match="has no application"):
            rt.channels()

    def test_an_application_whose_requests_were_handled_is_not_kept_alive(self) -> None:
        rt, app = Gentrifugo(), site()
        rt.init_app(app)
        for path in ("/realtime/connection/info", "/realtime/api/", "/nothing"):
            app.test_client().get(path)
        gone = weakref.ref(app)
        del app
        gc.collect()
        assert gone() is None

    def test_last_remaining_application_is_used_without_a_context(self, applications: Applications) -> None:
        first, second = Flask("first"), Flask("second")
        applications.add(first)
        applications.add(second)
        del first
        gc.collect()
        assert applications.current is second
        assert list(applications) == [second]


def test_without_a_context_the_newest_test_server_is_used() -> None:
    rt = Gentrifugo()
    first, second = site(TESTING=True), site(TESTING=True)
    for app in (first, second):
        rt.init_app(app)
    with second.app_context(), rt.test_client(user=42):
        pass
    with first.app_context():
        client = rt.test_client(user=42).connect()
        client.subscribe("news")
    rt.publish("news", 1)
    assert client.receive().data == 1
    client.disconnect()
