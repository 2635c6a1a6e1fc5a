"""Commands for programs that are not part of a server: workers of a task queue, cron jobs, shells (docs/flask.md)."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ...engines.base import EngineError
from ...engines.redis.blocking import BlockingRedis
from ..config import command_line, schema
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
from ..node.questions import CountersAnswer, CountersQuestion, NodeReport
from .backend import Backend

log = logging.getLogger(__name__)

PUBLISHER_OPTIONS = "the options of publisher(...)"
"""The name of options that are given as arguments, in errors and warnings."""
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
        request = SurveyRequest(str(uuid.uuid4()), CountersQuestion())
        try:
            messages = list(self._redis.control_messages_after(control.encode(self._uid, request), REPORTS_TIMEOUT))
        except EngineError as error:
            raise self._failures.refusal("request reports from all nodes", error) from error
        return {"nodes": list(_nodes(messages, request.id)), "metrics_interval": 0}

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


def publisher(config: Mapping[str, Any] | str | os.PathLike[str] | None = None, **options: Any) -> Publisher:
    """Return a publisher with the options of a mapping or a configuration file; `options` take precedence over them.

    Channels must have the same options as on the nodes, because the options determine histories. Unknown options are
    logged. Raises ConfigError, also for a file that does not exist, and TypeError for a `config` of another type.
    """
    if isinstance(config, (str, os.PathLike)):
        given = _options_of_file(os.fspath(config))
        given.application = dict(options)
    elif config is None or isinstance(config, Mapping):
        given = command_line.GivenOptions(Document(PUBLISHER_OPTIONS, {**(config or {}), **options}))
    else:
        kind = type(config).__name__
        raise TypeError(f"config: expected options by name, or the path of a configuration file, not {kind}")
    unknown = list(_unknown_options(given))
    given.application |= {"engine": "redis", "insecure": True}  # it checks no tokens, so it needs no secret
    made = Publisher(load_given(given).config)
    for warning in (*unknown, *given.warnings):
        log.warning("%s", warning)
    return made


def _options_of_file(path: str) -> command_line.GivenOptions:
    """Return the options in a configuration file. Raises ConfigError for a file that does not exist."""
    if "://" in path:  # it may contain a password
        raise ConfigError(["publisher(...): expected the path of a configuration file, not a URL; use redis_url=…"])
    given = command_line.read(options_of(Config), [f"--config={path}"], {})
    if given.document.missing:  # only the command works without its file
        raise ConfigError([f"{path}: {given.document.problem}"])
    return given


def _unknown_options(given: command_line.GivenOptions) -> Iterator[str]:
    """Yield a sentence for each name that is not that of an option, and for each duplicate name in a file."""
    document = given.document
    yield from (f"{document.path}: {text}" for text in document.warnings)
    yield from (f"{document.path}: {text}" for text in schema.unknown_options(Config, document.values))
    yield from (f"{PUBLISHER_OPTIONS}: {text}" for text in schema.unknown_options(Config, given.application))


def _nodes(messages: Iterable[bytes], request: str) -> Iterator[NodeReport]:
    """Yield the nodes in the answers to a request, which are among the control messages of nodes."""
    for data in messages:
        try:
            message = control.decode(data).message
        except InvalidJSON:
            continue
        if isinstance(message, SurveyReport) and message.id == request and isinstance(message.answer, CountersAnswer):
            yield message.answer.node
