"""The extension in the `flask` command of an application: its subcommands, and how the command shows its errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import click
from flask.cli import AppGroup

from ..config.options import ConfigError
from .backend import CommandError

Publish: TypeAlias = Callable[[str, Any], None]


class ConfigErrorInCommand(ConfigError, click.ClickException):
    """A ConfigError that the `flask` command prints without a traceback, each sentence in its own line."""

    def format_message(self) -> str:
        """Return the text that the command prints after `Error: `."""
        return "\n".join([*self.problems, *(f"warning: {sentence}" for sentence in self.warnings)])


@contextmanager
def readable_config_errors() -> Iterator[None]:
    """Raise each ConfigError in the form that the `flask` command can show, if that command runs this code."""
    try:
        yield
    except ConfigError as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise ConfigErrorInCommand(error.problems, error.warnings) from None


def group(publish_outside: Publish) -> AppGroup:
    """Return the group `flask realtime`.

    `publish_outside` must not start a node in this process, which ends immediately.
    """
    commands = AppGroup("realtime", help="Publish to the clients of the server.")

    @commands.command("publish")
    @click.argument("channel")
    @click.argument("data")
    def publish(channel: str, data: str) -> None:
        """Publish DATA, which is JSON, into CHANNEL. Requires the Redis engine: the server is another process."""
        try:
            publish_outside(channel, json.loads(data))
        except json.JSONDecodeError as error:
            quoted = json.dumps(data)
            raise click.BadParameter(f"{error}; strings need quotes in JSON: {quoted!r}", param_hint="DATA") from None
        except (CommandError, RuntimeError, ValueError) as error:
            raise click.ClickException(str(error)) from None

    return commands
