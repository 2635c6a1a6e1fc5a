"""A site whose pages only listen, for tests: `gentrifugo --app streaming_site:create_app`."""

from __future__ import annotations

import os

from flask import Flask, session

from gentrifugo import Context, Gentrifugo


def create_app() -> Flask:
    """Return the site, with a server that identifies clients without a token by the session cookie."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="key",
        GENTRIFUGO_UNI_SSE=True,
        GENTRIFUGO_STREAM_COMPRESSION=True,
        GENTRIFUGO_HISTORY_SIZE=10,
        GENTRIFUGO_HISTORY_TTL=60,
        GENTRIFUGO_RECOVER=True,
        GENTRIFUGO_ALLOW_SUBSCRIBE_FOR_CLIENT=True,
        GENTRIFUGO_NODE_PING_INTERVAL=0.3,
    )
    if redis_url := os.environ.get("REDIS_URL"):
        app.config.update(GENTRIFUGO_ENGINE="redis", GENTRIFUGO_REDIS_URL=redis_url)
    realtime = Gentrifugo(app)

    @realtime.on_connect
    def connect(context: Context) -> None:
        context.user = session.get("user")
        context.channels = ["news"]

    @app.get("/")
    def home() -> str:
        session["user"] = "ann"
        return "here"

    @app.post("/tell/<text>")
    def tell(text: str) -> str:
        realtime.publish("news", text)
        return ""

    return app
