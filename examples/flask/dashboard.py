"""A live dashboard: how busy this machine is, measured only while a page shows it. Run it in this directory:

gentrifugo --app dashboard:create_app

Run it in one process with the memory engine, because each process decides only for itself. With several nodes, one node
may receive the event that the channel is occupied, and another one the event that it is vacated, so the first one would
not stop measuring. Then store in a shared place whether to measure, and let the measuring node check it regularly.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

import gevent
import psutil
from flask import Flask, render_template
from library import add_library

from gentrifugo import Context, Gentrifugo

CHANNEL = "public:load"
INTERVAL = 1.0
"""Seconds between two measurements."""
SHOWN = 120
"""Number of measurements that the page shows."""

realtime = Gentrifugo()
_running: list[gevent.Greenlet[[], None]] = []


@realtime.on_channel_occupied
def begin(context: Context) -> None:
    """Start measuring when the channel has its first subscriber."""
    if context.channel == CHANNEL and not _running:
        _running.append(gevent.spawn(measure))


@realtime.on_channel_vacated
def end(context: Context) -> None:
    """Stop measuring when the channel has no subscribers left."""
    if context.channel == CHANNEL and _running:
        _running.pop().kill()


@realtime.on_connect
def let_in(context: Context) -> None:
    """Accept every client, without a user ID."""
    context.user = ""


def is_measuring() -> bool:
    """Return whether measurements are being published."""
    return bool(_running)


def measure() -> None:
    """Publish the load of the machine every INTERVAL seconds, without end."""
    psutil.cpu_percent()
    while True:
        gevent.sleep(INTERVAL)
        load = {
            "time": time.time(),
            "cpu": psutil.cpu_percent(),
            "memory": psutil.virtual_memory().percent,
        }
        realtime.publish(CHANNEL, load)


def create_app(**config: Any) -> Flask:
    """Create the example site; `config` is added to the configuration of the application."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(),
        GENTRIFUGO_NAMESPACES=[
            {"name": "public", "anonymous": True, "history_size": SHOWN, "history_lifetime": 600, "recover": True}
        ],
    )
    app.config.update(config)
    realtime.init_app(app)
    add_library(app)

    @app.get("/")
    def page() -> str:
        return render_template("dashboard.html", channel=CHANNEL, shown=SHOWN, interval=INTERVAL)

    return app
