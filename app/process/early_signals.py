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
    """Unblock SIGHUP and SIGUSR1 in processes that this one forks later, such as those of gevent's `subprocess`.

    Processes that are started without a fork, as by `multiprocessing` with the method `spawn`, inherit the blocked
    signals. Call this before an application is imported, which may start processes, and never in a master of workers.
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
