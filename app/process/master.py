"""`--workers`: several processes behind the same listening sockets, which a master starts, watches and replaces.

Each worker is a whole server, as if it were alone: it gets its sockets as systemd would give them (listeners.py) and
hears the same signals. The master serves nobody. It blocks the signals that it knows and waits for the next, so that
nothing here has to stand being interrupted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

from .. import logs
from ..config.config import Config
from ..config.endpoints import ENDPOINTS
from ..config.loading import Loaded
from ..config.options import ConfigError
from ..runtime.backoff import Backoff
from ..server.listeners import FIRST_SYSTEMD_DESCRIPTOR, Listeners, open_all
from .announcement import announce
from .pid_file import pid_file
from .standard_error import complain
from .startup_checks import run_checked, tls_problems, worker_problems
from .supervised import MASTER_VARIABLE, READY_VARIABLE
from .worker import Worker

log = logging.getLogger(__name__)

HANDLED_SIGNALS = (
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGINT,
    signal.SIGTERM,
)
SIGNAL_TIMEOUT = 0.1
"""Seconds to wait for a signal before the workers are checked."""
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 1.0, 30.0
"""Seconds before another worker starts when one has ended before it was ready; see Backoff."""
MAX_STEP_TIME = 1.0
"""Seconds that one step of the master may take longer than it waits for a signal, if it runs all the time."""
STARTUP_TIMEOUT = 60.0
"""Seconds that a worker may take until it serves, at least: the imports of an application may take long."""
KILL_TIMEOUT = 3.0
"""Seconds that a worker may take beyond option shutdown_timeout, before it is killed."""
FIRST_FREE_DESCRIPTOR = 100
"""Copies of descriptors get numbers from here on, which the sockets passed to a worker do not use."""


def run_with_workers(loaded: Loaded, reload: Callable[[Config], Loaded], arguments: Sequence[str]) -> int:
    """Serve until a signal ends it; the exit status. Every error is one line in the log.

    `arguments` are those of the command line, which each worker gets.
    """
    return run_checked(loaded, lambda: Master(loaded, reload, worker_command(arguments)).run())


def worker_command(arguments: Sequence[str]) -> list[str]:
    """The program that a worker is, with the arguments of the command line."""
    return [sys.executable, "-P", "-m", "gentrifugo", *arguments]


class Master:
    """Runs as many workers as the configuration says; `command` is what each of them becomes.

    `endpoints` are the groups that the workers serve.
    """

    def __init__(
        self,
        loaded: Loaded,
        reload: Callable[[Config], Loaded],
        command: Sequence[str],
        endpoints: Collection[str] = ENDPOINTS,
    ) -> None:
        self._loaded = loaded
        self._reload = reload
        self._command = list(command)
        self._endpoints = endpoints
        self._listeners = Listeners({})
        self._workers: list[Worker] = []
        self._has_served = False
        """Whether any worker has ever been ready."""
        self._backoff = Backoff(MIN_RETRY_DELAY, MAX_RETRY_DELAY)
        self._next_start = 0.0
        self._to_replace: deque[Worker] = deque()
        self._replacement: Worker | None = None
        """Who is to be ready before the next one is told to leave."""
        self._is_stopping = False
        self._stepped_at = time.monotonic()
        self._status = 0

    def run(self) -> int:
        """Serve until a signal ends it; the exit status. Raises ConfigError for what no worker could serve with."""
        config = self._loaded.config
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
        self._listeners = open_all(config, os.environ)
        try:
            with pid_file(config.pid_file):
                announce(self._loaded, self._listeners, self._endpoints)
                self._stepped_at = time.monotonic()
                while not self._is_stopping or self._workers:
                    self._step()
        finally:
            self._listeners.close()
        log.info("all workers have stopped")
        return self._status

    def _step(self) -> None:
        self._extend_after_suspension()
        for worker in self._workers:
            worker.read_pipe()
            self._has_served = self._has_served or worker.is_ready
        self._reap()  # after the look: that one serves tells what it means that another has ended
        self._kill_overdue()
        if not self._is_stopping:
            self._check_heartbeats()
            self._start_missing()
            self._continue_replacing()
        received = signal.sigtimedwait(HANDLED_SIGNALS, SIGNAL_TIMEOUT)
        # When this process was stopped and continued during the wait, Python returns what was never filled in.
        if received is not None and received.si_signo in HANDLED_SIGNALS:
            self._handle_signal(signal.Signals(received.si_signo))

    # -- signals

    def _handle_signal(self, number: signal.Signals) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop(number)
        elif number is signal.SIGHUP:
            self._on_reload()
        elif number is signal.SIGUSR1:
            logs.reopen()
            self._signal_all(number)
        elif number is signal.SIGUSR2 and not self._is_stopping:
            log.info("SIGUSR2: replacing the workers one by one")
            self._to_replace = deque(worker for worker in self._workers if not worker.is_stopping)

    def _stop(self, number: signal.Signals) -> None:
        if self._is_stopping:
            log.warning("%s received again: killing all workers", number.name)
            self._signal_all(signal.SIGKILL)
            self._status = 1
            return
        log.info("%s: shutting down", number.name)
        self._stop_all()

    def _stop_all(self) -> None:
        self._is_stopping = True
        for worker in self._workers:
            if not worker.is_stopping:  # a second TERM would end it at once
                worker.stop(self._stop_timeout)

    @property
    def _stop_timeout(self) -> float:
        """Seconds that a worker may take to end."""
        return self._loaded.config.shutdown_timeout + KILL_TIMEOUT

    def _on_reload(self) -> None:
        try:
            self._loaded = self._reload(self._loaded.config)
            _check_reloaded(self._loaded.config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error("invalid configuration, keeping the current one")
            return
        logs.set_level(self._loaded.config)
        self._signal_all(signal.SIGHUP)

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send_signal(number)

    # -- workers

    def _extend_after_suspension(self) -> None:
        """If this process was stopped or suspended, its workers may have been, too: none is judged by that time."""
        now = time.monotonic()
        pause = now - self._stepped_at - SIGNAL_TIMEOUT
        self._stepped_at = now
        if pause > MAX_STEP_TIME:
            for worker in self._workers:
                worker.extend_deadlines(pause)

    def _kill_overdue(self) -> None:
        """Kill the workers that have not ended in time, and those that hang."""
        for worker in self._workers:
            if worker.is_overdue:
                if worker.is_stopping:
                    log.error("worker %d did not stop within %g s, killing it", worker.pid, self._stop_timeout)
                elif worker.stack_trace:
                    log.error("killing worker %d: its event loop is blocked here:\n%s", worker.pid, worker.stack_trace)
                else:
                    log.error("killing worker %d: it wrote no stack trace, its process may be suspended", worker.pid)
                worker.kill()

    def _check_heartbeats(self) -> None:
        """Find workers whose event loop does not run."""
        timeout = self._loaded.config.worker_timeout
        for worker in self._workers:
            limit = timeout if worker.is_ready else max(timeout, STARTUP_TIMEOUT)
            if timeout > 0 and worker.silent_for() > limit:
                log.error("worker %d has not responded for %g s (option worker_timeout)", worker.pid, limit)
                worker.request_stack_trace()

    def _reap(self) -> None:
        for worker in list(self._workers):
            code = worker.poll_exit()
            if code is not None:
                self._workers.remove(worker)
                self._handle_exit(worker, code)

    def _handle_exit(self, worker: Worker, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        if worker.is_stopping:
            log.info("worker %d stopped: %s", worker.pid, how)
        elif worker.is_ready:
            log.error("worker %d exited unexpectedly: %s; starting a new worker", worker.pid, how)
        elif self._has_served or code < 0:  # whoever was killed says nothing of the configuration
            pause = self._backoff.next_delay()
            log.error("worker %d failed during startup (%s), retrying in %g s", worker.pid, how, pause)
            self._next_start = time.monotonic() + pause
            if worker is self._replacement:
                log.error("replacing the workers was cancelled: the remaining old workers keep running")
                self._replacement = None
                self._to_replace.clear()
        else:
            log.critical("worker %d failed during startup (%s), not restarting it", worker.pid, how)
            self._status = 1
            self._stop_all()

    def _start_missing(self) -> None:
        """Start what is missing."""
        missing = self._loaded.config.workers - sum(not worker.is_stopping for worker in self._workers)
        if missing > 0 and time.monotonic() >= self._next_start:
            for _ in range(missing):
                self._workers.append(self._start())

    def _continue_replacing(self) -> None:
        """One after the other: a new worker serves before an old one goes, and that is gone before the next."""
        if not self._to_replace or any(worker.is_stopping for worker in self._workers):
            return
        if self._replacement is None:
            self._replacement = self._start()
            self._workers.append(self._replacement)
        elif self._replacement.is_ready:
            self._replacement = None
            self._backoff.reset()
            old = self._to_replace.popleft()
            if old in self._workers:
                old.stop(self._stop_timeout)
            if not self._to_replace:
                log.info("all workers replaced, stopping the last old worker")

    def _start(self) -> Worker:
        ready, its_end = os.pipe()
        pid = os.fork()
        if not pid:
            self._become_worker(its_end)  # pragma: no cover (coverage of a child begins with its next call)
        os.close(its_end)
        log.info("worker %d starting", pid)
        return Worker(pid, ready)

    def _exec_worker(self, ready: int) -> NoReturn:
        """In the new process: become the program that the worker is."""
        try:
            # Until the worker knows what to do with them: by default each of these would end it. A worker never handles
            # INT: a terminal sends it to all processes at Ctrl-C, and then the master sends TERM.
            for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(ignored, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED_SIGNALS)
            sockets = self._listeners.sockets
            waiting = [
                fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR) for listener in sockets.values()
            ]
            kept = fcntl.fcntl(ready, fcntl.F_DUPFD, FIRST_FREE_DESCRIPTOR)
            for number, descriptor in enumerate(waiting, FIRST_SYSTEMD_DESCRIPTOR):
                os.dup2(descriptor, number)
            given = {
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(sockets)),
                "LISTEN_FDNAMES": ":".join(sockets),
                MASTER_VARIABLE: str(os.getppid()),
                READY_VARIABLE: str(kept),
            }
            os.execve(self._command[0], self._command, {**os.environ, **given})
        except OSError as error:
            # Not to the log: a socket may have taken the number of its descriptor by now.
            complain(f"worker {os.getpid()} cannot be started: {error.strerror}")
        finally:
            os._exit(1)


def _check_reloaded(config: Config) -> None:
    """Raise ConfigError for what the workers could not use after a reload."""
    problems = [*(worker_problems(config) if config.workers > 1 else ()), *tls_problems(config)]
    if problems:
        raise ConfigError(problems)
