"""Fixtures for pytest, for tests of a Flask application with a Gentrifugo server (docs/testing.md).

A project uses them with `pytest_plugins = ["gentrifugo.testing"]` in its `conftest.py`. They need a fixture named
`app`, which returns the application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask

from .app.extension.backend import HistoryMessage
from .app.extension.extension import Gentrifugo
from .app.extension.realtime_client import Push, RealtimeClient, Subscribed
from .app.extension.realtime_client_v2 import PushV2, RealtimeClientV2, SubscribedV2

__all__ = [
    "Push",
    "PushV2",
    "RealtimeClient",
    "RealtimeClientV2",
    "Subscribed",
    "SubscribedV2",
    "published",
    "realtime",
    "realtime_client",
    "realtime_client_v2",
]


@pytest.fixture
def realtime(app: Flask) -> Iterator[Gentrifugo]:
    """Provide the extension of the application with an empty server. Sets TESTING in the application's config."""
    app.config["TESTING"] = True
    extension: Gentrifugo = app.extensions["gentrifugo"]
    extension.test_reset(app)
    extension.test_published(app)  # the calls outside any application context are about the application with a server
    yield extension
    extension.test_reset(app)


@pytest.fixture
def published(app: Flask, realtime: Gentrifugo) -> list[HistoryMessage]:
    """Return everything that was published in this test, oldest first. The list grows during the test."""
    return realtime.test_published(app)


@pytest.fixture
def realtime_client(app: Flask, realtime: Gentrifugo) -> Iterator[Callable[..., RealtimeClient]]:
    """Connect clients: `realtime_client(user="42")` takes the arguments of `Gentrifugo.test_client`.

    All clients disconnect at the end of the test.
    """
    with ExitStack() as clients:

        def connect(**arguments: Any) -> RealtimeClient:
            return clients.enter_context(realtime.test_client(app, **arguments))

        yield connect


@pytest.fixture
def realtime_client_v2(app: Flask, realtime: Gentrifugo) -> Iterator[Callable[..., RealtimeClientV2]]:
    """Connect clients of protocol v2: the arguments are those of `Gentrifugo.test_client_v2`.

    All clients disconnect at the end of the test.
    """
    with ExitStack() as clients:

        def connect(**arguments: Any) -> RealtimeClientV2:
            return clients.enter_context(realtime.test_client_v2(app, **arguments))

        yield connect
