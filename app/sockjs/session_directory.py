"""A directory shared by the processes of this machine, which maps SockJS sessions to the processes that hold them.

The directory contains a socket for each process, and a symbolic link for each session, whose target is the name of the
process that holds it. Creating or reading a link takes microseconds, and involves no other process and no Redis. Files
of a killed process are removed by the next process that joins or leaves.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EBUSY, EPERM
from hashlib import blake2b
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import gevent

from ..exchange import fd_passing
from ..http.head import HTTPError

log = logging.getLogger(__name__)

LOCK_TIMEOUT = 3.0
"""Seconds to wait for the lock, which other processes hold for milliseconds."""
LOCK_CHECK = 0.002
"""Seconds between two attempts to take the lock."""

SESSIONS = "sessions"
"""Name of the subdirectory that holds the links."""


class SessionDirectory:
    """The sessions of all processes of this machine and user that belong to the same `group`.

    Call `join` after the fork, and `leave` once. Before `join` and after `leave`, every session can be claimed, and
    none is held by another process. The directory is created in `parent`, by default that of temporary files.
    """

    def __init__(self, group: str, parent: Path | None = None) -> None:
        self._group = blake2b(group.encode(), digest_size=8).hexdigest()
        self._parent = parent
        self._name = ""
        self._links = ""
        self._descriptor: int | None = None
        self._held: set[str] = set()
        self._is_member = False

    @property
    def path(self) -> Path:
        """The path of the directory. It contains the user, which gunicorn may change after loading the application."""
        return (self._parent or Path(gettempdir())) / f"gentrifugo-{os.geteuid()}-{self._group}"

    # -- life

    def join(self) -> Any:
        """Become a member. Returns the listening socket for connections to this process. Raises OSError."""
        self._name = uuid.uuid4().hex[:12]
        directory = self.path
        with self._hold_lock():
            self._clear()
            (directory / SESSIONS).mkdir(exist_ok=True)
            listener = fd_passing.listen_for_connections(str(directory / self._name))
            self._links = str(directory / SESSIONS)
            self._protect_from_cleanup()
            self._is_member = True
            return listener

    def _protect_from_cleanup(self) -> None:
        """Lock the directory: systemd-tmpfiles, which deletes old temporary files, skips locked directories."""
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def leave(self) -> None:
        """Release all sessions, and stop being a member. The last member removes the directory."""
        self._is_member = False
        try:
            for key in list(self._held):
                self.release(key)
            with self._hold_lock():
                (self.path / self._name).unlink(missing_ok=True)
                self._clear()
                if not self._sockets():
                    shutil.rmtree(self.path, ignore_errors=True)
        except OSError as error:
            log.warning("cannot clean up session directory %s: %s", self.path, error.strerror)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        """Hold the lock of the directory, which is required to remove links and sockets of other processes.

        Raises OSError if it cannot be acquired within LOCK_TIMEOUT.
        """
        deadline = time.monotonic() + LOCK_TIMEOUT
        while (lock := self._lock()) is None:
            if time.monotonic() > deadline:
                raise OSError(EBUSY, "timeout: another process holds the lock of the directory")
            gevent.sleep(LOCK_CHECK)
        try:
            yield
        finally:
            os.close(lock)

    def _lock(self) -> int | None:
        """Return the descriptor of the lock; None if another process holds it, or has just removed the directory."""
        self._make_directory()
        try:
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        # This does not wait, because a process that is suspended while it holds the lock would block this one too.
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return lock
        os.close(lock)
        return None

    def _make_directory(self) -> None:
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            found = self.path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise OSError(EPERM, "not a directory that belongs to this user alone")

    def _clear(self) -> None:
        """Remove the sockets and links of processes that have ended."""
        for path in self._sockets():
            if not fd_passing.is_served(str(path)):
                path.unlink(missing_ok=True)
        alive = {path.name for path in self._sockets()}
        sessions = self.path / SESSIONS
        for link in sessions.iterdir() if sessions.exists() else ():
            with suppress(FileNotFoundError):  # its session has just ended
                if os.readlink(link) not in alive:
                    link.unlink()

    def _sockets(self) -> list[Path]:
        return [path for path in self.path.iterdir() if path.is_socket()]

    # -- sessions

    def claim(self, key: str) -> bool:
        """Register a session as held by this process. Returns False if another process holds it."""
        if not self._is_member:
            return True
        link = self._link(key)
        while True:
            try:
                os.symlink(self._name, link)
            except FileExistsError:
                with suppress(FileNotFoundError):  # released meanwhile: retry
                    return os.readlink(link) == self._name
            except OSError as error:
                log.warning(
                    "cannot register a session in %s, other processes cannot find it: %s", self.path, error.strerror
                )
                return True
            else:
                self._held.add(key)
                return True

    def release(self, key: str) -> None:
        """Release a session that this process holds. Does nothing for other sessions."""
        if key in self._held:
            self._held.remove(key)
            with suppress(FileNotFoundError):
                os.unlink(self._link(key))

    def holder(self, key: str) -> str | None:
        """Return the name of the other process that holds a session; None if no other process holds it."""
        if not self._is_member:
            return None
        try:
            name = os.readlink(self._link(key))
        except OSError:
            return None
        return None if name == self._name else name

    def send_to_holder(self, key: str, connection: Any, request: bytes) -> bool:
        """Send a connection, and the bytes that were read from it, to the other process that holds a session.

        Returns False if no other process holds the session, or if that process has ended; then the session is free.
        Raises HTTPError if the process runs but cannot accept the connection.
        """
        while (name := self.holder(key)) is not None:
            try:
                fd_passing.send_connection(str(self.path / name), connection, request)
                return True
            except (ConnectionError, FileNotFoundError):
                self._free(key, name)
            except OSError as error:
                log.warning("cannot pass a connection to the process that holds its session: %s", error.strerror)
                raise HTTPError(503, "cannot pass the request to the process that holds the session") from None
        return False

    def _free(self, key: str, name: str) -> None:
        """Remove the link to a process that has ended, unless another process has claimed the session."""
        link = self._link(key)
        try:
            with self._hold_lock(), suppress(FileNotFoundError):
                if os.readlink(link) == name:
                    os.unlink(link)
        except OSError as error:
            log.warning("cannot remove an ended session from %s: %s", self.path, error.strerror)
            raise HTTPError(503, "cannot look up the session") from None

    def _link(self, key: str) -> str:
        # Clients choose the keys, which may be long and contain any character except slash and dot.
        return f"{self._links}/{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
