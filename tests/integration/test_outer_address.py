"""The address in pages behind nginx with TLS and a path, with every server that can serve the site."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.certificates import make_certificate
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER
from tests.integration.test_flask import COMMAND, gunicorn_command, running
from tests.nginx_server import free_port, nginx
from tests.parts import ROOT
from tests.waiting import eventually, seconds

SITE = """
from flask import Flask, request
from gentrifugo import Gentrifugo


def create_app():
    app = Flask(__name__)
    app.config.update(SECRET_KEY="key", GENTRIFUGO_DEBUG=True)
    rt = Gentrifugo(app)

    @app.get("/")
    def page():
        return rt.connection_params("42")

    seen = []

    @app.get("/seen")
    def show():
        return seen

    @rt.on_connect
    def connect(context):
        context.user = "42"
        seen.append(context.request.scheme)

    return app
"""
BLOCKS = """
map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate.cert};
    ssl_certificate_key {certificate.key};
    location /club/ {{
        proxy_pass {site}/;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        {headers}
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }}
}}
"""
HEADERS = """
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Prefix /club;
"""


def request(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
) -> tuple[int, str, str]:
    """Status, Location and body of an answer over TLS."""
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds(10), context=context)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "command",
    [COMMAND, gunicorn_command(GENTRIFUGO_WORKER), gunicorn_command(STOCK_WORKER)],
    ids=["command", "ours", "stock"],
)
def test_site_works_behind_tls_and_below_a_path(tmp_path: Path, command: list[str]) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "chat.py").write_text(SITE)
    port = free_port()
    with running(command, directory, tmp_path / "site.log") as site:
        blocks = BLOCKS.format(port=port, site=site, certificate=make_certificate(tmp_path), headers=HEADERS)
        with nginx(tmp_path, blocks, port):
            # What the client itself says is replaced by the proxy.
            forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "http"}
            status, _, body = request(port, "GET", "/club/", forged)
            url = json.loads(body)["url"]
            assert (status, url) == (200, f"https://127.0.0.1:{port}/club/realtime")
            path = urlsplit(url).path
            assert request(port, "GET", f"{path}/connection/info")[0] == 200
            session = f"{path}/connection/000/session1"
            assert request(port, "POST", f"{session}/xhr", body="")[2] == "o\n"
            connect = json.dumps([json.dumps({"method": "connect", "params": {"user": "42"}})])
            assert request(port, "POST", f"{session}/xhr_send", body=connect)[0] == 204
            eventually(
                lambda: json.loads(request(port, "GET", "/club/seen")[2]) == ["https"], what="the hook saw https"
            )
            status, location, _ = request(port, "GET", f"{path}/debug/pprof")
            assert (status, urljoin(f"{url}/debug/pprof", location)) == (308, f"{url}/debug/pprof/")


def test_headers_of_an_untrusted_proxy_are_ignored(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    untrusting = 'SECRET_KEY="key", GENTRIFUGO_TRUSTED_PROXIES="10.0.0.0/8"'
    (directory / "chat.py").write_text(SITE.replace('SECRET_KEY="key"', untrusting))
    port = free_port()
    with running(COMMAND, directory, tmp_path / "site.log") as site:
        blocks = BLOCKS.format(port=port, site=site, certificate=make_certificate(tmp_path), headers=HEADERS)
        with nginx(tmp_path, blocks, port):
            assert json.loads(request(port, "GET", "/club/")[2])["url"] == f"http://127.0.0.1:{port}/realtime"


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-compose.conf", "nginx-location.conf", "haproxy.cfg"])
def test_sample_proxy_configurations_send_the_forwarded_headers(name: str) -> None:
    text = (ROOT / "conf" / name).read_text()
    for header in ("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"):
        assert text.count(header) >= text.count("X-Forwarded-For"), header
