"""A site whose hooks print their events and when they have finished: `gentrifugo --app telling_site:app`."""

from __future__ import annotations

import sys

import gevent
from flask import Flask, g

from gentrifugo import Context, Gentrifugo

LONG = 2.5
"""Seconds that hooks take when a client has gone: longer than what stops would wait for nothing but hooks."""

app = Flask(__name__)
app.config.update(SECRET_KEY="key")
rt = Gentrifugo(app)


def tell(*words: object) -> None:
    print("TOLD", *words, flush=True)


@app.get("/")
def home() -> str:
    return "here"


@app.post("/publish")
def publish() -> str:
    rt.publish("news", 1)
    return "published"


@app.teardown_appcontext
def tear_down(error: BaseException | None) -> None:
    if "event" in g:
        tell("torn down", g.pop("event"))


@rt.on_connect
def connect(context: Context) -> None:
    if "exit" in context.request.args:
        sys.exit(3)
    context.user = "ann"


@rt.on_subscribe
def subscribe(context: Context) -> None:
    assert "event" not in g, "the context of another hook"
    g.event = context.channel


@rt.on_disconnect
def disconnect(context: Context) -> None:
    gevent.sleep(LONG)
    rt.publish("news", "gone")
    tell("disconnect", context.user)


@rt.on_channel_vacated
def vacated(context: Context) -> None:
    gevent.sleep(LONG)
    tell("vacated", context.channel)
