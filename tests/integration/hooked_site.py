"""A site whose hooks block, fail and hang, for tests: `gentrifugo --app hooked_site:create_app`."""

from __future__ import annotations

import os
from typing import Any

import gevent
from flask import Flask
from gevent.event import Event

from gentrifugo import Context, Gentrifugo

TOGETHER = int(os.environ.get("TOGETHER", "1"))
"""How many clients connect: none is let in before all of them are asked about."""


def create_app() -> Flask:
    """Return the site, with a server in it."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY="key", GENTRIFUGO_HOOK_TIMEOUT=20, GENTRIFUGO_PUBLISH=True)
    rt = Gentrifugo(app)
    waiting: list[str] = []
    all_there = Event()

    @app.get("/")
    def home() -> str:
        return "here"

    @rt.on_connect
    def connect(context: Context) -> bool:
        waiting.append(context.client)
        if len(waiting) >= TOGETHER:
            all_there.set()
        context.user = context.request.args["user"]
        return bool(all_there.wait(15))

    @rt.on_subscribe
    def subscribe(context: Context) -> None:
        if context.channel == "broken":
            raise ValueError("a defect of the site")
        if context.channel == "hangs":
            gevent.sleep(1000)

    @rt.on_publish
    def publish(context: Context) -> Any:
        context.data = {"from": context.user, "text": context.data}

    return app
