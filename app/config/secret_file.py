"""Writes files atomically, readable only by the current user."""

from __future__ import annotations

import os
from pathlib import Path


def write_secret(path: Path, data: bytes) -> None:
    """Create or replace a file atomically. Raises OSError, and then the old file is unchanged."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)  # an old file would keep its permissions
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
