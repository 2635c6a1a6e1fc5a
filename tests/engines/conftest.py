"""The check that every test of an engine makes."""

from tests.greenlets import nothing_left_behind

__all__ = ["nothing_left_behind"]
