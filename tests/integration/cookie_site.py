"""A site that knows its users by a session cookie, which each view of the page renews: `--app=cookie_site:create_app`.

Its page contains a SockJS client, and has the same origin as the server.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from flask import Flask, send_file, session
from werkzeug.wrappers import Response

from gentrifugo import Context, Gentrifugo

FILES = {
    "sockjs.js": Path("sockjs-client", "dist", "sockjs.js"),
    "centrifuge.js": Path("centrifuge", "centrifuge.js"),
}


def create_app() -> Flask:
    """Return the site, with a server in it. Environment variables contain the paths of the page and the packages."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="key",
        GENTRIFUGO_SOCKJS_IFRAME=True,
        GENTRIFUGO_ALLOWED_ORIGINS=os.environ.get("SITE_ORIGINS", "auto"),
        GENTRIFUGO_SOCKJS_URL="/sockjs.js",
        GENTRIFUGO_NAMESPACES=[{"name": "live", "publish": True}],
    )
    realtime = Gentrifugo(app)

    @realtime.on_connect
    def connect(context: Context) -> bool:
        context.user = session.get("user", "")
        return bool(context.user)

    @realtime.on_private_subscribe
    def subscribe(context: Context) -> bool:
        return context.channel == f"$of-{session.get('user')}"

    @app.get("/")
    def page() -> Response:
        session.update(user="ann", nonce=secrets.token_hex(8))
        return send_file(os.environ["SITE_PAGE"])

    @app.get("/<name>.js")
    def script(name: str) -> Response:
        return send_file(Path(os.environ["SITE_PACKAGES"], FILES[f"{name}.js"]))

    return app
