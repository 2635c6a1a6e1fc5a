"""The settings of an application are passed between processes unchanged."""

from __future__ import annotations

import os
import sys

import pytest

from gentrifugo.app.config.loading import from_mapping
from gentrifugo.app.process.site_settings import (
    SETTINGS_VARIABLE,
    SiteSettings,
    answer,
    is_settings_process,
    request_settings,
)

CONFIG = from_mapping({"secret": "s", "port": 0, "history_lifetime": 1.5, "namespaces": [{"name": "chat"}]}).config
SETTINGS = SiteSettings(CONFIG, ["careful"], "that of a test", ["api", "client"])
PROGRAM = """
import os
from tests.app.process.test_site_settings import SETTINGS
from gentrifugo.app.process.site_settings import answer, is_settings_process
assert is_settings_process(os.environ)
answer(SETTINGS, os.environ)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_settings_are_read_from_the_process() -> None:
    settings = request_settings(python(PROGRAM))
    assert settings == SETTINGS
    assert isinstance(settings, SiteSettings)
    assert (settings.loaded.config, settings.loaded.warnings) == (CONFIG, ["careful"])


def test_status_of_a_failed_process_is_returned() -> None:
    assert request_settings(python("raise SystemExit(3)")) == 3


def test_process_that_fails_after_its_answer_counts_as_failed() -> None:
    assert request_settings(python(f"{PROGRAM}\nraise SystemExit(3)")) == 3


def test_child_processes_do_not_report_settings() -> None:
    assert not is_settings_process({})
    assert not is_settings_process({SETTINGS_VARIABLE: f"{os.getpid()}:5"})
    assert is_settings_process({SETTINGS_VARIABLE: f"{os.getppid()}:5"})


def test_answer_is_written_to_the_descriptor() -> None:
    read, write = os.pipe()
    answer(SETTINGS, {SETTINGS_VARIABLE: f"{os.getppid()}:{write}"})
    with open(read, "rb") as pipe:
        assert b'"secret":"s"' in pipe.read()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(write)
