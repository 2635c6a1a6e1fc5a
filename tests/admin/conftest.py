"""Fixtures for the admin endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin_client import OPTIONS
from tests.app.conftest import start_node
from tests.credentials import TOKEN_KEY
from tests.greenlets import nothing_left_behind
from tests.servers import Server, running

__all__ = ["nothing_left_behind", "start_node"]

RICH = {"name": "rich", "watch": True, "presence": True, "history_size": 10, "history_lifetime": 60}

RECOVERING = {"name": "recovering", "recover": True, "history_size": 10, "history_lifetime": 60}
RECOVERING |= {"allow_subscribe_for_client": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a file, with all features for operators enabled."""
    directory: Path = tmp_path_factory.mktemp("server")
    options = {
        **OPTIONS,
        "web": True,
        "prometheus": True,
        "debug": True,
        "health": True,
        "namespaces": [RICH, RECOVERING],
    }
    options["token_hmac_secret_key"] = TOKEN_KEY
    with running(options, directory) as server:
        yield server
