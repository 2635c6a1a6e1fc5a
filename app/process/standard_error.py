"""What the command says on standard error."""

from __future__ import annotations

import sys

from ..config.options import ConfigError


def print_error(sentence: str) -> None:
    """Print one sentence."""
    print(f"gentrifugo: {sentence}", file=sys.stderr)


def report(error: ConfigError) -> None:
    """Print everything that is wrong with a configuration, after its warnings."""
    for sentence in error.warnings:
        print_error(f"warning: {sentence}")
    for sentence in error.problems:
        print_error(sentence)
