"""A publisher with invalid options, without Redis, and with unexpected reports of nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gentrifugo import CommandError, Publisher, publisher
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.extension.publisher import _reports
from gentrifugo.app.node import control
from gentrifugo.app.node.control import SurveyReport
from tests.redis_server import free_port


def test_publisher_options_override_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"redis_port": "many"}))
    with pytest.raises(ConfigError, match="redis_port"):
        publisher(file)
    publisher(file, redis_port=str(free_port())).close()


def test_contradicting_options_are_named_in_the_error() -> None:
    with pytest.raises(ConfigError, match="redis_master_name: requires redis_sentinels"):
        Publisher(Config(engine="redis", redis_master_name="main"))


def test_every_command_fails_while_redis_is_unavailable() -> None:
    outside = publisher(redis_port=str(free_port()), redis_connect_timeout=0.1)
    for command in (lambda: outside.disconnect("ann"), outside.stats, outside.channels):
        with pytest.raises(CommandError, match="internal server error"):
            command()
    outside.close()


def test_stats_ignore_reports_of_other_surveys() -> None:
    report = SurveyReport("question")
    messages = [b"garbage", control.encode("node", SurveyReport("another")), control.encode("node", report)]
    assert _reports(messages, "question") == [report]
