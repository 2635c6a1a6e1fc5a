"""The fixture that every test of an engine uses."""

from tests.greenlets import nothing_left_behind

__all__ = ["nothing_left_behind"]
