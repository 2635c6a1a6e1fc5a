"""The fake engine that connects nodes in one process passes the contract tests, so that tests with it are valid."""

from __future__ import annotations

import pytest

from gentrifugo.engines import occupancy
from tests.engines.contract import EngineContract, JoinedEnginesContract, Lab
from tests.fakes import Bus, BusEngine, FakeClock


class BusLab(Lab):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.bus = Bus(self.clock)

    def make(self) -> BusEngine:
        return self.bus.engine()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(occupancy, "RETRY_INTERVAL", 0.05)


class TestBusEngine(EngineContract):
    @pytest.fixture
    def lab(self) -> Lab:
        return BusLab()


class TestJoinedBusEngines(JoinedEnginesContract):
    @pytest.fixture
    def lab(self) -> Lab:
        return BusLab()
