"""The processes of one machine that serve the same clients, and which of them holds which session.

They meet in a directory that is theirs alone: a socket for each process, and a symbolic link for each session,
which names the process that holds it. To make or read a link takes microseconds, asks nobody, and works while
everything else is away. What a process leaves behind that was killed is cleared by those that come after it.
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

from ..http.head import HTTPError
from . import fd_passing

log = logging.getLogger(__name__)

LOCK_TIMEOUT = 3.0
"""Seconds to wait for another process that is about to clear up, which takes milliseconds."""
LOCK_CHECK = 0.002
"""Seconds between two tries."""

SESSIONS = "sessions"
"""The directory of the links, below that of the sockets."""


class Siblings:
    """The processes of this machine and user that belong to one `group`. `join` them after a fork; `leave` once.

    They meet below `parent`, by default where temporary files are.
    """

    def __init__(self, group: str, parent: Path | None = None) -> None:
        self._group = blake2b(group.encode(), digest_size=8).hexdigest()
        self._parent = parent
        self._name = ""
        self._links = ""
        self._kept: int | None = None
        self._held: set[str] = set()

    @property
    def directory(self) -> Path:
        """Where they meet. The user is part of its name: gunicorn may change it after the application was made."""
        return (self._parent or Path(gettempdir())) / f"gentrifugo-{os.geteuid()}-{self._group}"

    # -- life

    def join(self) -> Any:
        """A listening socket for what siblings give to this process. Raises OSError."""
        self._name = uuid.uuid4().hex[:12]
        directory = self.directory
        with self._locked():
            self._clear()
            (directory / SESSIONS).mkdir(exist_ok=True)
            listener = fd_passing.listen(str(directory / self._name))
            self._links = str(directory / SESSIONS)
            self._keep()
            return listener

    def _keep(self) -> None:
        """Have the directory spared when the system clears away old files: systemd leaves alone what is locked."""
        self._kept = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.flock(self._kept, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def leave(self) -> None:
        """Hold nothing any more; the last one takes the directory along."""
        try:
            for key in list(self._held):
                self.release(key)
            with self._locked():
                (self.directory / self._name).unlink(missing_ok=True)
                self._clear()
                if not self._sockets():
                    shutil.rmtree(self.directory, ignore_errors=True)
        except OSError as error:
            log.warning("%s: %s", self.directory, error.strerror)
        kept, self._kept = self._kept, None
        if kept is not None:
            os.close(kept)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among the siblings. A link or socket of a dead process is removed only so. Raises OSError."""
        deadline = time.monotonic() + LOCK_TIMEOUT
        while (lock := self._lock()) is None:
            if time.monotonic() > deadline:
                raise OSError(EBUSY, "another process keeps it locked")
            gevent.sleep(LOCK_CHECK)
        try:
            yield
        finally:
            os.close(lock)

    def _lock(self) -> int | None:
        """The lock, open; None when a sibling has it now, or the last one has taken it along meanwhile."""
        self._make_directory()
        try:
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        # Not waited for here: a sibling that is frozen would freeze this process too.
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return lock
        os.close(lock)
        return None

    def _make_directory(self) -> None:
        with suppress(FileExistsError):
            self.directory.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            found = self.directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise OSError(EPERM, "not a directory that belongs to this user alone")

    def _clear(self) -> None:
        """Remove what the dead have left."""
        for path in self._sockets():
            if not fd_passing.is_served(str(path)):
                path.unlink(missing_ok=True)
        alive = {path.name for path in self._sockets()}
        sessions = self.directory / SESSIONS
        for link in sessions.iterdir() if sessions.exists() else ():
            with suppress(FileNotFoundError):  # its session has ended this moment
                if os.readlink(link) not in alive:
                    link.unlink()

    def _sockets(self) -> list[Path]:
        return [path for path in self.directory.iterdir() if path.is_socket()]

    # -- sessions

    def claim(self, key: str) -> bool:
        """Hold a session from now on; False when another process holds it."""
        link = self._link(key)
        while True:
            try:
                os.symlink(self._name, link)
            except FileExistsError:
                with suppress(FileNotFoundError):  # released in between: once more
                    return os.readlink(link) == self._name
            except OSError as error:
                log.warning("%s: a session is known to this process alone: %s", self.directory, error.strerror)
                return True
            else:
                self._held.add(key)
                return True

    def release(self, key: str) -> None:
        """The session is over."""
        if key in self._held:
            self._held.remove(key)
            with suppress(FileNotFoundError):
                os.unlink(self._link(key))

    def holder(self, key: str) -> str | None:
        """The other process that holds a session; None when there is none."""
        try:
            name = os.readlink(self._link(key))
        except OSError:
            return None
        return None if name == self._name else name

    def give(self, key: str, connection: Any, request: bytes) -> bool:
        """Give a connection to the process that holds a session, with what was read of the request.

        False when there is no such process, or no longer; the session is free then. Raises HTTPError when the
        process is there but cannot take it.
        """
        while (name := self.holder(key)) is not None:
            try:
                fd_passing.give(str(self.directory / name), connection, request)
                return True
            except (ConnectionError, FileNotFoundError):
                self._free(key, name)
            except OSError as error:
                log.warning("a connection could not be given to another process: %s", error.strerror)
                raise HTTPError(503, "the process that holds the session cannot take this request now") from None
        return False

    def _free(self, key: str, name: str) -> None:
        """Remove the link to a process that is gone, unless somebody else holds the session by now."""
        link = self._link(key)
        try:
            with self._locked(), suppress(FileNotFoundError):
                if os.readlink(link) == name:
                    os.unlink(link)
        except OSError as error:
            log.warning("%s: %s", self.directory, error.strerror)
            raise HTTPError(503, "the session cannot be found now") from None

    def _link(self, key: str) -> str:
        # Keys are chosen by clients: as long as they like, and with any characters but slash and dot.
        return f"{self._links}/{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
