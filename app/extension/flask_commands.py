"""The subcommands that the extension adds to the `flask` command of an application."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import click
from flask.cli import AppGroup

from .backend import CommandError

Publish: TypeAlias = Callable[[str, Any], None]


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
