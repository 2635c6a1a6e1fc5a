"""A chat in a Flask site whose users are those of Flask-Login. Run it in this directory:

pip install flask-login
gentrifugo --app chat:create_app

With REDIS_URL set, messages survive a restart, and several processes can serve the site. The user `host` can remove
other users.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from flask import Flask, abort, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from library import add_library
from werkzeug.wrappers import Response

from gentrifugo import Context, Gentrifugo, Refuse

ROOM = "chat:lobby"
HOST = "host"

realtime = Gentrifugo()
logins = LoginManager()
removed: set[str] = set()


class User(UserMixin):
    """A user who has entered a name. A real site would read users from its database."""

    def __init__(self, name: str) -> None:
        self.id = name


@logins.user_loader
def find(name: str) -> User | None:
    """Return the user of a session; None if the host has removed the user."""
    return None if name in removed else User(name)


@realtime.on_connect
def identify(context: Context) -> None:
    """Identify the client by the session of the site, so that no token is needed."""
    if not current_user.is_authenticated:
        raise Refuse("log in first")
    context.user = current_user.id


def create_app(**config: Any) -> Flask:
    """Create the example site; `config` is added to the configuration of the application."""
    app = Flask(__name__)
    configure(app)
    app.config.update(config)
    logins.init_app(app)
    realtime.init_app(app)
    add_library(app)
    add_pages(app)
    add_commands(app)
    return app


def configure(app: Flask) -> None:
    """Set the key of sessions, the options of the channel, and the engine."""
    app.config.update(
        # Sessions end with the process unless the key stays the same.
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(),
        GENTRIFUGO_NAMESPACES=[
            {
                "name": "chat",
                "presence": True,
                "join_leave": True,
                "history_size": 50,
                "history_lifetime": 3600,
                "recover": True,
            }
        ],
    )
    if redis_url := os.environ.get("REDIS_URL"):
        app.config.update(GENTRIFUGO_ENGINE="redis", GENTRIFUGO_REDIS_URL=redis_url)


def add_pages(app: Flask) -> None:
    """Add the page of the chat, and the login and logout of the site."""

    @app.get("/")
    def page() -> str:
        return render_template("chat.html", room=ROOM, host=HOST)

    @app.post("/login")
    def login() -> Response:
        name = request.form["name"].strip()[:30] or abort(400, "enter a name")
        if name in removed:
            abort(403, "the host has removed you")
        login_user(User(name))
        return redirect(url_for("page"))

    @app.post("/logout")
    @login_required
    def logout() -> Response:
        realtime.disconnect(current_user.id)
        logout_user()
        return redirect(url_for("page"))


def add_commands(app: Flask) -> None:
    """Add the views that send a message and remove a user."""

    @app.post("/say")
    @login_required
    def say() -> tuple[str, int]:
        realtime.publish(ROOM, {"user": current_user.id, "text": request.form["text"][:500]})
        return "", 204

    @app.post("/remove")
    @login_required
    def remove() -> tuple[str, int]:
        if current_user.id != HOST:
            abort(403)
        removed.add(request.form["name"])
        realtime.disconnect(request.form["name"])
        return "", 204
