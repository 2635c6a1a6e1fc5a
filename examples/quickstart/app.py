"""The web application of the README's quick start: one page that shows what is published into the channel `news`.

Run it in the repository, beside a server started with `make run`:

    .venv/bin/python examples/quickstart/app.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import jwt
from flask import Flask, Response, render_template, send_from_directory

CLIENT_LIBRARY = Path(__file__).parents[2] / "node_modules" / "centrifuge5" / "dist"
LIFETIME = 24 * 60 * 60
"""Seconds that tokens are valid. A page that is open for longer needs `getToken`, which asks for new ones."""


def page_options(url: str, key: str, user: str) -> dict[str, str]:
    """Return what the page needs: its URL, a token for the connection, and a token for the channel."""
    claims = {"sub": user, "exp": int(time.time()) + LIFETIME}
    return {"url": url, "token": jwt.encode(claims, key), "news": jwt.encode({**claims, "channel": "news"}, key)}


def create_app(url: str, key: str) -> Flask:
    """Create the application; its pages connect to the server at `url`."""
    app = Flask(__name__, template_folder=".")

    @app.get("/")
    def page() -> str:
        # In an application with a login, this is the ID of the current user.
        return render_template("index.html", options=page_options(url, key, user="42"))

    @app.get("/centrifuge.js")
    def client_library() -> Response:
        return send_from_directory(CLIENT_LIBRARY, "centrifuge.js")

    return app


def read_key(path: str) -> str:
    """Return the key for tokens in the server's configuration file; ends the program if there is none."""
    try:
        return str(json.loads(Path(path).read_text(encoding="utf-8"))["token_hmac_secret_key"])
    except OSError as error:
        sys.exit(f"{error}: start the server with `make run` first, it writes the file")
    except KeyError as error:
        sys.exit(f"{path} has no {error}: add it, or delete the file and let `make run` write a new one")
    except (ValueError, TypeError):  # not JSON, or not an object: the server's own check says what is wrong
        subprocess.run([sys.executable, "-m", "gentrifugo", "checkconfig", f"--config={path}"], check=False)
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Show what is published into the channel `news`.")
    parser.add_argument("--config", default="config.json", help="the configuration file of the server: its key")
    parser.add_argument("--url", default="ws://127.0.0.1:8000/connection/websocket", help="where browsers connect")
    parser.add_argument("--port", type=int, default=3000, help="the port of this application")
    arguments = parser.parse_args()
    key = read_key(arguments.config)
    if not CLIENT_LIBRARY.is_dir():
        sys.exit(f"{CLIENT_LIBRARY} is missing: run `npm ci` first, it fetches centrifuge-js")
    create_app(arguments.url, key).run(port=arguments.port)


if __name__ == "__main__":
    main()
