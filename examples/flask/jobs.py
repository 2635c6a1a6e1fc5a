"""Notifications from a worker process: a site that queues jobs, and a worker that reports their progress.

Run a Redis server and, in this directory, both parts. Set REDIS_URL if Redis is not on this machine:

gentrifugo --app jobs:create_app
python jobs.py
"""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import Any

import redis
from flask import Flask, abort, render_template, session
from library import add_library

from gentrifugo import Context, Gentrifugo, publisher

QUEUE = "jobs"
STEPS = 20
STEP = float(os.environ.get("STEP", "0.2"))
"""Duration of one step of a job in seconds."""
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

realtime = Gentrifugo()


@realtime.on_connect
def identify(context: Context) -> None:
    """Identify the client by the visitor ID in its session."""
    context.user = session.get("visitor")


def create_app(**config: Any) -> Flask:
    """Create the example site; `config` is added to the configuration of the application."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(),
        GENTRIFUGO_ENGINE="redis",
        GENTRIFUGO_REDIS_URL=REDIS_URL,
    )
    app.config.update(config)
    realtime.init_app(app)
    add_library(app)
    queue = redis.Redis.from_url(REDIS_URL)

    @app.get("/")
    def page() -> str:
        session.setdefault("visitor", secrets.token_hex(8))
        return render_template("jobs.html", channel=channel_of(session["visitor"]))

    @app.post("/jobs")
    def add() -> tuple[dict[str, str], int]:
        visitor = session.get("visitor") or abort(401)
        job = secrets.token_hex(4)
        queue.lpush(QUEUE, json.dumps({"job": job, "visitor": visitor}))
        return {"job": job}, 202

    return app


def channel_of(visitor: str) -> str:
    """Return the channel to which only this visitor may subscribe: the text after # is the user ID."""
    return f"jobs#{visitor}"


def work() -> None:
    """Run jobs from the queue one by one, and notify the visitors who wait for them."""
    queue = redis.Redis.from_url(REDIS_URL, socket_timeout=None)  # it waits as long as there is no job
    outside = publisher(redis_url=REDIS_URL)
    print("waiting for jobs, Ctrl-C stops", flush=True)
    while True:
        entry = queue.brpop([QUEUE], timeout=5)
        if entry is None:
            continue  # there was no job for 5 seconds
        job = json.loads(entry[1])
        for step in range(STEPS + 1):
            outside.publish(channel_of(job["visitor"]), {"job": job["job"], "done": step / STEPS})
            time.sleep(STEP)


if __name__ == "__main__":
    try:
        work()
    except KeyboardInterrupt:
        pass
