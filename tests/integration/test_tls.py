"""TLS of the server's listeners: real servers, clients that trust one certificate, and refused connections."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificate, make_certificate
from tests.clients.driver import node_driver
from tests.credentials import connect_params, sign
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER
from tests.parts import ROOT, program
from tests.redis_server import free_port
from tests.servers import Server, running
from tests.waiting import eventually, seconds
from tests.websocket_client import WebSocketClient

StartServer = Callable[..., Server]
PUBLISH = '{"method":"publish","params":{"channel":"news","data":"%s"}}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Server]:
    with running(certificate.options, tmp_path_factory.mktemp("server")) as server:
        yield server


def connected(port: int, context: ssl.SSLContext, user: str = "ann") -> WebSocketClient:
    client = WebSocketClient.connect("127.0.0.1", port, ssl_context=context)
    client.send_json({"method": "connect", "params": connect_params(user)})
    assert "error" not in client.recv_json()
    return client


def post(port: int, context: ssl.SSLContext, body: str, path: str = "/api/") -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=seconds(5))
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", "X-API-Sign": sign(body)})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_clients_and_backends_connect_to_every_listener(start_server: StartServer, certificate: Certificate) -> None:
    api, admin = free_port(), free_port()
    server = start_server(**certificate.options, api_port=api, admin_port=admin, health=True)
    context = certificate.trusting()
    assert server.scheme == "https"
    for line in (f"wss://127.0.0.1:{server.port}/connection/websocket", f"https://127.0.0.1:{api}/api/"):
        assert line in server.log
    with connected(server.port, context) as client:
        client.send_json({"method": "subscribe", "params": {"channel": "news"}})
        client.recv_json()
        assert post(api, context, PUBLISH % "hello")[0] == 200
        assert client.recv_json()["body"]["data"] == "hello"
    assert post(admin, context, "", "/health")[0] in (200, 405)


@pytest.mark.parametrize("size", [100, 20_000, 3_000_000])
def test_messages_of_every_size_arrive_completely(server: Server, certificate: Certificate, size: int) -> None:
    context = certificate.trusting()
    with connected(server.port, context) as client:
        client.send_json({"method": "subscribe", "params": {"channel": "news"}})
        client.recv_json()
        for number in range(3):
            assert post(server.port, context, PUBLISH % (str(number) * size))[0] == 200
        got = [client.recv_json(seconds(20))["body"]["data"] for _ in range(3)]
        assert got == [str(number) * size for number in range(3)]


def test_slow_client_receives_the_close_reason(start_server: StartServer, certificate: Certificate) -> None:
    server = start_server(**certificate.options, client_queue_max_size=1_000_000)
    context = certificate.trusting()
    with connected(server.port, context) as slow, connected(server.port, context) as quick:
        for client in (slow, quick):
            client.send_json({"method": "subscribe", "params": {"channel": "news"}})
            client.recv_json()
        for _ in range(40):
            post(server.port, context, PUBLISH % ("x" * 300_000))
            quick.recv_json()
        received = 0
        while slow.closed is None and received < 100:
            try:
                slow.recv_json()
                received += 1
            except Exception:
                break
        assert slow.closed is not None
        assert slow.closed.advice == {"reason": "slow", "reconnect": False}


def test_sockjs_streams_work_over_tls(server: Server, certificate: Certificate) -> None:
    context = certificate.trusting()
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=seconds(5))
    connection.request("POST", "/connection/000/abc/xhr_streaming")
    answer = connection.getresponse()
    assert answer.read(2049 + 2)[-2:] == b"o\n"
    sender = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=seconds(5))
    command = json.dumps([json.dumps({"method": "connect", "params": connect_params("ann")})])
    sender.request("POST", "/connection/000/abc/xhr_send", command)
    assert sender.getresponse().status == 204
    assert answer.readline().startswith(b"a[")
    sender.close()
    connection.sock.close()
    answer.close()
    connection.close()


def test_disconnect_during_a_poll_is_noticed(server: Server, certificate: Certificate) -> None:
    context = certificate.trusting()

    def poll() -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=seconds(5))
        connection.request("POST", "/connection/000/poll/xhr")
        return connection

    first = poll()
    assert first.getresponse().read() == b"o\n"
    first.request("POST", "/connection/000/poll/xhr")
    time.sleep(0.2)
    assert isinstance(first.sock, ssl.SSLSocket)
    first.sock.close()
    first.close()
    time.sleep(0.2)
    second = poll()
    assert second.getresponse().read() == b'c[1002,"Connection interrupted"]\n'
    second.close()


def test_a_new_certificate_is_used_after_hup_and_connections_stay(tmp_path: Path, start_server: StartServer) -> None:
    old = make_certificate(tmp_path, "old")
    server = start_server(**old.options)
    with connected(server.port, old.trusting()) as client:
        new = make_certificate(tmp_path, "new")
        old_text = old.cert.read_bytes()
        os.replace(new.cert, old.cert)
        os.replace(new.key, old.key)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration reloaded" in server.log)
        connected(server.port, ssl.create_default_context(cadata=old.cert.read_text())).close()
        with pytest.raises(ssl.SSLCertVerificationError):
            connected(server.port, ssl.create_default_context(cadata=old_text.decode()))
        client.send_json({"method": "ping"})
        assert client.recv_json()["method"] == "ping"
        old.cert.write_text("garbage")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "invalid configuration, keeping the current one" in server.log)
        assert f"ssl_cert: {old.cert} contains no certificate in PEM" in server.log
        assert post(server.port, ssl.create_default_context(cadata=_served(server.port)), PUBLISH % "x")[0] == 200


def _served(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=seconds(5))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused(server: Server, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError):
        connected(server.port, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_use_authenticated_ciphers(
    server: Server, certificate: Certificate, version: ssl.TLSVersion
) -> None:
    context = certificate.trusting()
    context.minimum_version = context.maximum_version = version
    with connected(server.port, context) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        name = client.sock.cipher()[0]  # type: ignore[index]
        assert "GCM" in name or "CHACHA20" in name
        assert client.sock.version() == version.name.replace("_", ".")


@pytest.mark.parametrize("ciphers", ["AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256"])
def test_weak_ciphers_are_refused(server: Server, certificate: Certificate, ciphers: str) -> None:
    context = certificate.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError):
        connected(server.port, context)


def test_plain_http_on_a_tls_port_gets_an_error(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds(5)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = plain.recv(4096)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"this port requires TLS" in answer


def test_a_silent_connection_does_not_delay_others(start_server: StartServer, certificate: Certificate) -> None:
    server = start_server(**certificate.options, http_header_timeout=0.3)
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=seconds(5)) for _ in range(50)]
    begun = socket.create_connection(("127.0.0.1", server.port), timeout=seconds(5))
    begun.sendall(b"\x16\x03\x01")
    try:
        with connected(server.port, certificate.trusting()) as client:
            client.send_json({"method": "ping"})
            assert client.recv_json()["method"] == "ping"
        assert all(sock.recv(10) == b"" for sock in (*silent, begun))
    finally:
        for sock in (*silent, begun):
            sock.close()


def test_refused_request_ends_with_close_notify(server: Server, certificate: Certificate) -> None:
    """Otherwise a client could not distinguish the end from a truncated response."""
    context = certificate.trusting()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=seconds(5)) as plain,
        context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(b"nonsense\r\n\r\n")
        answer = b""
        while data := client.recv(4096):
            answer += data
        assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_slow_handshake_does_not_extend_the_timeout(start_server: StartServer, certificate: Certificate) -> None:
    server = start_server(**certificate.options, http_header_timeout=0.5)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        certificate.trusting().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    began = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=seconds(5)) as client,
        pytest.raises(ConnectionError),
    ):
        for byte in outgoing.read():
            client.sendall(bytes([byte]))
            time.sleep(0.05)
    assert time.monotonic() - began < seconds(3)  # at this pace the whole would take far longer


@pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER, STOCK_WORKER], ids=["ours", "stock"])
def test_gunicorn_serves_tls_with_its_own_options(tmp_path: Path, certificate: Certificate, worker: str) -> None:
    with gunicorn_with_tls(tmp_path, worker, certificate) as port:
        context = certificate.trusting()
        with connected(port, context) as client:
            client.send_json({"method": "subscribe", "params": {"channel": "news"}})
            client.recv_json()
            assert post(port, context, PUBLISH % ("hello" * 10_000))[0] == 200
            assert client.recv_json()["body"]["data"] == "hello" * 10_000


class gunicorn_with_tls:
    """Run gunicorn with a certificate in a `with` block, and return its port."""

    def __init__(self, directory: Path, worker: str, certificate: Certificate) -> None:
        self._arguments = (directory, worker)
        self._certificate = certificate

    def __enter__(self) -> int:
        directory, worker = self._arguments
        (directory / "config.json").write_text('{"secret": "secret"}')
        self.port = free_port()
        self._log = directory / "gunicorn.log"
        command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{self.port}", "--no-control-socket"]
        command += [f"--certfile={self._certificate.cert}", f"--keyfile={self._certificate.key}"]
        command += [f"--worker-class={worker}", "gentrifugo:create_app('config.json')"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._answers, within=15, what="gunicorn answers")
        return self.port

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(seconds(40))
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        assert "Traceback" not in self._log.read_text()

    def _answers(self) -> bool:
        try:
            return post(self.port, self._certificate.trusting(), "")[0] == 400
        except OSError:
            return False


def refused(tmp_path: Path, options: dict[str, Any]) -> str:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"secret": "s", **options}))
    command = [str(Path(sys.executable).parent / "gentrifugo"), f"--config={config}", "--port=0", "--address=127.0.0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(20))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_unusable_certificate_is_named(tmp_path: Path, certificate: Certificate) -> None:
    other = make_certificate(tmp_path, "other")
    locked = make_certificate(tmp_path, "locked", "-passout", "pass:secret")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    assert "ssl_cert: required because ssl is on" in refused(tmp_path, {"ssl": True})
    missing = {**certificate.options, "ssl_key": "/nowhere/key.pem"}
    assert "ssl_key: cannot read /nowhere/key.pem: No such file or directory" in refused(tmp_path, missing)
    mixed = {**certificate.options, "ssl_key": str(other.key)}
    assert f"the key in {other.key} does not match the certificate in {certificate.cert}" in refused(tmp_path, mixed)
    unreadable = {**certificate.options, "ssl_cert": str(garbage)}
    assert f"ssl_cert: {garbage} contains no certificate in PEM" in refused(tmp_path, unreadable)
    swapped = Certificate(certificate.key, certificate.cert).options
    assert f"ssl_cert, ssl_key: {certificate.key} contains a private key, and {certificate.cert}" in refused(
        tmp_path, swapped
    )
    assert "ssl_key: encrypted keys are not supported" in refused(tmp_path, locked.options)


def test_browser_connects_with_tls(start_server: StartServer, certificate: Certificate) -> None:
    """Chromium trusts no self-signed certificate, except with the flag that this test uses."""
    server = start_server(**certificate.options, web=True, insecure_admin=True)
    arguments = ("browser_driver.js", program("chromium"), "--ignore-certificate-errors")
    with node_driver(*arguments, package="playwright-core") as browser:
        browser.wait_for("ready", within=30)
        browser.send(do="open", url=server.url)
        browser.wait_for("opened")
        eventually(lambda: _is_connected(browser), within=10, what="the page is connected, over wss")


def _is_connected(browser: Any) -> bool:
    browser.send(do="evaluate", expression="document.querySelector('.state.connected') !== null")
    return bool(browser.wait_for("value")["value"])


def test_certificates_are_trusted_by_name(certificate: Certificate, server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connected(server.port, ssl.create_default_context())


def test_certificate_of_the_documentation_works(tmp_path: Path, start_server: StartServer) -> None:
    """The self-signed certificate for experiments in docs/tls.md."""
    page = (ROOT / "docs" / "tls.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (openssl .+)$", page, re.MULTILINE)
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=seconds(30))
    made = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = start_server(**made.options)
    context = made.trusting()
    context.check_hostname = False  # it is for localhost, and the test asks for 127.0.0.1
    connected(server.port, context).close()
