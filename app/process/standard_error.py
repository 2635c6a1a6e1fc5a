"""What the command says on standard error."""

from __future__ import annotations

import sys

from ..config.options import ConfigError


def complain(sentence: str) -> None:
    """Print one sentence."""
    print(f"gentrifugo: {sentence}", file=sys.stderr)


def report(error: ConfigError) -> None:
    """Print everything that is wrong with a configuration, after its warnings."""
    for sentence in error.warnings:
        complain(f"warning: {sentence}")
    for sentence in error.problems:
        complain(sentence)
