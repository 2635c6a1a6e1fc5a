"""The site on Flask-SocketIO of benchmarks.compare_flask_socketio: `python flask_socketio_site.py PORT`."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys
import time
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret"
# No pings while it is measured, as on the other site.
sockets = SocketIO(app, async_mode="gevent", ping_interval=600, cors_allowed_origins="*")


@sockets.on("connect")
def connect() -> None:
    """Accept a client, and add it to the room `news`."""
    join_room("news")


@app.get("/publish")
def publish() -> str:
    """Publish `count` messages at `rate` per second; as fast as possible if the rate is 0."""
    count, rate = int(request.args["count"]), float(request.args["rate"])
    data: dict[str, Any] = {"text": "x" * 80}
    start = time.monotonic()
    for number in range(count):
        sockets.emit("message", data, to="news")
        sockets.sleep(max(start + number / rate - time.monotonic(), 0) if rate else 0)
    return "done"


if __name__ == "__main__":
    port = int(sys.argv[1])
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    sockets.run(app, host="127.0.0.1", port=port)
