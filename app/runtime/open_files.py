"""How many files, and so connections, this process may have open."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)


def raise_limit() -> None:
    """Allow as many open files as the system lets this process; say so when it does not let it have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("the limit of open files stays at %d, which caps the connections: %s", soft, error)
            return
    log.debug("up to %d open files", hard)
