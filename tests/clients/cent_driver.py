"""Runs one of the two tested versions of cent with calls of a test: cent_driver.py URL SECRET, with cent on PYTHONPATH.

Reads calls from standard input, one JSON object a line: `{"method": "publish", "args": [...], "kwargs": {...}}`, or
`{"send": [[method, params], ...]}` for `add` and `send`. Writes `{"error": ..., "result": ...}` for each. cent 1
returns errors where cent 2 raises them; this driver returns both in the same form.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

core = import_module("cent.core")  # the cent of the tests' own environment, which mypy sees, has no such module

RETURN_A_PAIR = ("presence", "history", "channels", "stats", "send")
"""What returns a result and an error in cent 1; the other methods return an error alone."""


def run(client: Any, call: dict[str, Any]) -> tuple[Any, Any]:
    """Return the result and the error of one call."""
    if "send" in call:
        method = "send"
        for name, params in call["send"]:
            client.add(name, params)
        outcome = client.send()
    else:
        method = call["method"]
        outcome = getattr(client, method)(*call.get("args", []), **call.get("kwargs", {}))
    if hasattr(core, "RequestException"):
        return outcome, None
    return outcome if method in RETURN_A_PAIR else (None, outcome)


def main() -> None:
    client = core.Client(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        try:
            result, error = run(client, json.loads(line))
        except core.CentException as raised:
            result, error = None, raised
        print(json.dumps({"result": result, "error": None if error is None else str(error)}), flush=True)


main()
