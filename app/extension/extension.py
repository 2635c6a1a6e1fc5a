"""The Flask extension: a Gentrifugo server inside an application, in its process and with its code (docs/flask.md).

Importing it is safe whether gevent has patched the standard library or not.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from ..config.endpoints import CLIENT, ENDPOINTS
from ..model.errors import Refused
from ..node.commands import Commands
from ..node.hooks import Hook, name_of
from ..protocol.v2.token_making import connection_token, subscription_token
from ..runtime.gunicorn import settings_of_gunicorn
from ..runtime.log_throttle import ONCE, ThrottledLog
from ..server.connection_receiver import ConnectionReceiver
from ..service import Service
from ..views.credential_views import register_credential_views
from ..views.mounted import UNDER_TEST, endpoints_of, service_of
from .applications import Applications
from .arguments import Arguments, Options, check_arguments, checked_app
from .backend import MAX_SHOWN_CHANNEL, Backend, HistoryMessage
from .backends import BACKENDS, Backends, backends_of
from .configuration import FIRST_KEY, load, log_late_options, options_as_text
from .connection_params import connection_params
from .flask_commands import group, readable_config_errors
from .hook_context import call
from .hook_decorators import HookDecorators, decorator_name
from .in_process_connection import SimulatedPage
from .mount import mount
from .publisher import publisher
from .realtime_client import RealtimeClient
from .realtime_client_v2 import RealtimeClientV2

log = logging.getLogger(__name__)

EXTENSION = "gentrifugo"
"""The key of the extension object in `app.extensions`."""
MAX_WARNED_NAMESPACES = 20
"""Maximum number of unknown namespaces in channels of tokens that are logged."""


class Gentrifugo(HookDecorators, Backend):
    """A server in a Flask application, or one in each of several applications; these servers share only the hooks.

    The arguments are the defaults of every `init_app`, and `Gentrifugo(app, …)` calls `init_app(app)` itself.
    Options are `GENTRIFUGO_<OPTION>` in app.config, which override those in `config`: a mapping, or the path of a
    configuration file. If none of them is `secret`, it is derived from the application's SECRET_KEY. The endpoints
    are below `url_prefix`, by default `/realtime`; `endpoints` are some of client, api and admin, by default all.

    Raises TypeError for an argument of the wrong type, ValueError for unknown endpoints, and the exceptions of
    `init_app`.
    """

    publisher = staticmethod(publisher)

    def __init__(
        self,
        app: Flask | None = None,
        config: Options | None = None,
        url_prefix: str | None = None,
        endpoints: Collection[str] | None = None,
    ) -> None:
        with readable_config_errors():
            self._defaults = check_arguments(config, url_prefix, endpoints)
        self._applications = Applications()
        self._hooks: list[tuple[str, Hook]] = []
        self._uses_redis_only = False
        self._unknown_namespaces = ThrottledLog(log, logging.WARNING, interval=ONCE, max_keys=MAX_WARNED_NAMESPACES)
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        config: Options | None = None,
        url_prefix: str | None = None,
        endpoints: Collection[str] | None = None,
    ) -> None:
        """Add a server to an application. The arguments override those of the constructor.

        Afterwards the extension is `app.extensions["gentrifugo"]`. Raises ConfigError for invalid options, RuntimeError
        if the application already has a server, and TypeError and ValueError for invalid arguments.
        """
        app = checked_app(app)
        if service_of(app) is not None:
            raise RuntimeError(
                f"the application {app.name!r} has a Gentrifugo server already: call init_app(app), or "
                "Gentrifugo(app), once for each application"
            )
        with readable_config_errors():
            arguments = check_arguments(config, url_prefix, endpoints).with_defaults(self._defaults)
            endpoints = ENDPOINTS if arguments.endpoints is None else arguments.endpoints
            service = self._service_for(app, arguments, endpoints)
        mount(app, service, endpoints)
        app.extensions[EXTENSION] = self
        app.extensions[FIRST_KEY] = app.secret_key
        backends = app.extensions[BACKENDS] = Backends(app, service, self._hooks)
        app.extensions[UNDER_TEST] = lambda: backends.test_server().service
        app.cli.add_command(group(self._publish_outside))
        app.add_template_global(self.connection_params, "gentrifugo_params")
        app.add_template_global(self.token, "gentrifugo_token")
        app.add_template_global(self.subscription_token, "gentrifugo_subscription_token")
        self._applications.add(app)

    def _service_for(self, app: Flask, arguments: Arguments, endpoints: Collection[str]) -> Service:
        loaded = load(app, arguments)
        for warning in loaded.warnings if settings_of_gunicorn() is None else loaded.warnings_elsewhere:
            log.warning("%s", warning)
        passed_connections = partial(ConnectionReceiver, app) if CLIENT in endpoints else None
        service = Service(
            loaded.config,
            call_hook=partial(call, app),
            passed_connections=passed_connections,
            shares_origin=True,
            note_start=partial(log_late_options, app, arguments, loaded, options_as_text(app)),
        )
        for event, hook in self._hooks:
            service.node.hooks.add(event, hook)
        return service

    def _has_hook(self, event: str) -> bool:
        return any(known == event for known, _ in self._hooks)

    def _add_hook(self, event: str, hook: Hook) -> None:
        applications = [(app, self._service_of(app)) for app in self._applications]
        for app, _ in applications:  # before any is changed: a hook is registered in all of them, or in none
            if backends_of(app).has_started:
                raise RuntimeError(
                    f"hook {name_of(hook)} ({decorator_name(event)}) is registered too late: the server of the "
                    f"application {app.name!r} has started. Register hooks while the application is being created: in "
                    "its module or its factory, or in a module that these import"
                )
        for app, service in applications:
            service.node.hooks.add(event, hook)
            if CLIENT in endpoints_of(app):
                register_credential_views(app, service)
        self._hooks.append((event, hook))

    def connection_params(self, user: str | int | None = None, info: Any = None) -> dict[str, Any]:
        """Return the parameters of centrifuge-js for connecting as `user`, with `info` for other clients.

        `info` can be anything that JSON can express. Without a user the page connects without a token, and the hook
        on_connect identifies the user. Call it while a request is handled, because clients connect to the host of the
        request. In templates it is `gentrifugo_params`. Raises TypeError for a user that is neither a string nor a
        number, and for no user without a hook on_connect.
        """
        return connection_params(self._service_of(self._applications.current), user, info)

    def token(
        self,
        user: str | int,
        info: Any = None,
        channels: Collection[str] = (),
        expires: float | None = None,
        meta: Any = None,
    ) -> str:
        """Return a token (JWT) for protocol v2, with which a client connects as `user`; empty for an anonymous user.

        `info`, which can be anything that JSON can express, is sent to other clients. The server subscribes the client
        to the `channels`. The connection expires after `expires` seconds unless the client sends a new token; None for
        never. Hooks read `meta`, which clients never receive, as `context.meta`. In templates it is
        `gentrifugo_token`. Raises TypeError and ValueError for invalid arguments, and ValueError without a key.
        """
        token = connection_token(self._token_key, user, info, channels, expires, meta)
        for channel in channels:
            self._warn_of_unknown_namespace(channel)
        return token

    def subscription_token(self, user: str | int, channel: str, info: Any = None, expires: float | None = None) -> str:
        """Return a token (JWT) for protocol v2, with which clients of `user` subscribe to a channel.

        The arguments are those of `token`, but `info` is sent to other clients only in this channel. In templates it is
        `gentrifugo_subscription_token`. Raises TypeError and ValueError.
        """
        token = subscription_token(self._token_key, user, channel, info, expires)
        self._warn_of_unknown_namespace(channel)
        return token

    def _warn_of_unknown_namespace(self, channel: str) -> None:
        """Log once that clients cannot subscribe with a token to a channel. Another server may know its namespace."""
        rules = self._service_of(self._applications.current).node.rules
        try:
            rules.options(channel)
        except Refused as refused:
            text = "the server of this application will refuse a token that was created for channel %r: %s"
            self._unknown_namespaces.log(rules.namespace(channel), text, channel[:MAX_SHOWN_CHANNEL], refused.detail)

    @property
    def _token_key(self) -> str:
        return self._service_of(self._applications.current).config.token_hmac_secret_key

    def use_redis_only(self) -> None:
        """Send all calls of this process through Redis, so that it does not become a node, although gevent is patched.

        This is for queue workers that run on gevent, such as those of Celery, and for scripts. With the memory engine
        all calls raise RuntimeError afterwards.
        """
        self._uses_redis_only = True

    # -- tests of an application (docs/testing.md)

    def test_client(
        self,
        app: Flask | None = None,
        *,
        user: str | int | None = None,
        info: Any = None,
        http: FlaskClient | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RealtimeClient:
        """Return a client of protocol v1 for tests of an application with TESTING in its config, without a socket.

        With a `user`, it connects with a token for this user, like a page with `connection_params(user, info)`;
        otherwise without a token, so that `on_connect` decides. Hooks receive the cookies of `http`, which is a test
        client of Flask, and the `headers`. Raises RuntimeError for an application that is not under test.
        """
        return RealtimeClient(self._page(app, http, headers), user, info)

    def test_client_v2(
        self,
        app: Flask | None = None,
        *,
        user: str | int | None = None,
        info: Any = None,
        token: str | None = None,
        data: Any = None,
        http: FlaskClient | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RealtimeClientV2:
        """Return a client of protocol v2 for tests of an application with TESTING in its config, without a socket.

        With a `user`, it connects with a token (JWT) for this user and `info`; with `token`, it uses that one. Without
        both, `on_connect` decides, and receives `data`. `http` and `headers` are used like in `test_client`.
        Raises RuntimeError for an application that is not under test.
        """
        return RealtimeClientV2(self._page(app, http, headers), user, info, token, data)

    def test_published(self, app: Flask | None = None) -> list[HistoryMessage]:
        """Return the list of messages that the application and clients have published in a test, oldest first.

        Later messages are appended to the same list.
        """
        return backends_of(self._app_under_test(app)).test_server().published

    def test_reset(self, app: Flask | None = None) -> None:
        """Discard the test server with its clients and messages. The next call creates a new one."""
        backends_of(self._app_under_test(app)).forget_test_server()

    def _page(self, app: Flask | None, http: FlaskClient | None, headers: Mapping[str, str] | None) -> SimulatedPage:
        app = self._app_under_test(app)
        return SimulatedPage(backends_of(app).test_server(), http or app.test_client(), dict(headers or {}))

    def _app_under_test(self, app: Flask | None) -> Flask:
        return self._applications.current if app is None else checked_app(app)

    def _open_commands(self) -> AbstractContextManager[Commands]:
        backends = backends_of(self._applications.current)
        return nullcontext(backends.outside().commands) if self._uses_redis_only else backends.nearest()

    def _publish_outside(self, channel: str, data: Any) -> None:
        """Publish from a process that ends afterwards. Raises the same exceptions as `publish`."""
        backends_of(self._applications.current).outside().publish(channel, data)

    @staticmethod
    def _service_of(app: Flask) -> Service:
        service = service_of(app)
        assert service is not None  # `init_app` has put it there
        return service
