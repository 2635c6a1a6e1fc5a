"""The Flask extension: a Gentrifugo server inside an application, sharing its process and its code (docs/flask.md).

Imports nothing that minds whether gevent has patched the standard library yet.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask, current_app, has_app_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from ..config import command_line
from ..config.config import Config, Loaded, settle
from ..config.config_file import Document
from ..config.endpoints import CLIENT, ENDPOINTS
from ..config.options import APPLICATION_PREFIX, ConfigError, options_of
from ..model import signing
from ..model.events import user_id
from ..node import hooks
from ..node.hooks import Context, Hook, Refuse
from ..runtime.monkey import REASON, is_patched, warn_where_it_serves
from ..service import Service
from ..views import credential_views
from ..views.mounted import EXTENSION, endpoints_of
from .backend import Backend, Published, Who
from .flask_commands import group
from .mount import mount
from .publisher import Publisher, publisher

log = logging.getLogger(__name__)

URL_PREFIX = "/realtime"
URL_PREFIX_FORM = re.compile(r"/([^/?#\s]+(/[^/?#\s]+)*)?")
DERIVED_FOR = b"gentrifugo tokens"
"""What a secret made of SECRET_KEY is for; the key itself signs sessions."""

FORBIDDEN = (401, 403)
"""With these statuses, views refuse who asks; all others are failures of theirs."""

ALONE = (
    "with the memory engine only the HTTP API reaches the server from here; "
    'set GENTRIFUGO_ENGINE="redis" for calls from other processes'
)

F = TypeVar("F", bound=Hook)

BACKEND = "gentrifugo_backend"
"""Where an application keeps the commands' Python form, among its extensions."""


PUBLISHER = "gentrifugo_publisher"
"""Where it keeps the other form, for processes that cannot be a node."""


class Gentrifugo:
    """The server of one application, or of several that call `init_app`; these share nothing.

    Options are `GENTRIFUGO_<OPTION>` in app.config, which beat those in `config`: a mapping, or the path of a
    configuration file. Where none says `secret`, one is made of the application's SECRET_KEY.
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: Mapping[str, Any] | str | Path | None = None,
        url_prefix: str = URL_PREFIX,
        endpoints: Collection[str] = ENDPOINTS,
    ) -> None:
        self._apps: list[Flask] = []
        self._hooks: list[tuple[str, Hook]] = []
        self._stays_outside = False
        if app is not None:
            self.init_app(app, config, url_prefix, endpoints)

    def init_app(
        self,
        app: Flask,
        config: Mapping[str, Any] | str | Path | None = None,
        url_prefix: str = URL_PREFIX,
        endpoints: Collection[str] = ENDPOINTS,
    ) -> None:
        """Add the endpoints to an application, below `url_prefix`; `endpoints` are some of client, api and admin.

        Raises ConfigError for options that cannot be used, and RuntimeError when the application has a server already.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("this application has a Gentrifugo server already; one is enough for all namespaces")
        if unknown := set(endpoints) - set(ENDPOINTS):
            raise ValueError(f"unknown endpoints: {', '.join(sorted(unknown))}; there are {', '.join(ENDPOINTS)}")
        loaded = _load(app, config, url_prefix)
        for warning in loaded.warnings:
            log.warning("%s", warning)
        service = Service(loaded.config)
        service.node.hooks.call = partial(_call, app)
        for event, hook in self._hooks:
            service.node.hooks.add(event, hook)
        mount(app, service, endpoints)
        app.extensions[BACKEND] = Backend(service.node)
        warn_where_it_serves()
        app.cli.add_command(group(self._publish_outside))
        app.add_template_global(self.connection_params, "gentrifugo_params")
        self._apps.append(app)

    # -- hooks

    def on_connect(self, hook: F) -> F:
        """Ask `hook` whether a client may connect, and as whom: it may set the context's `user` and `info`.

        All of these are decorators for functions of one `Context` (docs/hooks.md). One that is asked refuses by
        returning False, or by raising Refuse. Raises RuntimeError when the server has started.
        """
        return self._on(hooks.CONNECT, hook)

    def on_subscribe(self, hook: F) -> F:
        """Ask `hook` whether a client may subscribe, after what the channel's name and options say."""
        return self._on(hooks.SUBSCRIBE, hook)

    def on_private_subscribe(self, hook: F) -> F:
        """Ask `hook` for the sign of a private channel, for the page that posts to option auth_endpoint."""
        return self._on(hooks.PRIVATE_SUBSCRIBE, hook)

    def on_publish(self, hook: F) -> F:
        """Ask `hook` whether a client may publish `data`, which it may set."""
        return self._on(hooks.PUBLISH, hook)

    def on_refresh(self, hook: F) -> F:
        """Ask `hook` whether credentials are renewed: of a client, and of a page at option refresh_endpoint."""
        return self._on(hooks.REFRESH, hook)

    def on_disconnect(self, hook: F) -> F:
        """Tell `hook` that a client's connection is over."""
        return self._on(hooks.DISCONNECT, hook)

    def on_channel_occupied(self, hook: F) -> F:
        """Tell `hook` that a channel has its first subscriber, on all nodes together."""
        return self._on(hooks.OCCUPIED, hook)

    def on_channel_vacated(self, hook: F) -> F:
        """Tell `hook` that a channel has no subscribers any more, on any node."""
        return self._on(hooks.VACATED, hook)

    def _on(self, event: str, hook: F) -> F:
        for app in self._apps:
            service: Service = app.extensions[EXTENSION]
            service.node.hooks.add(event, hook)
            if CLIENT in endpoints_of(app):
                credential_views.register(app, service)
        self._hooks.append((event, hook))
        return hook

    # -- for pages

    def connection_params(self, user: str | int | None = None, info: Any = None) -> dict[str, Any]:
        """What centrifuge-js needs to connect as `user`, who is told about with `info`, anything that JSON can say.

        Without a user it connects without a token, for on_connect to say who it is. For use in a request, whose host
        the client connects to. In templates it is `gentrifugo_params`.
        """
        config = self._service.config
        url = request.host_url.rstrip("/") + config.http_prefix  # it takes SockJS where the page has it
        if user is None:
            if not self._service.node.hooks.has(hooks.CONNECT):
                raise TypeError("without on_connect, which could say who it is, connection_params needs a user")
            return {"url": url, "insecure": True}  # so centrifuge-js calls it when there is no token
        shown = "" if info is None else json.dumps(info)
        return {"url": url, **signing.credentials(config.secret, user_id(user), int(time.time()), shown)}

    # -- commands

    def publish(self, channel: str, data: Any, client: str = "", uid: str = "") -> None:
        """Publish `data`, anything that JSON can say, into a channel.

        Raises CommandError when that fails, TypeError for data that JSON has no words for, ValueError for an empty
        channel, and RuntimeError where no server can run.
        """
        self._backend.publish(channel, data, client, uid)

    def broadcast(self, channels: Sequence[str], data: Any, client: str = "") -> None:
        """Publish the same into several channels. Raises as `publish` does."""
        self._backend.broadcast(channels, data, client)

    def presence(self, channel: str) -> dict[str, Who]:
        """Who is in a channel, by client id. Raises CommandError, and RuntimeError where no server can run."""
        return self._backend.presence(channel)

    def history(self, channel: str) -> list[Published]:
        """What a channel remembers, newest first. Raises as `presence` does."""
        return self._backend.history(channel)

    def channels(self) -> list[str]:
        """The channels with a subscriber, on any node. Raises as `presence` does."""
        return self._backend.channels()

    def unsubscribe(self, user: str | int, channel: str = "") -> None:
        """End a user's subscription on a channel, or on all, on every node. Raises as `presence` does."""
        self._backend.unsubscribe(user, channel)

    def disconnect(self, user: str | int) -> None:
        """Close all connections of a user, on every node. Raises as `presence` does."""
        self._backend.disconnect(user)

    def stats(self) -> dict[str, Any]:
        """What all nodes last told of themselves (docs/stats.md)."""
        return self._backend.stats()

    # -- the application at hand

    publisher = staticmethod(publisher)

    def stay_outside(self) -> None:
        """Let the calls of this process go through Redis: it is to be no node, though gevent has patched it.

        For workers of a queue that run on gevent, such as Celery's, and for scripts. With the memory engine the calls
        raise RuntimeError from then on.
        """
        self._stays_outside = True

    @property
    def _backend(self) -> Backend:
        """What carries out commands: the node here, or Redis where no node can be."""
        service = self._service
        if self._stays_outside:
            return self._outside
        if not (service.started or is_patched()):
            if service.is_single:
                raise RuntimeError(REASON)
            return self._outside
        service.start()
        backend: Backend = self._application.extensions[BACKEND]
        return backend

    @property
    def _outside(self) -> Backend:
        """What carries out commands without a node of this process. Raises RuntimeError where Redis joins none."""
        service, extensions = self._service, self._application.extensions
        if service.is_single:
            raise RuntimeError(ALONE)
        if PUBLISHER not in extensions:
            extensions[PUBLISHER] = Publisher(service.config)
        outside: Publisher = extensions[PUBLISHER]
        return outside

    def _publish_outside(self, channel: str, data: Any) -> None:
        """Publish from a process that ends after it, whoever has patched it. Raises as `publish` does."""
        self._outside.publish(channel, data)

    @property
    def _service(self) -> Service:
        service: Service = self._application.extensions[EXTENSION]
        return service

    @property
    def _application(self) -> Flask:
        """The application whose context this is; outside of any, the last that called `init_app`."""
        app = current_app if has_app_context() else self._apps[-1] if self._apps else None
        if app is None:
            raise RuntimeError("no application at hand: call init_app(app), or use `with app.app_context():`")
        if BACKEND not in app.extensions:
            raise RuntimeError(f"the application {app.name!r} has no Gentrifugo server: call init_app(app)")
        return app


def _call(app: Flask, hook: Hook, context: Context) -> object:
    """Call a hook of an application, which may answer as a view does. Raises Refuse, and whatever leaves the hook."""
    with _within(app, context):
        try:
            answer = hook(context)
        except HTTPException as error:
            if error.response is None and error.code not in FORBIDDEN:
                raise
            is_own_reason = error.description != type(error).description
            raise Refuse(error.description if is_own_reason else "") from None
    if _is_of_a_view(answer):
        raise Refuse
    return answer


def _is_of_a_view(answer: object) -> bool:
    """Whether a hook returns what a view would: a decorator for views has not let it run.

    Such as Flask-Login's, which redirects to a page to log in. To go on all the same would let everybody pass.
    """
    has_status = isinstance(answer, tuple) and len(answer) > 1 and isinstance(answer[1], int)
    return has_status or isinstance(answer, Response)


@contextmanager
def _within(app: Flask, context: Context) -> Iterator[None]:
    """A hook runs in the application's context, and in the request that opened the connection, if there is one."""
    if context.request is not None:  # in a view already
        yield
    elif context.opening is None:
        with app.app_context():
            yield
    else:
        # Both: other servers than ours keep a connection within the request that opened it, whose application context
        # a second request context would share, and with it all that hooks leave there until the client has gone.
        with app.app_context(), app.request_context(context.opening.environ()) as pushed:
            context.request = pushed.request
            try:
                yield
            finally:
                context.request = None


def _load(app: Flask, config: Mapping[str, Any] | str | Path | None, url_prefix: str) -> Loaded:
    """The configuration. Raises ConfigError."""
    if isinstance(config, (str, Path)):
        given = command_line.read(options_of(Config), [f"--config={config}"], {})
    else:
        given = command_line.Given(Document("the options of Gentrifugo(...)", config or {}))
    given.application = {
        name.removeprefix(APPLICATION_PREFIX).lower(): value
        for name, value in app.config.items()
        if name.startswith(APPLICATION_PREFIX)
    }
    if "http_prefix" not in given.values:
        given.application["http_prefix"] = _normal(url_prefix)
    if "secret" not in given.values and app.secret_key:
        given.application["secret"] = _derived(app.secret_key)
    return settle(given)


def _normal(url_prefix: str) -> str:
    """A prefix as option http_prefix has it, with a slash in front and none behind. Raises ConfigError."""
    path = f"/{url_prefix.strip('/')}" if isinstance(url_prefix, str) else ""
    if not URL_PREFIX_FORM.fullmatch(path):
        raise ConfigError([f"url_prefix: Must be a path such as {URL_PREFIX!r}, or empty; not {url_prefix!r}."])
    return path.rstrip("/")


def _derived(secret_key: str | bytes) -> str:
    key = secret_key.encode() if isinstance(secret_key, str) else secret_key
    return hmac.digest(key, DERIVED_FOR, hashlib.sha256).hex()
