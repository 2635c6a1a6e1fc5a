"""The nginx of docs/admin.md in front of the admin interface, with a fake identity provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import requests

from tests.admin_browser import browser
from tests.docs.pages import page
from tests.nginx_server import nginx
from tests.redis_server import free_port
from tests.servers import Server
from tests.waiting import seconds

LOGIN = """
server {{
    listen 127.0.0.1:{port};
    location = /oauth2/auth {{
        if ($cookie_login = "") {{ return 401; }}
        add_header X-Auth-Request-Email "$cookie_login@example.com" always;
        return 202;
    }}
    location = /oauth2/sign_in {{ default_type text/html; return 403 "Sign in first"; }}
}}
"""
"""Stands for oauth2-proxy: whoever has a cookie `login` is logged in."""


def test_operators_log_in_at_the_proxy(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(web=True, admin_secret="admin secret", admin_trusted_header="X-Auth-Request-Email")
    (block,) = (block for block in page("admin.md").blocks if block.language == "nginx")
    port, login = free_port(), free_port()
    ports = {"8080": port, "4180": login, "10000": server.port}
    site = block.text
    for shown, real in ports.items():
        site = site.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{real}")
    url = f"http://127.0.0.1:{port}"
    with nginx(tmp_path, LOGIN.format(port=login) + site, port), browser() as chromium:
        forged = requests.post(
            f"{url}/auth/session",
            headers={"X-Auth-Request-Email": "eve@example.com", "Origin": url},
            timeout=seconds(10),
        )
        assert (forged.status_code, forged.text) == (403, "Sign in first")
        chromium.open(url)
        assert "Sign in first" in chromium.text("body")
        chromium.evaluate("document.cookie = 'login=ann'")
        chromium.run("reload")
        chromium.wait_for(".state.connected")
        chromium.wait_for("[data-node]")
        assert "gentrifugo" not in chromium.evaluate("document.cookie + JSON.stringify(sessionStorage)")
        assert "admin login of 'ann@example.com' from 127.0.0.1" in server.log
        assert "eve" not in server.log
