"""Attacks on the admin endpoints of a real server: none is successful, and the server continues to work."""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from itsdangerous import URLSafeTimedSerializer

from gentrifugo.admin.access import FAILURES_WITHOUT_DELAY
from tests.admin_client import OPTIONS, PASSWORD, AdminClient, log_in, token_of
from tests.api_client import APIClient
from tests.servers import Server, running
from tests.waiting import seconds
from tests.websocket_client import Closed, HandshakeRefused

GUESSES = 10_000
TOGETHER = 200
"""Requests that are on their way at a time."""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests after which operators can still log in."""
    with running(OPTIONS, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(OPTIONS, tmp_path_factory.mktemp("server")) as server:
        yield server


def guess(server: Server, passwords: list[str]) -> Counter[int]:
    """Try all passwords over one connection, and return the count of each status."""
    statuses: Counter[int] = Counter()
    with socket.create_connection((server.host, server.port), timeout=seconds(20)) as connection:
        answers = connection.makefile("rb")
        for start in range(0, len(passwords), TOGETHER):
            some = passwords[start : start + TOGETHER]
            connection.sendall(b"".join(_request(server, password) for password in some))
            for _ in some:
                statuses[_status(answers)] += 1
    return statuses


def _request(server: Server, password: str) -> bytes:
    body = f"password={quote(password)}".encode()
    head = f"POST /auth/ HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _status(answers: object) -> int:
    read = answers  # a buffered file of the socket
    status = int(read.readline().split()[1])  # type: ignore[attr-defined]
    size = 0
    while (line := read.readline().strip()) != b"":  # type: ignore[attr-defined]
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    assert b"token" not in read.read(size)  # type: ignore[attr-defined]
    return status


def test_ten_thousand_wrong_passwords_are_refused(server: Server) -> None:
    session = token_of(log_in(server.host, server.port))
    began = time.monotonic()
    # The right one is among them; by then it is one guess too many.
    passwords = [f"guess {number}" for number in range(GUESSES)]
    passwords[GUESSES // 2] = PASSWORD
    statuses = guess(server, passwords)
    took = time.monotonic() - began
    # While it lasts, one more guess is looked at after 1, 2, 4 and so many more seconds.
    assert statuses[400] <= FAILURES_WITHOUT_DELAY + took.__ceil__().bit_length()
    assert statuses[429] == GUESSES - statuses[400]
    APIClient(server.host, server.port).publish("news", "the server works on")
    operator = AdminClient(server.host, server.port)
    assert operator.call("connect", token=session)["body"] is True, "who is logged in stays so"
    operator.close()


def test_forged_admin_tokens_are_refused(server: Server) -> None:
    token = token_of(log_in(server.host, server.port))
    random.seed(7)
    forged = ["", "insecure", "authorized", "null", token[:-3], token.upper(), token + "A", f"{token}.{token}"]
    forged += [_with_one_character_changed(token) for _ in range(50)]
    forged += [URLSafeTimedSerializer(secret).dumps("admin") for secret in ("", "secret", OPTIONS["admin_secret"])]
    for text in forged:
        client = AdminClient(server.host, server.port)
        client.socket.send_json({"method": "connect", "params": {"token": text}})
        assert client.socket.wait_closed().advice == {"reason": "unauthorized", "reconnect": False}, text


def _with_one_character_changed(token: str) -> str:
    place = random.randrange(len(token) - 1)
    return token[:place] + random.choice([c for c in "abcXYZ019-_" if c != token[place]]) + token[place + 1 :]


@pytest.mark.parametrize("method", ["info", "nodes", "publish", "disconnect", "connections", "stats"])
def test_admin_commands_without_a_token_are_refused(shared_server: Server, method: str) -> None:
    client = AdminClient(shared_server.host, shared_server.port)
    client.socket.send_json([{"method": method, "params": {}}, {"method": "connect", "params": {"token": "x"}}])
    assert client.socket.wait_closed().code == 3000


def test_pages_of_other_sites_cannot_use_admin_endpoints(server: Server) -> None:
    origins = ["http://evil.example", "null", f"http://{server.host}.evil.example", f"http://{server.host}:1"]
    for origin in origins:
        with pytest.raises(HandshakeRefused):
            AdminClient(server.host, server.port, Origin=origin)
        assert log_in(server.host, server.port, Origin=origin).status == 403
        refused = f"pages of origin {origin!r}, which are not the server's own, at the admin endpoints"
        assert server.log.count(refused) == 1


def test_too_large_requests_are_refused(server: Server) -> None:
    answer = APIClient(server.host, server.port).request(
        "POST", "/auth/", b"password=" + b"x" * 10_000_000, {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 413
    client = AdminClient(server.host, server.port)
    with pytest.raises((Closed, OSError)):
        client.socket.send_text(json.dumps({"method": "connect", "params": {"token": "x" * 1_000_000}}))
        client.push()
