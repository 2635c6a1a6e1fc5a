"""A publisher with invalid options, without Redis, and with unexpected reports of nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gentrifugo import CommandError, Publisher, publisher
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.extension.publisher import _nodes
from gentrifugo.app.node import control
from gentrifugo.app.node.control import SurveyReport
from gentrifugo.app.node.questions import CountersAnswer, NodeReport, SubscribersAnswer
from tests.redis_server import free_port


def test_publisher_options_override_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"redis_port": "many"}))
    with pytest.raises(ConfigError, match="redis_port"):
        publisher(file)
    publisher(file, redis_port=str(free_port())).close()


def test_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nofile\.json: not found"):
        publisher(tmp_path / "nofile.json")


def test_a_url_in_place_of_a_file_is_an_error_that_does_not_show_its_password() -> None:
    with pytest.raises(ConfigError, match=r"not a URL; use redis_url=…") as error:
        publisher("redis://:hidden@127.0.0.1:6379/0")
    assert "hidden" not in str(error.value)


def test_options_of_another_type_are_an_error() -> None:
    with pytest.raises(TypeError, match="config: expected options by name, or the path"):
        publisher(6379)  # type: ignore[arg-type]


def test_unknown_options_are_logged_with_the_nearest_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"namespac": [], "port": 8000}))
    publisher({"namespac": 1}, redis_prt=1).close()
    publisher(namespace=[{"name": "chat"}]).close()
    publisher(file, redis_prt=1).close()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "the options of publisher(...): unknown option namespac; did you mean namespaces?",
        "the options of publisher(...): unknown option redis_prt; did you mean redis_port?",
        "the options of publisher(...): unknown option namespace; did you mean namespaces?",
        f"{file}: unknown option namespac; did you mean namespaces?",
        "the options of publisher(...): unknown option redis_prt; did you mean redis_port?",
    ]


def test_known_options_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"token_hmac_secret_key": "k", "api_key": "k", "namespaces": [{"name": "chat"}]}))
    publisher(file, redis_port=free_port()).close()
    assert caplog.records == []


def test_contradicting_options_are_named_in_the_error() -> None:
    with pytest.raises(ConfigError, match="redis_master_name: requires redis_sentinels"):
        Publisher(Config(engine="redis", redis_master_name="main"))


def test_every_command_fails_while_redis_is_unavailable() -> None:
    outside = publisher(redis_port=str(free_port()), redis_connect_timeout=0.1)
    for command in (lambda: outside.disconnect("ann"), outside.stats, outside.channels):
        with pytest.raises(CommandError, match="internal server error"):
            command()
    outside.close()


def test_errors_name_the_channel_and_the_reason_while_redis_is_unavailable() -> None:
    port = free_port()
    outside = publisher(redis_port=str(port), redis_connect_timeout=0.1)
    reason = rf"^internal server error: channel 'news': .*127\.0\.0\.1:{port}.*"
    with pytest.raises(CommandError, match=reason) as error:
        outside.publish("news", 1)
    assert error.value.text == "internal server error"
    with pytest.raises(CommandError, match=reason):
        outside.broadcast(["news"], 1)
    with pytest.raises(CommandError, match=rf"^internal server error: .*127\.0\.0\.1:{port}"):
        outside.disconnect("ann")
    outside.close()


def test_stats_ignore_reports_of_other_surveys() -> None:
    first, second = (NodeReport(uid, "node", 1_000, {}) for uid in ("first", "second"))
    reports = [
        SurveyReport("another", CountersAnswer(first)),
        SurveyReport("question", SubscribersAnswer({})),
        SurveyReport("question", CountersAnswer(second)),
    ]
    messages = [b"garbage", *(control.encode("node", report) for report in reports)]
    assert list(_nodes(messages, "question")) == [second]
