"""The web interface: the included one with a strict Content-Security-Policy, or the one in option web_path."""

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
"""Nothing inline, nothing from other hosts. Trusted types are not required, because Ace creates elements from HTML."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


WEB_BLUEPRINT = "gentrifugo_web"
"""The name of the blueprint of the interface, which its endpoints begin with."""


def web_blueprint(web_path: str) -> Blueprint:
    """Create the blueprint of the files of the interface at `/`. A custom interface sets its own policy."""
    directory = Path(web_path).resolve() if web_path else WEB_FILES
    headers = HEADERS if web_path else {**HEADERS, "Content-Security-Policy": POLICY}
    pages = Blueprint(WEB_BLUEPRINT, __name__)

    def serve(name: str = INDEX_FILE) -> Response:
        response = send_from_directory(directory, name)
        # Revalidated at each request, with 304 if unchanged: after an update no page mixes old and new files.
        response.headers["Cache-Control"] = "no-cache"
        response.headers.update(headers)
        return response

    pages.add_url_rule("/", "index", serve)
    pages.add_url_rule("/<path:name>", "file", serve)
    return pages
