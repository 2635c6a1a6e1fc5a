"""The number of a worker, with masters of this and earlier releases."""

from __future__ import annotations

import os

from gentrifugo.app.process.supervised import MASTER_VARIABLE, NUMBER_VARIABLE, number_of_worker


def test_a_worker_has_the_number_that_its_master_gives() -> None:
    assert number_of_worker({MASTER_VARIABLE: str(os.getppid()), NUMBER_VARIABLE: "2"}) == 2
    assert number_of_worker({NUMBER_VARIABLE: "2"}) == 0


def test_a_worker_of_an_earlier_master_has_its_process_id_as_number() -> None:
    assert number_of_worker({MASTER_VARIABLE: str(os.getppid())}) == os.getpid()
