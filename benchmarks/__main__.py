"""`python -m benchmarks`, from the root of the repository."""

from __future__ import annotations

import sys

from benchmarks.cli import main
from benchmarks.started_process import stop_on_sigterm

if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
