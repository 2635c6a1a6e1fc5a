"""The server of an application under test: when it is used, what it records, and that it is deleted completely."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import gevent
import pytest
from flask import Flask

from gentrifugo import Context, Gentrifugo
from tests.credentials import sign
from tests.flask_sites import nothing_left_behind, service_in, site

__all__ = ["nothing_left_behind"]

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

HISTORY = {"GENTRIFUGO_HISTORY_SIZE": 10, "GENTRIFUGO_HISTORY_LIFETIME": 60}


def telling(**config: Any) -> tuple[Flask, Gentrifugo]:
    """A site under test with a view that publishes."""
    app = site(TESTING=True, **HISTORY, **config)
    rt = Gentrifugo(app)

    @app.post("/tell/<text>")
    def tell(text: str) -> str:
        rt.publish("news", {"text": text})
        return ""

    return app, rt


def test_publications_of_a_view_are_visible_to_the_test() -> None:
    app, rt = telling()
    assert app.test_client().post("/tell/hello").status_code == 200
    (message,) = rt.test_published()
    assert (message.channel, message.data, message.client) == ("news", {"text": "hello"}, "")
    assert rt.history("news") == [message]


def test_all_calls_work_on_the_server_of_a_test() -> None:
    _, rt = telling(GENTRIFUGO_PRESENCE=True)
    first = rt.publish("news", 1, tags={"a": "b"}, idempotency_key="key")
    assert rt.publish("news", 2, idempotency_key="key") == first
    assert rt.broadcast(["news"], 3, tags={"a": "c"}, skip_history=True) == [None]
    assert [(message.data, message.tags, message.offset) for message in rt.test_published()] == [
        (1, {"a": "b"}, 1),
        (3, {"a": "c"}, 0),
    ]
    assert rt.history("news", limit=1, reverse=False).position == first
    rt.history_remove("news")
    assert rt.history("news") == []
    assert rt.presence_stats("news") == (0, 0)


def test_testing_may_be_set_after_the_extension_was_initialized() -> None:
    app = site()
    rt = Gentrifugo(app)
    app.config.update(TESTING=True)
    rt.publish("news", 1)
    assert [message.data for message in rt.test_published()] == [1]


def test_redis_is_not_used() -> None:
    """No server listens at the Redis address in the configuration of the application."""
    app, rt = telling(GENTRIFUGO_ENGINE="redis", GENTRIFUGO_REDIS_PORT=1)
    app.test_client().post("/tell/hello")
    assert [message.data for message in rt.history("news")] == [{"text": "hello"}]


def test_everything_that_is_published_is_recorded_in_order() -> None:
    app, rt = telling(GENTRIFUGO_SECRET="key", GENTRIFUGO_PUBLISH=True)
    rt.broadcast(["a", "b"], 1)
    body = b'{"method":"publish","params":{"channel":"c","data":2}}'
    headers = {"X-API-Sign": sign(body.decode(), secret="key"), "Content-Type": "application/json"}
    assert app.test_client().post("/realtime/api/", data=body, headers=headers).status_code == 200
    with rt.test_client(user=42) as client:
        client.subscribe("d")
        client.publish("d", 3)
    assert [(message.channel, message.data) for message in rt.test_published()] == [
        ("a", 1),
        ("b", 1),
        ("c", 2),
        ("d", 3),
    ]
    assert rt.test_published()[-1].info is not None


def test_reset_discards_recorded_publications() -> None:
    _, rt = telling()
    rt.publish("news", 1)
    client = rt.test_client(user=42).connect()
    client.subscribe("news")
    rt.test_reset()
    assert (rt.test_published(), rt.history("news"), rt.channels()) == ([], [], [])


def test_servers_of_applications_under_test_are_independent() -> None:
    first, second = telling(), telling()
    first[1].publish("news", 1)
    assert second[1].test_published() == []


def test_hooks_have_run_when_a_call_returns() -> None:
    app, rt = telling()
    seen: list[tuple[str, str]] = []

    @rt.on_disconnect
    def note(context: Context) -> None:
        gevent.sleep(0.01)
        rt.publish("left", context.user)
        seen.append((context.event, app.name))

    with rt.test_client(user="42"):
        rt.disconnect("42")
        assert seen == [("disconnect", "site")]
    assert [(message.channel, message.data) for message in rt.test_published()] == [("left", "42")]


def test_a_hook_that_is_registered_too_late_is_refused() -> None:
    _, rt = telling()
    rt.publish("news", 1)
    with pytest.raises(RuntimeError, match=r"is registered too late: the server of the application 'site' has started"):
        rt.on_connect(lambda context: None)


def test_an_application_that_is_not_under_test_is_refused() -> None:
    app = site()
    rt = Gentrifugo(app)
    for call in (rt.test_client, rt.test_published):
        with pytest.raises(RuntimeError, match=r"'site' is not in test mode: set app.config\[\"TESTING\"\] = True"):
            call()
    assert not service_in(app).started


def test_a_server_that_has_started_is_used() -> None:
    """For example with `gentrifugo --app`: TESTING alone does not separate an application from its clients."""
    app, rt = telling()
    service = service_in(app)
    service.start()
    try:
        rt.publish("news", 1)
        assert [message.data for message in service.node.history("news")] == [b"1"]
        assert rt.test_published() == []
    finally:
        service.stop()


def test_an_application_is_deleted_with_its_server() -> None:
    app, rt = telling()
    rt.on_channel_occupied(lambda context: None)
    client = rt.test_client(user=42).connect()
    client.subscribe("news")
    gone = weakref.ref(app)
    del app, rt, client
    gc.collect()
    assert gone() is None
