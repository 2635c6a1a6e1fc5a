"""Commands for programs that are not part of a server: workers of a task queue, cron jobs, shells (docs/flask.md)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ...engines.base import EngineError
from ...engines.redis.blocking import BlockingRedis
from ..config import command_line
from ..config.config import Config
from ..config.config_file import Document
from ..config.loading import load_given
from ..config.options import ConfigError, options_of
from ..config.redis_options import redis_settings
from ..model.json_codec import InvalidJSON
from ..node import control
from ..node.commands import Commands
from ..node.control import ControlMessage, SurveyReport, SurveyRequest
from ..node.engine_failures import EngineFailures
from ..node.metrics import Counters
from .backend import Backend

REPORTS_TIMEOUT = 1.0
"""Seconds that nodes have to reply."""


class RedisCommands(Commands):
    """The commands of a program that is not a node, which are sent through `redis`."""

    def __init__(self, config: Config, redis: BlockingRedis) -> None:
        # It publishes with its own uid like a node, so that nodes do not ignore its messages as their own.
        self._uid = str(uuid.uuid4())
        self._redis = redis
        super().__init__(config, redis, Counters(), EngineFailures(), self._publish_control)

    def stats(self) -> dict[str, object]:
        """Return the reports of all nodes, with counters since their starts. Takes REPORTS_TIMEOUT.

        Raises Refused with INTERNAL_ERROR if Redis fails.
        """
        request = SurveyRequest(str(uuid.uuid4()), info=True)
        try:
            messages = list(self._redis.control_messages_after(control.encode(self._uid, request), REPORTS_TIMEOUT))
        except EngineError as error:
            raise self._failures.refusal("request reports from all nodes", error) from error
        reports = _reports(messages, request.id)
        return {"nodes": [report.info for report in reports if report.info is not None], "metrics_interval": 0}

    def _publish_control(self, message: ControlMessage) -> None:
        try:
            self._redis.publish_control(control.encode(self._uid, message))
        except EngineError as error:
            raise self._failures.refusal("publish a control message", error) from error


class Publisher(Backend):
    """Carries out commands through Redis, without being a node. Threads may share one; `close` it at the end."""

    def __init__(self, config: Config) -> None:
        settings, problems = redis_settings(config)
        if settings is None:
            raise ConfigError(problems)
        self._redis = BlockingRedis(settings)
        self.commands = RedisCommands(config, self._redis)

    def _open_commands(self) -> AbstractContextManager[Commands]:
        return nullcontext(self.commands)

    def close(self) -> None:
        """Close the connections. A later command opens new ones."""
        self._redis.close()


def publisher(config: Mapping[str, Any] | str | Path | None = None, **options: Any) -> Publisher:
    """Return a publisher with the options of a mapping or a configuration file; `options` take precedence over them.

    Channels must have the same options as on the nodes, because the options determine histories. Raises ConfigError.
    """
    if isinstance(config, (str, Path)):
        given = command_line.read(options_of(Config), [f"--config={config}"], {})
        given.application = dict(options)
    else:
        given = command_line.GivenOptions(Document("the options of publisher(...)", {**(config or {}), **options}))
    given.application |= {"engine": "redis", "insecure": True}  # it checks no tokens, so it needs no secret
    return Publisher(load_given(given).config)


def _reports(messages: Iterable[bytes], request: str) -> list[SurveyReport]:
    """Return the reports for a request among the control messages of nodes."""
    reports = []
    for data in messages:
        try:
            message = control.decode(data).message
        except InvalidJSON:
            continue
        if isinstance(message, SurveyReport) and message.id == request:
            reports.append(message)
    return reports
