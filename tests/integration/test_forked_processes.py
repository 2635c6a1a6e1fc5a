"""Calls in a child process of a server, which has a copy of the node that no client can reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.redis_server import redis_server
from tests.waiting import seconds

FORK = """
from gevent import monkey
monkey.patch_all()
import json, os, sys
from flask import Flask
from gentrifugo import Gentrifugo

app = Flask(__name__)
app.config["SECRET_KEY"] = "a key of some length for sessions, at least 32"
app.config.update(json.loads(sys.argv[1]))
realtime = Gentrifugo(app)
realtime.publish("chat:1", "parent")
child = os.fork()
if not child:
    try:
        realtime.publish("chat:1", "child")
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print([message.data for message in realtime.history("chat:1")])
"""
CHAT = {"name": "chat", "history_size": 10, "history_lifetime": 60}


def forking(**options: Any) -> list[str]:
    """Return the lines that a program prints whose child process publishes, too."""
    arguments = ["-P", "-c", FORK, json.dumps({"GENTRIFUGO_NAMESPACES": [CHAT], **options})]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=seconds(30), check=True)
    return done.stdout.splitlines()


def test_a_call_in_a_child_process_is_an_error_with_the_memory_engine() -> None:
    error, messages = forking()
    assert error.startswith("the memory engine cannot reach a server in another process: use the HTTP API; ")
    assert messages == "['parent']"


def test_a_call_in_a_child_process_goes_through_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        options = {f"GENTRIFUGO_{name.upper()}": value for name, value in redis.options.items()}
        assert forking(**options) == ["['child', 'parent']"]
