"""Behaviour of the debug endpoints of a running server."""

from __future__ import annotations

import re
import threading

import pytest

from tests.api_client import Answer, APIClient
from tests.protocol_client import ProtocolClient
from tests.servers import Server


def get(server: Server, page: str = "") -> Answer:
    return APIClient(server.host, server.port).request("GET", f"/debug/pprof/{page}")


def test_index_page_links_the_other_pages(server: Server) -> None:
    text = get(server).body.decode()
    for page in re.findall(r"^(\w\S+)  ", text, re.MULTILINE):
        assert get(server, page.replace("=10", "=0.01")).status == 200


def test_greenlets_are_counted_by_function(server: Server) -> None:
    with ProtocolClient(server), ProtocolClient(server):
        text = get(server, "greenlets").body.decode()
        everything = get(server, "greenlets?all=1").body.decode()
    assert re.search(r"^\d+ greenlets$", text, re.MULTILINE)
    assert re.search(r"^3 x \S*HTTPServer\._serve$", text, re.MULTILINE)
    assert everything.count("WebSocket.receive") == 2
    assert re.search(r"^2 x background loop: timers$", text, re.MULTILINE)


def test_gevent_page_shows_the_run_info(server: Server) -> None:
    assert b"Greenlets" in get(server, "run_info").body


def test_memory_is_listed_by_type(server: Server) -> None:
    assert re.search(r"^ +\d+ +\d+  builtins\.dict$", get(server, "memory").body.decode(), re.MULTILINE)


class TestProfile:
    def load(self, server: Server) -> threading.Event:
        """Keep the server busy until the event is set."""
        done = threading.Event()

        def publish() -> None:
            while not done.is_set():
                APIClient(server.host, server.port).publish("news", "x")

        threading.Thread(target=publish).start()
        return done

    def test_profile_is_available_in_speedscope_format(self, server: Server) -> None:
        done = self.load(server)
        profile = get(server, "profile?seconds=0.5").json()
        done.set()
        assert profile["$schema"] == "https://www.speedscope.app/file-format-schema.json"
        (sampled,) = profile["profiles"]
        frames = profile["shared"]["frames"]
        assert len(sampled["samples"]) == len(sampled["weights"]) > 0
        assert sum(sampled["weights"]) == pytest.approx(sampled["endValue"])
        assert {index for stack in sampled["samples"] for index in stack} <= set(range(len(frames)))
        assert any("handle" in frame["name"] for frame in frames)

    def test_profile_is_available_in_flamegraph_format(self, server: Server) -> None:
        done = self.load(server)
        text = get(server, "profile?seconds=0.5&format=collapsed").body.decode()
        done.set()
        assert text
        assert [line for line in text.splitlines() if not re.fullmatch(r".+ \d+", line)] == []

    @pytest.mark.parametrize("query", ["seconds=0", "seconds=-1", "seconds=nan", "seconds=1e9", "seconds=x"])
    def test_invalid_duration_is_refused(self, server: Server, query: str) -> None:
        answer = get(server, f"profile?{query}")
        assert answer == Answer(400, b"seconds: must be a number above 0, and at most 120\n")

    def test_unknown_format_is_refused(self, server: Server) -> None:
        assert get(server, "profile?format=pprof").body == b"format: must be speedscope or collapsed\n"

    def test_second_profile_at_the_same_time_is_refused(self, server: Server) -> None:
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(get(server, "profile?seconds=0.3").status))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 409]
        assert get(server, "profile?seconds=0.01").status == 200
