"""The numbers of a load."""

from __future__ import annotations

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.load import MAX_CHANNELS, Load
from benchmarks.message import MAX_SIZE, MIN_SIZE


def test_channel_names_have_one_length() -> None:
    names = Load(channels=MAX_CHANNELS, namespace="quiet:").channel_names
    assert len({len(name) for name in names}) == 1
    assert len(set(names)) == MAX_CHANNELS
    assert names[0].startswith("quiet:")


def test_given_numbers_replace_defaults() -> None:
    load = Load(connections=10, batch=5).with_given({"batch": 7})
    assert (load.connections, load.batch) == (10, 7)


@pytest.mark.parametrize(
    "given", [{"size": MIN_SIZE - 1}, {"size": MAX_SIZE + 1}, {"channels": MAX_CHANNELS + 1}], ids=str
)
def test_numbers_out_of_range_are_named(given: dict[str, int]) -> None:
    ((name, value),) = given.items()
    with pytest.raises(BenchmarkError, match=f"--{name}: {value} "):
        Load().with_given(given)
