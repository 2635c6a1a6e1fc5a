"""Messages of the command on standard error."""

from __future__ import annotations

import sys

from ..config.options import ConfigError


def print_error(sentence: str) -> None:
    """Print one sentence to standard error, after the name of the program."""
    print(f"gentrifugo: {sentence}", file=sys.stderr)


def report(error: ConfigError) -> None:
    """Print the warnings and problems of a configuration to standard error, one line each."""
    for sentence in error.warnings:
        print_error(f"warning: {sentence}")
    for sentence in error.problems:
        print_error(sentence)
