"""Listening sockets that are passed by systemd."""

from __future__ import annotations

import os
import socket

import pytest

from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.server import systemd_sockets
from gentrifugo.app.server.listener_names import address_of
from gentrifugo.app.server.systemd_sockets import passed_by_systemd


def test_systemd_sockets_of_other_processes_are_not_used() -> None:
    assert passed_by_systemd({}) == {}
    assert passed_by_systemd({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("", ["main"]),
        ("web.socket", ["main"]),
        ("web:api:admin", ["main", "api", "admin"]),
        ("main:api+admin", ["main", "api+admin"]),
    ],
)
def test_sockets_are_given_by_name(monkeypatch: pytest.MonkeyPatch, names: str, expected: list[str]) -> None:
    count = len(names.split(":"))
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    # Consecutive, as systemd has them, at numbers that are free here.
    first = max(sock.fileno() for sock in made) + 10
    for index, sock in enumerate(made):
        os.dup2(sock.fileno(), first + index, inheritable=True)
        sock.close()
    monkeypatch.setattr(systemd_sockets, "FIRST_SYSTEMD_DESCRIPTOR", first)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}
    given = passed_by_systemd(environ)
    assert list(given) == expected
    for sock in given.values():
        assert address_of(sock).startswith("127.0.0.1:")
        assert not os.get_inheritable(sock.fileno())
        sock.close()


def test_a_descriptor_that_does_not_listen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = socket.socket()
    monkeypatch.setattr(systemd_sockets, "FIRST_SYSTEMD_DESCRIPTOR", idle.detach())
    with pytest.raises(ConfigError, match="is not a listening socket"):
        passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
    monkeypatch.setattr(systemd_sockets, "FIRST_SYSTEMD_DESCRIPTOR", 9999)
    with pytest.raises(ConfigError, match="is not a socket: Bad file descriptor"):
        passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})


@pytest.mark.parametrize("count", ["x", "-1", ""])
def test_an_invalid_number_of_systemd_sockets_is_an_error(count: str) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FDS: expected the number of sockets"):
        passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


def test_two_sockets_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="systemd passed two sockets for api"):
        passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:api"})
