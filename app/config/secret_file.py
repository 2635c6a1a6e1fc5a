"""Files that only this user may read, and that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_secret(path: Path, data: bytes) -> None:
    """Write or replace a file. Raises OSError, and then the old one is still there."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)  # with the permissions of whoever left it
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
