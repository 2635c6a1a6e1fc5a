"""Processes of one machine find each other's sessions, also when some of them end or are killed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gevent
import pytest
from gevent import socket

from gentrifugo.app.exchange import fd_passing
from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.sockjs import session_directory
from gentrifugo.app.sockjs.session_directory import SessionDirectory

REQUEST = b"POST /1/2/xhr HTTP/1.1\r\nHost: a\r\n\r\nand more"


@pytest.fixture
def parent() -> Iterator[Path]:
    # pytest's own directories have names that are too long for a socket.
    with TemporaryDirectory() as directory:
        yield Path(directory)


class Process:
    """A process with its listener."""

    def __init__(self, parent: Path, group: str = "group") -> None:
        self.directory = SessionDirectory(group, parent)
        self.listener = self.directory.join()

    def die(self) -> None:
        """Simulate that the process was killed."""
        self.listener.close()

    def leave(self) -> None:
        self.directory.leave()
        self.listener.close()

    def take(self) -> tuple[Any, bytes]:
        channel, _ = self.listener.accept()
        with channel:
            return fd_passing.receive_connection(channel)


class Client:
    """One end of a connection, and the end of the process that has accepted it."""

    def __init__(self) -> None:
        self.end, self.accepted = socket.socketpair()

    def close(self) -> None:
        self.end.close()
        self.accepted.close()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


def test_one_process_holds_a_session_until_it_releases_it(parent: Path) -> None:
    one, two = Process(parent), Process(parent)
    assert one.directory.claim("key")
    assert not two.directory.claim("key")
    assert two.directory.holder("key") is not None
    assert (one.directory.holder("key"), two.directory.holder("other")) == (None, None)
    two.directory.release("key")
    assert not two.directory.claim("key"), "only the holder can release it"
    one.directory.release("key")
    assert two.directory.claim("key")
    one.leave()
    two.leave()


@pytest.mark.parametrize("key", ["a" * 5000, "\x00 \n", "\xff\u2028"], ids=["long", "control characters", "not ASCII"])
def test_any_session_key_is_valid(parent: Path, key: str) -> None:
    one, two = Process(parent), Process(parent)
    assert one.directory.claim(key)
    assert two.directory.holder(key)
    one.leave()
    two.leave()


def test_connection_is_passed_with_the_data_already_read(parent: Path, client: Client) -> None:
    one, two = Process(parent), Process(parent)
    two.directory.claim("key")
    assert one.directory.send_to_holder("key", client.accepted, REQUEST)
    fd_passing.stop_watching(client.accepted)
    client.accepted.close()
    given, request = two.take()
    assert request == REQUEST
    given.sendall(b"answer")
    assert client.end.recv(10) == b"answer"
    given.close()
    assert client.end.recv(10) == b"", "nobody holds it any more"
    one.leave()
    two.leave()


def test_connection_is_not_passed_without_a_holder_of_the_session(parent: Path, client: Client) -> None:
    one = Process(parent)
    assert not one.directory.send_to_holder("key", client.accepted, REQUEST)
    one.leave()


def test_the_sessions_of_a_killed_process_are_free(parent: Path, client: Client) -> None:
    one, two = Process(parent), Process(parent)
    two.directory.claim("key")
    two.die()
    assert one.directory.holder("key") is not None, "nobody has noticed"
    assert not one.directory.send_to_holder("key", client.accepted, REQUEST)
    assert one.directory.claim("key")
    client.accepted.sendall(b"still ours")
    assert client.end.recv(10) == b"still ours"
    one.leave()


def test_entries_of_a_killed_process_are_removed_by_the_next(parent: Path) -> None:
    one, two = Process(parent), Process(parent)
    one.directory.claim("mine")
    two.directory.claim("left")
    two.die()
    three = Process(parent)
    assert three.directory.holder("left") is None
    assert three.directory.holder("mine") is not None
    assert len([path for path in one.directory.path.iterdir() if path.is_socket()]) == 2
    one.leave()
    three.leave()


def test_last_process_removes_the_directory(parent: Path) -> None:
    one, two = Process(parent), Process(parent)
    one.directory.claim("key")
    one.leave()
    assert two.directory.claim("key")
    two.leave()
    assert list(parent.iterdir()) == []


def test_groups_are_independent(parent: Path) -> None:
    one, other = Process(parent), Process(parent, "other group")
    one.directory.claim("key")
    assert other.directory.claim("key")
    one.leave()
    other.leave()


def test_directory_accessible_to_other_users_is_refused(parent: Path) -> None:
    directory = SessionDirectory("group", parent).path
    directory.mkdir()
    directory.chmod(0o755)
    with pytest.raises(PermissionError, match="belongs to this user alone"):
        Process(parent)
    directory.rmdir()
    os.symlink(parent, directory)
    with pytest.raises(PermissionError, match="belongs to this user alone"):
        Process(parent)


def test_blocked_process_keeps_its_sessions(parent: Path, client: Client) -> None:
    one, two = Process(parent), Process(parent)
    two.directory.claim("key")
    two.listener.listen(0)
    assert one.directory.send_to_holder("key", client.accepted, REQUEST)
    with pytest.raises(HTTPError) as refused:
        one.directory.send_to_holder("key", client.accepted, REQUEST)
    assert refused.value.status == 503
    assert one.directory.holder("key") is not None
    one.leave()
    two.leave()


def test_other_requests_are_served_during_a_wait_for_a_sibling(parent: Path) -> None:
    one = Process(parent)
    lock = os.open(one.directory.path / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    joining = gevent.spawn(Process, parent)
    gevent.sleep(0.05)
    assert not joining.ready()
    os.close(lock)
    joining.get(timeout=1).leave()
    one.leave()


def test_wait_for_a_suspended_process_with_the_lock_has_a_timeout(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_directory, "LOCK_TIMEOUT", 0.05)
    one = Process(parent)
    lock = os.open(one.directory.path / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="holds the lock"):
        Process(parent)
    os.close(lock)
    one.leave()


def test_running_process_protects_the_directory_from_cleanup(parent: Path) -> None:
    one = Process(parent)
    cleaner = os.open(one.directory.path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(cleaner)
    one.leave()


def test_session_is_served_even_if_it_cannot_be_registered(parent: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = Process(parent)
    (one.directory.path / "sessions").rmdir()
    assert one.directory.claim("key")
    assert "cannot register a session in" in caplog.text
    one.directory.release("key")
    one.leave()


def test_failed_cleanup_is_logged_and_does_not_block_the_exit(
    parent: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_directory, "LOCK_TIMEOUT", 0.01)
    one = Process(parent)
    lock = os.open(one.directory.path / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    one.leave()
    os.close(lock)
    assert caplog.messages == [
        f"cannot clean up session directory {one.directory.path}: "
        "timeout: another process holds the lock of the directory"
    ]
    two = Process(parent)
    two.leave()
    assert not two.directory.path.exists(), "the next one removes what it has left"


def test_process_that_is_not_a_member_can_claim_every_session(parent: Path) -> None:
    directory = SessionDirectory("group", parent)
    assert directory.claim("key")
    assert directory.holder("key") is None
    one = Process(parent)
    one.directory.claim("key")
    one.leave()
    assert one.directory.claim("key")
    assert one.directory.holder("key") is None
    assert list(parent.iterdir()) == []


def test_a_lock_that_is_removed_with_its_directory_is_taken_again(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last process may remove the directory when another one is about to join."""
    one = Process(parent)
    plain = os.open

    def open_late(path: str, *arguments: int) -> int:
        if Path(path).name != "lock":
            return plain(path, *arguments)
        monkeypatch.setattr(os, "open", open_removed)
        one.leave()
        return plain(path, *arguments)

    def open_removed(path: str, *arguments: int) -> int:
        lock = plain(path, *arguments)
        if Path(path).name == "lock":
            monkeypatch.setattr(os, "open", plain)
            Path(path).unlink()
        return lock

    monkeypatch.setattr(os, "open", open_late)
    two = Process(parent)
    assert two.directory.claim("key")
    two.leave()
    assert list(parent.iterdir()) == []


def test_a_session_of_an_ended_process_is_refused_while_the_directory_is_locked(
    parent: Path, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_directory, "LOCK_TIMEOUT", 0.01)
    one, two = Process(parent), Process(parent)
    two.directory.claim("key")
    two.die()
    lock = os.open(one.directory.path / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(HTTPError) as refused:
        one.directory.send_to_holder("key", client.accepted, REQUEST)
    os.close(lock)
    assert (refused.value.status, refused.value.reason) == (503, "cannot look up the session")
    assert caplog.messages == [
        f"cannot remove an ended session from {one.directory.path}: "
        "timeout: another process holds the lock of the directory"
    ]
    one.leave()
