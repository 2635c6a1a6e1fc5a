"""The files in conf/ for proxies, each with its proxy and real clients."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.admin_client import PASSWORD, AdminClient, log_in
from tests.certificates import make_certificate
from tests.clients.driver import Driver, node_driver
from tests.nginx_server import proxy
from tests.parts import ROOT, node_package, program
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port, redis_server
from tests.servers import Server
from tests.sockjs_client import Service
from tests.waiting import eventually, seconds

StartServer = Callable[..., Server]


class Through:
    """A server behind a proxy, at the address of the proxy."""

    def __init__(self, port: int, server: Server) -> None:
        self.host, self.port, self.secret = "127.0.0.1", port, server.secret


def nginx_of(text: str, directory: Path) -> list[str]:
    """Run nginx with a whole file of the repository, changed only where it would require root."""
    paths = "".join(f"{name}_temp_path {directory}/{name};\n" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    text = text.replace("http {", f"http {{ access_log off; client_body_temp_path {directory}/body;\n{paths}", 1)
    user = "user root; " if os.geteuid() == 0 else ""  # else it could not read what is in a test's directory
    text = text.replace("worker_processes auto;", f"{user}worker_processes 1; daemon off; pid {directory}/nginx.pid;")
    file = directory / "nginx.conf"
    file.write_text(text.replace("worker_connections 40000", "worker_connections 1000"))
    return [program("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(file)]


OPERATORS_OPTIONS: dict[str, Any] = {
    "web": True,
    "admin_password": PASSWORD,
    "admin_secret": "admin secret",
    "prometheus": True,
    "debug": True,
    "insecure_api": True,
}
"""All that clients must not reach is there, and the API asks for no sign: a request that came through would do."""
CLOSED = (
    *("/api/", "/api", "/%61pi/", "//api/", "/connection/../api/", "/connection/%2e%2e/api/"),
    *("/metrics", "/%6detrics", "/debug/pprof/", "//debug/pprof/profile"),
    *("/", "/auth/", "/socket", "/health"),
)
"""Paths of backends and operators, also as somebody would write them who wants to get around a rule."""
PUBLISH = b'{"method": "publish", "params": {"channel": "news", "data": 1}}'


def check_that_only_clients_pass(port: int, prefix: str = "", scheme: str = "http") -> None:
    """Check that the endpoints for backends and operators are refused, and those for clients are not."""
    for path in CLOSED:
        for method in ([], ["--data-binary", PUBLISH.decode(), "-H", "Content-Type: application/json"]):
            address = f"{scheme}://127.0.0.1:{port}{prefix}{path}"
            assert status(address, *method) in ("403", "404"), address
    assert status(f"{scheme}://127.0.0.1:{port}{prefix}/api/") == "403"
    assert status(f"{scheme}://127.0.0.1:{port}{prefix}/metrics") == "403"
    assert status(f"{scheme}://127.0.0.1:{port}{prefix}/connection/info") == "200"


def status(address: str, *arguments: str) -> str:
    """The status of an answer. curl leaves the path as it is, and does not look at certificates."""
    command = [program("curl"), "--silent", "--insecure", "--path-as-is", "--output", "/dev/null"]
    command += ["--write-out", "%{http_code}", *arguments, address]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds(10)).stdout


def nginx_conf(port: int, server: Server) -> str:
    """The text of conf/nginx.conf, at this port and in front of this server."""
    text = (ROOT / "conf" / "nginx.conf").read_text()
    return text.replace("        listen 80;", f"listen 127.0.0.1:{port};").replace(
        "127.0.0.1:8000", f"127.0.0.1:{server.port}"
    )


def test_clients_connect_through_nginx_on_a_separate_domain(tmp_path: Path, start_server: StartServer) -> None:
    server = start_server(log_level="debug", health=True, **OPERATORS_OPTIONS)
    port = free_port()
    with (
        proxy(nginx_of(nginx_conf(port, server), tmp_path), port, tmp_path),
        ProtocolClient(Through(port, server), "ann") as client,
    ):
        client.subscribe("news")
        client.call("ping", {})
        check_that_only_clients_pass(port)
        client.socket.assert_quiet()
    assert '127.0.0.1 "GET /connection/websocket" 101' in server.log


def test_nginx_keeps_connections_to_the_server_open(tmp_path: Path, start_server: StartServer) -> None:
    """A connection that is closed after each request would leave its port in TIME_WAIT."""
    server = start_server()
    port = free_port()
    with proxy(nginx_of(nginx_conf(port, server), tmp_path), port, tmp_path):
        for _ in range(20):
            assert status(f"http://127.0.0.1:{port}/connection/info") == "200"
        connections = psutil.Process(server.pid).net_connections("tcp")
        assert len([one for one in connections if one.status == psutil.CONN_ESTABLISHED]) == 1


def test_nginx_uses_another_node_while_one_is_stopping(tmp_path: Path, start_server: StartServer) -> None:
    leaving, staying = (start_server(shutdown_timeout=5) for _ in range(2))
    port = free_port()
    text = nginx_conf(port, leaving).replace("ip_hash;", "")  # in turns: one address of ours would get one node
    text = text.replace("#server 127.0.0.1:8001", f"server 127.0.0.1:{staying.port}")
    with proxy(nginx_of(text, tmp_path), port, tmp_path):
        deaf = ProtocolClient(leaving, "ann")  # it does not answer the close frame, so the node waits for it
        leaving.process.send_signal(signal.SIGTERM)
        eventually(lambda: "shutting down" in leaving.log)
        for _ in range(10):
            assert status(f"http://127.0.0.1:{port}/connection/info") == "200"
            ProtocolClient(Through(port, staying), "bob").close()
        assert leaving.process.poll() is None
        deaf.close()


def test_nginx_opens_the_web_interface_to_a_network(tmp_path: Path, start_server: StartServer) -> None:
    """The blocks that are comments in the file, with the network of this test in place of the sample's."""
    server = start_server(**OPERATORS_OPTIONS)
    for network, answer in (("127.0.0.0/8", 200), ("10.0.0.0/8", 403)):
        port = free_port()
        text = opened(nginx_conf(port, server), "").replace("10.0.0.0/8", network)
        directory = tmp_path / str(answer)
        directory.mkdir()
        with proxy(nginx_of(text, directory), port, directory):
            assert status(f"http://127.0.0.1:{port}/") == str(answer)
            assert log_in("127.0.0.1", port).status == answer
            for path in ("/api/", "/metrics", "/debug/pprof/"):
                assert status(f"http://127.0.0.1:{port}{path}") == "403"
            if answer == 200:
                with AdminClient.connected("127.0.0.1", port) as admin:
                    assert admin.data("info")["engine"]
            else:
                assert status(f"http://127.0.0.1:{port}/socket") == "403"


def opened(text: str, prefix: str) -> str:
    """The text of a sample, with the blocks for the web interface in place of the one that refuses everybody."""
    refused = f"        location {prefix}/ {{\n            return 403;\n        }}\n"
    before, found, after = text.partition(refused)
    assert found
    return before + re.sub(r"^( +)#(?=location|    |})", r"\1", after, flags=re.MULTILINE)


@pytest.fixture
def browser() -> Iterator[Driver]:
    node_package("sockjs-client")
    arguments = ("browser_driver.js", program("chromium"), "--ignore-certificate-errors")
    with node_driver(*arguments, package="playwright-core") as made:
        made.wait_for("ready", within=30)
        yield made


def test_clients_connect_through_nginx_with_tls_and_http2(
    tmp_path: Path, start_server: StartServer, browser: Driver
) -> None:
    """A browser streams SockJS over HTTP/2, and opens a WebSocket."""
    server = start_server(health=True, **OPERATORS_OPTIONS)
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
    text = text.replace("http {", "http { types { text/html html; }", 1)
    with proxy(nginx_of(text, tmp_path), port, tmp_path):
        browser.send(do="open", url=f"https://127.0.0.1:{port}/")
        browser.wait_for("opened")
        for transport in ("xhr-streaming", "websocket"):
            assert evaluate(browser, SOCKJS % transport) == ["o", transport]
        protocols = evaluate(browser, PROTOCOLS)
        assert protocols == ["h2"]
        check_that_only_clients_pass(port, "/realtime", "https")
    with proxy(nginx_of(opened(text, "/realtime").replace("10.0.0.0/8", "127.0.0.0/8"), tmp_path), port, tmp_path):
        for path, answer in (("", "200"), ("main.js", "200"), ("socket", "400"), ("api/", "403"), ("metrics", "403")):
            assert status(f"https://127.0.0.1:{port}/realtime/{path}") == answer, path


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


def test_clients_connect_through_haproxy_to_two_nodes(tmp_path: Path, start_server: StartServer) -> None:
    with redis_server(tmp_path) as redis:
        options = {**OPERATORS_OPTIONS, **redis.options}
        nodes = [start_server(health=True, log_level="debug", **options) for _ in range(2)]
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
            eventually(lambda: Service("127.0.0.1", port, "/connection").get("/info").status == 200, within=10)
            check_that_only_clients_pass(port)
            with ProtocolClient(through, "ann") as client:
                client.subscribe("news")
                closing = next(node for node in nodes if '"GET /connection/websocket" 101' in node.log)
                closing.stop()
                assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
            eventually(lambda: connects(through), within=10, what="the other node")


def connects(through: Through) -> bool:
    try:
        with ProtocolClient(through, "ann") as client:
            return bool(client.subscribe("news"))
    except Exception:
        return False


def test_untrusted_peer_cannot_set_the_client_address(start_server: StartServer) -> None:
    server = start_server(log_level="debug", log_format="json", trusted_proxies="10.0.0.0/8")
    Service(server.host, server.port, "").request("GET", "/connection/info", {"X-Forwarded-For": "192.0.2.7"})
    line = eventually(lambda: [text for text in server.log.splitlines() if "/connection/info" in text])[0]
    assert json.loads(line)["peer"] == "127.0.0.1"
    assert not re.search("192.0.2.7", server.log)
