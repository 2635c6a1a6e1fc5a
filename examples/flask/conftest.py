"""Fixtures for the tests of the examples. Run these in this directory: `pytest`."""

pytest_plugins = ["gentrifugo.testing"]
