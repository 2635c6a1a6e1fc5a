"""Behaviour of listening: Unix sockets with existing files, and sockets passed by systemd."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.server import listeners
from tests.waiting import seconds


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "server.sock")


@pytest.fixture
def listener(path: str) -> Iterator[socket.socket]:
    with listeners.listen_at(path, "660") as made:
        yield made


def problem_of(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        listeners.listen_at(path, "660")
    return caught.value.problems[0]


def test_a_unix_socket_has_the_configured_permissions(listener: socket.socket, path: str) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    assert listeners.address_of(listener) == f"unix:{path}"


def test_closing_a_unix_socket_removes_its_file(path: str) -> None:
    opened = listeners.open_all(Config(unix_socket=path), {})
    assert os.path.exists(path)
    opened.close()
    assert not os.path.exists(path)
    opened.close()


def test_an_unused_socket_file_is_replaced(path: str) -> None:
    listeners.listen_at(path, "660").close()
    unused = os.stat(path).st_mode
    with listeners.listen_at(path, "600") as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        listener.accept()[0].close()
        assert (stat.S_IMODE(unused), stat.S_IMODE(os.stat(path).st_mode)) == (0o660, 0o600)


def test_a_socket_in_use_and_other_files_are_not_removed(listener: socket.socket, path: str, tmp_path: Path) -> None:
    assert problem_of(path) == f"unix_socket: cannot listen at {path}: another server is listening on this socket"
    file = tmp_path / "notes.txt"
    file.write_text("keep me")
    assert problem_of(str(file)) == f"unix_socket: cannot listen at {file}: the file exists and is not a socket"
    assert file.read_text() == "keep me"


def test_a_path_where_no_socket_can_be_is_named_in_the_error(tmp_path: Path) -> None:
    assert "No such file or directory" in problem_of(str(tmp_path / "nowhere" / "server.sock"))
    assert "too long" in problem_of(str(tmp_path / ("x" * 200)))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
@pytest.mark.parametrize("address", ["", "::"])
def test_all_interfaces_are_those_of_ipv4_and_ipv6(address: str) -> None:
    with listeners.listen(address, 0) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=seconds(5)).close()
        assert listeners.address_of(listener) == f"127.0.0.1:{port}"
        assert listeners.other_addresses(listener) == "all other addresses of this machine"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
def test_a_listener_for_ipv6_alone_shows_no_ipv4_address() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as listener:
        assert listeners.address_of(listener) == f"[::1]:{listener.getsockname()[1]}"
        assert listeners.other_addresses(listener) == "all other IPv6 addresses of this machine"


def test_a_listener_for_ipv4_alone_shows_an_address_that_can_be_opened() -> None:
    with listeners.listen("0.0.0.0", 0) as listener:
        assert listeners.address_of(listener) == f"127.0.0.1:{listener.getsockname()[1]}"
        assert listeners.other_addresses(listener) == "all other IPv4 addresses of this machine"


@pytest.mark.parametrize(("address", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_single_address_is_shown_as_it_is_written_in_urls(address: str, shown: str) -> None:
    with listeners.listen(address, 0) as listener:
        assert listeners.address_of(listener) == f"{shown}:{listener.getsockname()[1]}"
        assert listeners.other_addresses(listener) == ""


def test_systemd_sockets_of_other_processes_are_not_used() -> None:
    assert listeners.passed_by_systemd({}) == {}
    assert listeners.passed_by_systemd({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}


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
    monkeypatch.setattr(listeners, "FIRST_SYSTEMD_DESCRIPTOR", first)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}
    given = listeners.passed_by_systemd(environ)
    assert list(given) == expected
    for sock in given.values():
        assert listeners.address_of(sock).startswith("127.0.0.1:")
        assert not os.get_inheritable(sock.fileno())
        sock.close()


def test_a_descriptor_that_does_not_listen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = socket.socket()
    monkeypatch.setattr(listeners, "FIRST_SYSTEMD_DESCRIPTOR", idle.detach())
    with pytest.raises(ConfigError, match="is not a listening socket"):
        listeners.passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
    monkeypatch.setattr(listeners, "FIRST_SYSTEMD_DESCRIPTOR", 9999)
    with pytest.raises(ConfigError, match="is not a socket: Bad file descriptor"):
        listeners.passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})


@pytest.mark.parametrize("count", ["x", "-1", ""])
def test_an_invalid_number_of_systemd_sockets_is_an_error(count: str) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FDS: expected the number of sockets"):
        listeners.passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


def test_a_system_without_ipv6_listens_with_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listeners.listen("", 0) as made:
        assert made.family == socket.AF_INET


def test_two_sockets_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="systemd passed two sockets for api"):
        listeners.passed_by_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:api"})
