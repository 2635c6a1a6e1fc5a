"""Writes lines to a file, a pipe, a terminal or a socket, and never waits for any of them.

Standard output may be a pipe whose reader is busy or has ended. A usual write would then block the process until the
pipe is read. This writer drops a line that cannot be written at once.
"""

from __future__ import annotations

import fcntl
import os
import stat
from _socket import socket as Socket  # not gevent's, which would change the mode of a socket that others share
from array import array
from socket import MSG_DONTWAIT
from termios import FIONREAD

PIPE_STEP = 4096
"""Bytes written at once to a pipe whose mode cannot be changed: the kernel writes all of them or none."""
DEFAULT_PIPE_SIZE = 65536
GET_PIPE_SIZE = 1032
"""F_GETPIPE_SZ of Linux."""


class LineWriter:
    """Writes to a copy of `descriptor`, whose own mode is not changed, because other processes may share it."""

    def __init__(self, descriptor: int) -> None:
        self.failure = ""
        """The reason why the last write failed; empty if it succeeded, or if there was only no reader."""
        self._rest = b""
        """The rest of a line that has been partly written."""
        mode = os.fstat(descriptor).st_mode
        self._socket = Socket(fileno=os.dup(descriptor)) if stat.S_ISSOCK(mode) else None
        self._must_ask = False
        """Whether a write could block, so that free space in the pipe must be checked before."""
        if self._socket is not None:
            self._descriptor = self._socket.fileno()
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            self._descriptor = self._open_anew(descriptor, stat.S_ISFIFO(mode))
        else:
            self._descriptor = os.dup(descriptor)

    def _open_anew(self, descriptor: int, is_pipe: bool) -> int:
        """Open the pipe or terminal of a descriptor once more, for non-blocking writes."""
        try:
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # another user's, as in many containers
            self._must_ask = is_pipe
            return os.dup(descriptor)

    def write(self, line: bytes) -> bool:
        """Write a line, with its line end. Returns False if it was dropped as a whole."""
        self._rest = self._rest[self._send(self._rest) :]
        if self._rest:
            return False
        sent = self._send(line)
        self._rest = line[sent:] if sent else b""
        return bool(sent)

    def close(self) -> None:
        """Close the copy of the descriptor. A second call does nothing."""
        if self._descriptor >= 0:
            if self._socket is not None:
                self._socket.close()
            else:
                os.close(self._descriptor)
            self._descriptor = -1

    def _send(self, data: bytes) -> int:
        """Write without blocking; returns the number of bytes written."""
        sent = 0
        try:
            while sent < len(data) and (step := self._send_some(data[sent:])):
                sent += step
        except BlockingIOError:
            self.failure = ""
        except OSError as error:
            self.failure = error.strerror or type(error).__name__
        return sent

    def _send_some(self, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, MSG_DONTWAIT)
        if not self._must_ask:
            return os.write(self._descriptor, data)
        return os.write(self._descriptor, data[:PIPE_STEP]) if self._has_room() else 0

    def _has_room(self) -> bool:
        """Return whether the pipe takes PIPE_STEP bytes now: each page is at least half full when the next is begun."""
        try:
            size = fcntl.fcntl(self._descriptor, GET_PIPE_SIZE)
        except OSError:
            size = DEFAULT_PIPE_SIZE
        unread = array("i", [0])
        fcntl.ioctl(self._descriptor, FIONREAD, unread)
        return unread[0] <= size // 2 - 2 * PIPE_STEP
