"""The files in conf/ for proxies, each under the proxy that it is for, with real clients through it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.clients.driver import Driver, node_driver
from tests.nginx_server import proxy
from tests.parts import ROOT, node_package, program
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port, redis_server
from tests.servers import Server
from tests.sockjs_client import Service
from tests.waiting import eventually

StartServer = Callable[..., Server]


class Through:
    """A server as clients of a proxy see it."""

    def __init__(self, port: int, server: Server) -> None:
        self.host, self.port, self.secret = "127.0.0.1", port, server.secret


def nginx_of(text: str, directory: Path) -> list[str]:
    """nginx with a whole file of the repository, changed only where it would need root."""
    paths = "".join(f"{name}_temp_path {directory}/{name};\n" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    text = text.replace("http {", f"http {{ access_log off; client_body_temp_path {directory}/body;\n{paths}", 1)
    user = "user root; " if os.geteuid() == 0 else ""  # else it could not read what is in a test's directory
    text = text.replace("worker_processes auto;", f"{user}worker_processes 1; daemon off; pid {directory}/nginx.pid;")
    file = directory / "nginx.conf"
    file.write_text(text.replace("worker_connections 40000", "worker_connections 1000"))
    return [program("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(file)]


def test_nginx_on_a_domain_of_its_own(tmp_path: Path, start_server: StartServer) -> None:
    server = start_server(log_level="debug")
    port = free_port()
    text = (ROOT / "conf" / "nginx.conf").read_text()
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    with (
        proxy(nginx_of(text, tmp_path), port, tmp_path),
        ProtocolClient(Through(port, server), "ann") as client,  # type: ignore[arg-type]
    ):
        client.subscribe("news")
        client.call("ping", {})
    assert '127.0.0.1 "GET /connection/websocket" 101' in server.log


@pytest.fixture
def browser() -> Iterator[Driver]:
    node_package("sockjs-client")
    arguments = ("browser_driver.js", program("chromium"), "--ignore-certificate-errors")
    with node_driver(*arguments, package="playwright-core") as made:
        made.wait_for("ready", within=30)
        yield made


def test_nginx_within_a_site_with_tls_and_http2(tmp_path: Path, start_server: StartServer, browser: Driver) -> None:
    """A browser streams SockJS over HTTP/2, and opens a WebSocket."""
    server = start_server()
    port = free_port()
    certificate = make_certificate(tmp_path)
    site = tmp_path / "site"
    site.mkdir()
    for package in ("sockjs-client", "centrifuge"):
        name = {"sockjs-client": "dist/sockjs.js", "centrifuge": "centrifuge.js"}[package]
        (site / f"{package}.js").write_bytes((node_package(package) / name).read_bytes())
    (site / "index.html").write_text("<script src=/sockjs-client.js></script><script src=/centrifuge.js></script>")
    text = (ROOT / "conf" / "nginx-location.conf").read_text()
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{server.port}",
        "/etc/ssl/www.example.com.pem": str(certificate.cert),
        "/etc/ssl/www.example.com-key.pem": str(certificate.key),
        "/var/www/html": str(site),
    }.items():
        assert old in text
        text = text.replace(old, new)
    with proxy(nginx_of(text.replace("http {", "http { types { text/html html; }", 1), tmp_path), port, tmp_path):
        browser.send(do="open", url=f"https://127.0.0.1:{port}/")
        browser.wait_for("opened")
        for transport in ("xhr-streaming", "websocket"):
            assert evaluate(browser, SOCKJS % transport) == ["o", transport]
        protocols = evaluate(browser, PROTOCOLS)
        assert protocols == ["h2"]
        status = evaluate(browser, "fetch('/realtime/api/', {method: 'POST'}).then((answer) => answer.status)")
        assert status == 403


SOCKJS = """
new Promise((done, fail) => {
    const socket = new SockJS('/realtime/connection', null, {transports: ['%s']});
    socket.onopen = () => { done(['o', socket.transport]); socket.close(); };
    socket.onclose = (event) => fail(new Error(event.reason));
})
"""
PROTOCOLS = """
[...new Set(performance.getEntriesByType('resource').filter((entry) => entry.name.includes('xhr_streaming'))
    .map((entry) => entry.nextHopProtocol))]
"""


def evaluate(browser: Driver, expression: str) -> object:
    browser.send(do="evaluate", expression=expression)
    return browser.wait_for("value", within=15)["value"]


def test_haproxy_with_two_nodes(tmp_path: Path, start_server: StartServer) -> None:
    with redis_server(tmp_path) as redis:
        nodes = [start_server(health=True, log_level="debug", **redis.options) for _ in range(2)]
        port = free_port()
        text = (ROOT / "conf" / "haproxy.cfg").read_text()
        text = text.replace("bind :80\n", f"bind 127.0.0.1:{port}\n").replace("maxconn 50000", "maxconn 500")
        for number, node in enumerate(nodes):
            text = text.replace(f"127.0.0.1:{8000 + number}", f"127.0.0.1:{node.port}")
        file = tmp_path / "haproxy.cfg"
        file.write_text(text)
        subprocess.run([program("haproxy"), "-c", "-f", str(file)], check=True, capture_output=True)
        with proxy([program("haproxy"), "-db", "-f", str(file)], port, tmp_path):
            through = Through(port, nodes[0])
            eventually(lambda: Service("127.0.0.1", port, "").get("/health").status == 200, within=10)
            service = Service("127.0.0.1", port, "")
            assert service.request("GET", "/health", {"X-Forwarded-For": "192.0.2.7"}).status == 200
            with ProtocolClient(through, "ann") as client:  # type: ignore[arg-type]
                client.subscribe("news")
                closing = next(node for node in nodes if '"GET /connection/websocket" 101' in node.log)
                closing.stop()
                assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
            eventually(lambda: connects(through), within=10, what="the other node")
            assert service.post("/api/", b"{}").status == 403


def connects(through: Through) -> bool:
    try:
        with ProtocolClient(through, "ann") as client:  # type: ignore[arg-type]
            return bool(client.subscribe("news"))
    except Exception:
        return False


def test_who_is_no_trusted_proxy_cannot_say_whose_request_it_is(start_server: StartServer) -> None:
    server = start_server(log_level="debug", log_format="json", trusted_proxies="10.0.0.0/8")
    Service(server.host, server.port, "").request("GET", "/connection/info", {"X-Forwarded-For": "192.0.2.7"})
    line = eventually(lambda: [text for text in server.log.splitlines() if "/connection/info" in text])[0]
    assert json.loads(line)["peer"] == "127.0.0.1"
    assert not re.search("192.0.2.7", server.log)
