"""System limits of a process: checks whether they are sufficient, and raises the limit of open files."""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections that the kernel holds until the server accepts them; net.core.somaxconn limits this number."""
RECOMMENDED_OPEN_FILES = 65536
"""Limit of open files that is high enough: the CPU is the limit for the number of connections then."""
OPEN_FILES_REMEDY = (
    f"only root can raise it: LimitNOFILE={RECOMMENDED_OPEN_FILES} in the systemd unit, nofile in "
    f"/etc/security/limits.conf before a new login, or --ulimit nofile={RECOMMENDED_OPEN_FILES} of Docker"
)
"""How to raise the hard limit, which other users can only lower."""
RESERVED_FILES = 64
"""A generous estimate of the open files and sockets that are not connections of clients."""
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


@dataclass(frozen=True)
class Limit:
    """One limit: whether it is sufficient, what it means, and how to raise it."""

    is_enough: bool
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


def all_limits() -> list[Limit]:
    """Return the limits that a process can read on this system."""
    return [limit for limit in (open_files(), backlog()) if limit is not None]


def open_files() -> Limit:
    """Return the limit of open files; each connection is one. This is the hard limit, which `raise_open_files` sets."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return Limit(True, "limit of open files: none", "")
    text = f"limit of open files: {hard:,}, enough for about {max(hard - RESERVED_FILES, 0):,} connections"
    is_enough = hard >= RECOMMENDED_OPEN_FILES
    return Limit(is_enough, text, "" if is_enough else OPEN_FILES_REMEDY)


def raise_open_files() -> None:
    """Raise the limit of open files of this process to the hard limit. Logs a warning if that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning(
                "cannot raise the limit of open files, it stays at %d and limits the number of connections: %s",
                soft,
                error,
            )
            return
    log.debug("limit of open files: %d", hard)


def backlog() -> Limit | None:
    """Return the limit of connections that wait to be accepted, for example when many clients reconnect.

    Returns None on systems without net.core.somaxconn.
    """
    try:
        allowed = int(SOMAXCONN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    text = f"net.core.somaxconn: {min(allowed, BACKLOG):,} clients can connect at the same moment"
    remedy = "" if allowed >= BACKLOG else f"raise it as root with sysctl -w net.core.somaxconn={BACKLOG}"
    return Limit(allowed >= BACKLOG, text, remedy)
