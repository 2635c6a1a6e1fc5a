"""Behaviour of listening: all interfaces, and Unix sockets with existing files."""

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
from gentrifugo.app.server.listener_names import address_of, other_addresses
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
    assert address_of(listener) == f"unix:{path}"


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
        assert address_of(listener) == f"127.0.0.1:{port}"
        assert other_addresses(listener) == "all other addresses of this machine"


def test_a_system_without_ipv6_listens_with_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listeners.listen("", 0) as made:
        assert made.family == socket.AF_INET
