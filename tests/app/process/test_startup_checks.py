"""Checks before a server starts."""

from __future__ import annotations

import importlib.util

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.process.startup_checks import tls_problems


def test_packages_that_obtain_certificates_are_named_when_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert list(tls_problems(Config(secret="s", ssl_autocert=True))) == [
        "ssl_autocert: acme is not installed: pip install '/path/to/the/clone[autocert]'",
        "ssl_autocert: cryptography is not installed: pip install '/path/to/the/clone[autocert]'",
    ]
    assert list(tls_problems(Config(secret="s"))) == []
