"""The site with Gentrifugo of benchmarks.compare_flask_socketio: `gentrifugo --app gentrifugo_site:app`."""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
from flask import Flask, request

from gentrifugo import Context, Gentrifugo

log = logging.getLogger(__name__)
app = Flask(__name__)
app.config.update(
    SECRET_KEY="secret",
    GENTRIFUGO_SECRET="secret",
    GENTRIFUGO_CLIENT_QUEUE_MAX_SIZE=1 << 30,
    GENTRIFUGO_PING_INTERVAL=0,
)
realtime = Gentrifugo(app)


@realtime.on_connect
def connect(context: Context) -> None:
    """Accept every client, and log its client ID."""
    log.debug("client %s connected", context.client)


@app.get("/publish")
def publish() -> str:
    """Publish `count` messages at `rate` per second; as fast as possible if the rate is 0."""
    count, rate = int(request.args["count"]), float(request.args["rate"])
    data: dict[str, Any] = {"text": "x" * 80}
    start = time.monotonic()
    for number in range(count):
        realtime.publish("news", data)
        gevent.sleep(max(start + number / rate - time.monotonic(), 0) if rate else 0)
    return "done"
