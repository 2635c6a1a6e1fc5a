"""A chat in a Flask site: sessions, a page, a route that publishes. Run it in this directory:

gentrifugo --app chat:create_app
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, send_from_directory, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from gentrifugo import Gentrifugo

CLIENT_LIBRARY = Path(__file__).parents[2] / "node_modules" / "centrifuge"
ROOM = "chat:lobby"

realtime = Gentrifugo()


def create_app(**config: Any) -> Flask:
    """The site; `config` goes into the application's."""
    app = Flask(__name__)
    app.config.update(
        # Sessions end with the process unless the key stays the same.
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(),
        GENTRIFUGO_NAMESPACES=[
            {"name": "chat", "presence": True, "join_leave": True, "history_size": 50, "history_lifetime": 3600}
        ],
    )
    app.config.update(config)
    realtime.init_app(app)

    @app.get("/")
    def page() -> str:
        return render_template("chat.html", user=session.get("user"), room=ROOM)

    @app.post("/login")
    def login() -> AnyResponse:
        session["user"] = request.form["name"].strip()[:30] or abort(400, "a name has letters")
        return redirect(url_for("page"))

    @app.post("/logout")
    def logout() -> AnyResponse:
        realtime.disconnect(session.pop("user", "") or abort(401))
        return redirect(url_for("page"))

    @app.post("/say")
    def say() -> tuple[str, int]:
        user = session.get("user") or abort(401)
        realtime.publish(ROOM, {"user": user, "text": request.form["text"][:500]})
        return "", 204

    @app.get("/centrifuge.js")
    def client_library() -> Response:
        return send_from_directory(CLIENT_LIBRARY, "centrifuge.js")

    return app
