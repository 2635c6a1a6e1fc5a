"""The web interface: our own with a strict policy for what the page may load, or the one in option web_path."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

WEB_FILES = Path(__file__).parent / "web"
INDEX_FILE = "index.html"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing from elsewhere. Ace makes elements of HTML of its own, or trusted types would be required."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def web_blueprint(web_path: str) -> Blueprint:
    """The files of the interface at `/`. An interface of others is trusted with its own policy."""
    directory = Path(web_path).resolve() if web_path else WEB_FILES
    headers = HEADERS if web_path else {**HEADERS, "Content-Security-Policy": POLICY}
    pages = Blueprint("gentrifugo_web", __name__)

    def serve(name: str = INDEX_FILE) -> Response:
        response = send_from_directory(directory, name)
        # Asked for each time, answered with 304: after an update no page runs with half of the old files.
        response.headers["Cache-Control"] = "no-cache"
        response.headers.update(headers)
        return response

    pages.add_url_rule("/", "index", serve)
    pages.add_url_rule("/<path:name>", "file", serve)
    return pages
