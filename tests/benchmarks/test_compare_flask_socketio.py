"""The comparison with Flask-SocketIO: a short run of the whole benchmark, with both sites."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.parts import ROOT
from tests.waiting import seconds


def test_both_sites_are_measured_without_lost_messages() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.compare_flask_socketio",
        "--connections=20",
        "--count=20",
        "--rate=20",
        "--rounds=1",
        "--max-others=1000",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds(50))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("20 subscribers: this server beside Flask-SocketIO\n")
    assert "PROBLEM" not in done.stdout
    for name in ("memory of a connection", "delivered, as fast as it goes", "server CPU per delivery"):
        assert re.search(rf"{name}.* \d[\d,.]* +\d[\d,.]* +[\d,.]+", done.stdout), done.stdout
