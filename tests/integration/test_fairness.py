"""A peer that sends as fast as possible does not delay other peers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.api_client import APIClient
from tests.credentials import sign
from tests.protocol_client import ProtocolClient
from tests.servers import Server

StartServer = Callable[..., Server]


@contextmanager
def flood(sock: socket.socket, data: bytes) -> Iterator[threading.Event]:
    """Send `data` repeatedly, and discard received data; the event is set when the server accepts no more data."""
    over = threading.Event()

    def send() -> None:
        try:
            while True:
                sock.sendall(data)
        except OSError:
            over.set()

    def receive() -> None:
        try:
            while sock.recv(1 << 20):
                pass
        except OSError:
            pass

    sock.settimeout(None)
    threads = [threading.Thread(target=work) for work in (send, receive)]
    for thread in threads:
        thread.start()
    try:
        yield over
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def test_flooding_client_does_not_block_backends_and_other_clients(start_server: StartServer) -> None:
    server = start_server()
    api = APIClient(server.host, server.port)
    with ProtocolClient(server, "loud") as loud, ProtocolClient(server, "quiet") as quiet:
        quiet.subscribe("news")
        ping = b'{"method":"ping"}'
        frame = bytes((0x81, 0x80 | len(ping), 0, 0, 0, 0)) + ping
        with flood(loud.socket.sock, frame * 3000) as over:
            for number in range(10):
                api.publish("news", number)
                assert quiet.message() == number
            assert not over.is_set(), "the flood ended by itself, so it proves nothing"


def test_endless_pipelining_does_not_block_other_connections(start_server: StartServer) -> None:
    server = start_server()
    body = b'{"method":"channels","params":{}}'
    request = (
        b"POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"X-API-Sign: %b\r\nContent-Length: %d\r\n\r\n" % (sign(body.decode()).encode(), len(body))
    )
    with socket.create_connection((server.host, server.port)) as loud, flood(loud, (request + body) * 300) as over:
        with ProtocolClient(server, "quiet") as quiet:
            for _ in range(10):
                quiet.call("ping")
        assert not over.is_set()


def test_large_batch_does_not_block_other_connections(start_server: StartServer) -> None:
    server = start_server()
    batch = json.dumps([{"method": "publish", "params": {"channel": "batch", "data": 1}}] * 60_000)
    done = threading.Event()

    def post() -> None:
        APIClient(server.host, server.port).post(batch)
        done.set()

    thread = threading.Thread(target=post)
    with ProtocolClient(server, "quiet") as quiet:
        thread.start()
        answered = 0
        while not done.is_set():
            quiet.call("ping")
            answered += 1
        thread.join()
    assert answered > 5
