"""What the system allows this process, and what that means for a server."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 4096
"""Connections the kernel holds until they are accepted; it caps this by net.core.somaxconn."""
ENOUGH_FILES = 65536
"""Open files that let a server be limited by its CPU rather than by this."""
OWN_FILES = 64
"""Files and sockets that are no clients': a generous guess."""
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


@dataclass(frozen=True)
class Limit:
    """One limit: whether it is enough, what it means, and how to raise it."""

    is_enough: bool
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


def all_limits() -> list[Limit]:
    """Those that can be found out on this system."""
    return [limit for limit in (open_files(), backlog()) if limit is not None]


def open_files() -> Limit:
    """Each connection is an open file. The hard limit counts: the server raises the other one to it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return Limit(True, "open files: no limit", "")
    text = f"open files: {hard:,} allow some {max(hard - OWN_FILES, 0):,} connections"
    remedy = "" if hard >= ENOUGH_FILES else f"raise them with ulimit -Hn {ENOUGH_FILES}, or LimitNOFILE in systemd"
    return Limit(hard >= ENOUGH_FILES, text, remedy)


def backlog() -> Limit | None:
    """Connections that wait to be accepted, when many clients come back at once. None where the system does not say."""
    try:
        allowed = int(SOMAXCONN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    text = f"net.core.somaxconn: {min(allowed, BACKLOG):,} clients can come at the same moment"
    remedy = "" if allowed >= BACKLOG else f"raise it with sysctl -w net.core.somaxconn={BACKLOG}"
    return Limit(allowed >= BACKLOG, text, remedy)
