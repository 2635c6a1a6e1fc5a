"""Runs tests with and without the C module for sending."""

from __future__ import annotations

import pytest

from gentrifugo.app.net.bulk_send import SPEEDUPS_SWITCH
from tests.parts import compiled_send_waiting


@pytest.fixture(params=["with the C module", "without it"])
def speedups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the test with the C module for sending, and once more without it. Returns whether it is used."""
    is_used: bool = request.param == "with the C module"
    if is_used:
        compiled_send_waiting()
        monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    else:
        monkeypatch.setenv(SPEEDUPS_SWITCH, "0")
    return is_used
