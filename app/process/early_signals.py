"""Keeps signals pending that arrive before a server has handlers for them.

If they were ignored, a reload after the configuration file was read would never take effect. The kernel keeps one
signal of each kind, which is enough: a reload reads the newest file.
"""

from __future__ import annotations

import os
import signal

BLOCKED_SIGNALS = (signal.SIGHUP, signal.SIGUSR1)


def block_early_signals() -> None:
    """Block SIGHUP and SIGUSR1, so that they stay pending. Child processes inherit this, as workers are meant to."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)


def unblock_early_signals_in_children() -> None:
    """Unblock both in processes that this one forks from now on, as `subprocess` does where gevent has patched it.

    Others, such as those of `multiprocessing` with the method `spawn`, still inherit the blocked signals. Call it
    before foreign code runs that may start processes, such as an application while it is imported, and not in a process
    that starts workers.
    """
    os.register_at_fork(after_in_child=unblock_early_signals)


def unblock_early_signals() -> None:
    """Unblock SIGHUP and SIGUSR1. A pending signal is delivered immediately."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)


def take_pending_reload() -> bool:
    """Return whether SIGHUP is pending, and remove it. Call this only before `unblock_early_signals`."""
    if signal.SIGHUP not in signal.sigpending():
        return False
    signal.sigwait([signal.SIGHUP])
    return True
