"""The name of a node that is one of several workers with the same options."""

from __future__ import annotations

from dataclasses import replace

from .config import Config


def with_worker_name(config: Config, worker: int) -> Config:
    """Return the configuration of one of several workers: the name of the node ends with `worker`, its number."""
    return replace(config, name=f"{config.name}_{worker}")
