"""Serves the client library from the directory of npm. A real site would have it in its static files."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, send_from_directory

CLIENT_LIBRARY = Path(__file__).parents[2] / "node_modules" / "centrifuge"


def add_library(app: Flask) -> None:
    """Serve centrifuge-js as `/centrifuge.js`."""

    @app.get("/centrifuge.js")
    def client_library() -> Response:
        return send_from_directory(CLIENT_LIBRARY, "centrifuge.js")
