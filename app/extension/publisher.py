"""Commands for programs that are no part of a server: workers of a queue, cron jobs, shells (docs/flask.md)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..._version import __version__
from ...engines.base import EngineError
from ...engines.redis.blocking import OutsideEngine
from ..config import command_line
from ..config.config import Config, settle
from ..config.config_file import Document
from ..config.options import ConfigError, options_of
from ..config.redis_options import redis_settings
from ..model.errors import INTERNAL_ERROR
from ..model.json_codec import InvalidJSON
from ..node import control
from ..node.node import Node
from .backend import Backend, CommandError

STATS_LIMIT = 1.0
"""Seconds that nodes may take to answer."""


class Publisher(Backend):
    """Carries out commands through Redis, without being a node. Threads may share one; `close` it at the end."""

    def __init__(self, config: Config) -> None:
        settings, problems = redis_settings(config)
        if settings is None:
            raise ConfigError(problems)
        self._engine = OutsideEngine(settings)
        super().__init__(Node(config, self._engine, __version__))  # it knows the channels' options; it is never started

    def stats(self) -> dict[str, Any]:
        """What all nodes tell of themselves, with counters since their starts. Takes a second."""
        question = control.Question(str(uuid.uuid4()), info=True)
        try:
            said = list(self._engine.answers(control.encode(str(uuid.uuid4()), question), STATS_LIMIT))
        except EngineError as error:
            raise CommandError(INTERNAL_ERROR.text) from error
        nodes = [answer.info for answer in _answers(said, question.id) if answer.info is not None]
        return {"nodes": msgspec.to_builtins(nodes), "metrics_interval": 0}

    def close(self) -> None:
        """Close the connections. A later command opens new ones."""
        self._engine.stop()


def publisher(config: Mapping[str, Any] | str | Path | None = None, **options: Any) -> Publisher:
    """A publisher with the options of a mapping or a configuration file, and with these `options`, which beat them.

    Channels must have the options that they have on the nodes: these say what is kept. Raises ConfigError.
    """
    if isinstance(config, (str, Path)):
        given = command_line.read(options_of(Config), [f"--config={config}"], {})
        given.application = dict(options)
    else:
        given = command_line.Given(Document("the options of publisher(...)", {**(config or {}), **options}))
    given.application |= {"engine": "redis", "insecure": True}  # it checks no tokens, so it needs no secret
    return Publisher(settle(given).config)


def _answers(said: list[bytes], question: str) -> list[control.Answer]:
    answers = []
    for message in said:
        try:
            told = control.decode(message).message
        except InvalidJSON:
            continue
        if isinstance(told, control.Answer) and told.id == question:
            answers.append(told)
    return answers
