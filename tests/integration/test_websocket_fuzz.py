"""Hundreds of invalid, unusual, slow or disconnecting peers: each gets the expected answer; others are unaffected."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from tests.api_client import APIClient
from tests.credentials import TOKEN_KEY
from tests.integration.websocket_cases import (
    closes,
    commands,
    disconnects,
    frames,
    handshakes,
    messages,
    v2_json,
    v2_mutations,
    v2_protobuf,
)
from tests.integration.websocket_cases.case import Case
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2
from tests.servers import Server, running
from tests.waiting import seconds

TOPICS = {
    "handshakes": handshakes.CASES,
    "frames": frames.CASES,
    "messages": messages.CASES,
    "closes": closes.CASES,
    "disconnects": disconnects.CASES,
    "commands": commands.CASES,
    "v2_json": v2_json.CASES,
    "v2_protobuf": v2_protobuf.CASES,
    "v2_mutations": v2_mutations.CASES,
}
CASES: dict[str, Case] = {f"{topic}: {case.name}": case for topic, cases in TOPICS.items() for case in cases}

AT_ONCE = 24
"""Cases that are played at the same time."""
EVERY = 0.05
"""Seconds between two messages for the neighbour."""
REFUSAL = re.compile(r"\S+ \S+ INFO (WebSocket handshake (at .+ )?refused|client \S+ \(user .*(refused|closed))")
"""A line of the log that says why a client was refused."""
MAX_REFUSALS = 100
"""Lines of the log for all cases together: what a line says repeatedly is logged once in ten seconds."""
OPTIONS = {
    "publish": True,
    "token_hmac_secret_key": TOKEN_KEY,
    "allow_subscribe_for_client": True,
    "allow_publish_for_client": True,
    "http_header_timeout": seconds(2),
    "http_keepalive_timeout": seconds(3),
}


class Neighbour:
    """A usual client on the same server; `received` has the messages in the channel of all neighbours."""

    def __init__(self, name: str, client: ProtocolClient | ProtocolClientV2) -> None:
        self.name = name
        self.received: list[int] = []
        self.trouble: Exception | None = None
        self._client = client
        client.subscribe("neighbours")
        client.subscribe("room")  # where the others publish; what comes from there must be text and JSON
        self._thread = threading.Thread(target=self._receive)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        self._client.close()

    def _receive(self) -> None:
        try:
            while (number := self._next()) != "end":
                self.received.append(number)
        except Exception as error:
            self.trouble = error

    def _next(self) -> Any:
        """The next message in the channel of the neighbours."""
        while True:
            push = self._client.push(30)
            body = push["body"] if "body" in push else {"channel": push["channel"], **push["pub"]}
            if body["channel"] == "neighbours":
                return body["data"]


class Neighbourhood:
    """One neighbour of each version and format, and a publisher for them."""

    def __init__(self, server: Server) -> None:
        self.published = 0
        self.neighbours = [
            Neighbour("v1", ProtocolClient(server, "neighbour")),
            Neighbour("v2 json", ProtocolClientV2(server, "neighbour", "json")),
            Neighbour("v2 protobuf", ProtocolClientV2(server, "neighbour", "protobuf")),
        ]
        self._api = APIClient(server.host, server.port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def start(self) -> None:
        self._thread.start()
        for neighbour in self.neighbours:
            neighbour.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        for neighbour in self.neighbours:
            neighbour.join()

    def _publish(self) -> None:
        while not self._over.wait(EVERY):
            self._api.publish("neighbours", self.published)
            self.published += 1
        self._api.publish("neighbours", "end")


@dataclass(frozen=True)
class Held:
    """The resources that a server process uses."""

    files: int
    connections: int
    clients: int
    channels: int
    greenlets: int


@dataclass(frozen=True)
class Played:
    """The results of all cases against one server."""

    failures: dict[str, BaseException]
    """The exception of each case that failed."""
    neighbourhood: Neighbourhood
    held: tuple[Held, Held]
    """Before and after."""
    logs: tuple[str, str]
    """Before and after."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Play all cases, many at a time, beside neighbours."""
    with running(OPTIONS, tmp_path_factory.mktemp("server")) as server:
        log, held = server.log, _held(server)
        with _at_work(Neighbourhood(server)) as neighbourhood:
            failures = _play_all(server)
        yield Played(failures, neighbourhood, (held, _held_after_a_while(server, held)), (log, server.log))


@contextmanager
def _at_work(neighbourhood: Neighbourhood) -> Iterator[Neighbourhood]:
    neighbourhood.start()
    try:
        yield neighbourhood
    finally:
        neighbourhood.stop()


def _play_all(server: Server) -> dict[str, BaseException]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        plays = {name: pool.submit(case.play, server.host, server.port) for name, case in CASES.items()}
    return {name: error for name, play in plays.items() if (error := play.exception()) is not None}


def _held(server: Server) -> Held:
    metrics = APIClient(server.host, server.port).call("node")["body"]["data"]["metrics"]
    process = psutil.Process(server.pid)
    connections = [connection for connection in process.net_connections("tcp") if connection.status != "LISTEN"]
    return Held(
        process.num_fds() - len(connections),
        len(connections),
        metrics["node_num_clients"],
        metrics["node_num_channels"],
        metrics["node_num_goroutine"],
    )


def _held_after_a_while(server: Server, expected: Held) -> Held:
    """The used resources, once they are as expected or the time limit is reached."""
    deadline = time.monotonic() + seconds(10)
    while (held := _held(server)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def test_case_names_are_unique() -> None:
    names = [case.name for cases in TOPICS.values() for case in cases]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("name", CASES)
def test_websocket_case_passes(played: Played, name: str) -> None:
    if name in played.failures:
        raise played.failures[name]


def test_other_clients_receive_all_messages(played: Played) -> None:
    published = list(range(played.neighbourhood.published))
    for neighbour in played.neighbourhood.neighbours:
        assert neighbour.trouble is None, neighbour.name
        assert neighbour.received == published, neighbour.name


def test_fuzzing_logs_only_why_clients_are_refused(played: Played) -> None:
    before, after = played.logs
    lines = after.removeprefix(before).splitlines()
    assert [line for line in lines if not REFUSAL.match(line)] == []
    assert len(lines) <= MAX_REFUSALS, "the cases must not flood the log"


def test_no_connections_stay_open(played: Played) -> None:
    before, after = played.held
    assert after == before
    assert after.clients == 0
