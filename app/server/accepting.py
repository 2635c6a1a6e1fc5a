"""Accepting connections when the process or the machine may not open further files."""

from __future__ import annotations

import errno
import logging
import resource
from typing import Any

from gevent.pywsgi import WSGIServer

from ..runtime.limits import OPEN_FILES_REMEDY
from ..runtime.log_throttle import ThrottledLog

log = logging.getLogger(__name__)

FULL_PAUSE = 0.1
"""Seconds without accepting after an attempt that failed for lack of a descriptor."""
LIMITS = 'see "Limits" in docs/deployment.md'
_SHORTAGES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_full = ThrottledLog(log)


class AcceptingServer(WSGIServer):
    """A WSGIServer that logs in one line that it cannot accept, where gevent prints a traceback for each attempt.

    The connections wait in the kernel meanwhile, and are accepted as soon as others have ended.
    """

    def do_read(self) -> Any:
        """Accept a connection; returns its socket and address, None if there is none now. Raises OSError."""
        try:
            return super().do_read()
        except OSError as error:
            if error.errno not in _SHORTAGES:
                raise
            _full.log(str(error.errno), "cannot accept connections, new clients wait: %s", _reason(error))
            self._pause()
            return None

    def _pause(self) -> None:
        self.stop_accepting()
        self._timer = self.loop.timer(FULL_PAUSE)
        self._timer.start(self._start_accepting_if_started)  # type: ignore[attr-defined, call-arg]  # as gevent does


def _reason(error: OSError) -> str:
    """Return what is used up, and how to get more of it."""
    if error.errno == errno.EMFILE:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"the limit of {limit:,} open files is reached; {OPEN_FILES_REMEDY}; {LIMITS}"
    if error.errno == errno.ENFILE:
        return f"the limit of open files of this machine is reached; raise fs.file-max; {LIMITS}"
    return f"{error.strerror}; {LIMITS}"
