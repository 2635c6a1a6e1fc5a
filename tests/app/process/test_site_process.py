"""The flag `--app`: checks before the code of an application runs."""

from __future__ import annotations

import pytest

from gentrifugo.app.config import command_line
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError, options_of
from gentrifugo.app.process.site_process import OPTIONS_KEPT, keep_configuration, serve_site, settings_of_site


def test_a_command_line_that_is_wrong_is_refused_before_the_application_is_loaded() -> None:
    given = command_line.read(options_of(Config), ["--app=nowhere", "--prot=1"], {})
    with pytest.raises(ConfigError, match="--prot: unknown flag; did you mean --port"):
        serve_site(given, "nowhere", ["--app=nowhere", "--prot=1"])


def test_a_command_line_that_is_wrong_is_refused_before_an_application_is_checked() -> None:
    given = command_line.read(options_of(Config), ["--app=nowhere", "--prot=1"], {})
    with pytest.raises(ConfigError, match="--prot: unknown flag"):
        settings_of_site(given)


def test_the_options_of_an_application_stay_on_hup() -> None:
    config = Config(secret="s")
    loaded = keep_configuration(config)
    assert loaded.config is config
    assert loaded.warnings == [OPTIONS_KEPT]
