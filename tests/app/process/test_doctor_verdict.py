"""The last line of the doctor's report."""

from __future__ import annotations

import pytest

from gentrifugo.app.process.doctor import invalid_configuration_line, summary_line


@pytest.mark.parametrize(
    ("problems", "warnings", "says"),
    [
        (0, 0, "doctor: no problems found"),
        (1, 0, "doctor: 1 problem found"),
        (2, 0, "doctor: 2 problems found"),
        (0, 1, "doctor: no problems, 1 warning"),
        (2, 3, "doctor: 2 problems, 3 warnings"),
    ],
)
def test_the_summary_counts_problems_and_warnings(problems: int, warnings: int, says: str) -> None:
    assert summary_line(problems, warnings) == says


def test_summary_of_an_invalid_configuration_says_how_to_continue() -> None:
    assert invalid_configuration_line(1, 2) == (
        "doctor: 1 problem, 2 warnings; correct the configuration and run the doctor again, "
        "which then checks machine and Redis too"
    )
