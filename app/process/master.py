"""The option `workers`: a master starts, watches and replaces several processes that share the listening sockets.

Each worker is a complete server. It receives its listening sockets in the same way as from systemd
(systemd_sockets.py), and handles the same signals. The master accepts no connections. It blocks its signals and waits
for them with sigtimedwait, so a signal never interrupts other code.
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
from itertools import count
from typing import NoReturn

from .. import logs
from ..config.config import Config
from ..config.endpoints import ENDPOINTS
from ..config.loading import LoadedConfig
from ..config.options import ConfigError
from ..runtime.backoff import Backoff
from ..server.listeners import Listeners, open_all
from ..server.systemd_sockets import FIRST_SYSTEMD_DESCRIPTOR
from .announcement import announce
from .early_signals import BLOCKED_SIGNALS
from .pid_file import pid_file
from .standard_error import print_error
from .startup_checks import run_checked, tls_problems, worker_problems
from .supervised import MASTER_VARIABLE, NUMBER_VARIABLE, READY_VARIABLE
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
MIN_RESTART_DELAY, MAX_RESTART_DELAY = 1.0, 30.0
"""Seconds before a new worker is started after one has failed during startup; see Backoff."""
MAX_STEP_TIME = 1.0
"""Seconds that a step may take besides waiting for a signal; a longer step means that the process was suspended."""
STARTUP_TIMEOUT = 60.0
"""Minimum of the time limit for startup, in seconds: importing an application can take long."""
KILL_TIMEOUT = 3.0
"""Seconds after option shutdown_timeout until a worker that has not stopped is killed."""
FIRST_FREE_DESCRIPTOR = 100
"""Lowest number for copies of descriptors, above the numbers of the sockets that are passed to a worker."""


def run_with_workers(loaded: LoadedConfig, reload: Callable[[Config], LoadedConfig], arguments: Sequence[str]) -> int:
    """Run workers until a signal stops the master; returns the exit status. Each error is one line in the log.

    `arguments` are the command line arguments, which are passed to every worker.
    """
    return run_checked(loaded, lambda: Master(loaded, reload, worker_command(arguments)).run())


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Return the command that starts a worker, with `arguments` from the command line of the master."""
    return [sys.executable, "-P", "-m", "gentrifugo", *arguments]


class Master:
    """Starts the number of worker processes in option workers, each with `command`, and replaces those that fail.

    `endpoints` are the groups of endpoints that the workers serve.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        reload: Callable[[Config], LoadedConfig],
        command: Sequence[str],
        endpoints: Collection[str] = ENDPOINTS,
    ) -> None:
        self._loaded = loaded
        self._reload = reload
        self._command = list(command)
        self._endpoints = endpoints
        self._listeners = Listeners({})
        self._workers: list[Worker] = []
        self._has_been_ready = False
        """Whether any worker has been ready since the start."""
        self._backoff = Backoff(MIN_RESTART_DELAY, MAX_RESTART_DELAY)
        self._next_start = 0.0
        self._to_replace: deque[Worker] = deque()
        self._replacement: Worker | None = None
        """The new worker that must be ready before the next old one is stopped."""
        self._is_stopping = False
        self._stepped_at = time.monotonic()
        self._status = 0

    def run(self) -> int:
        """Run workers until a signal stops the master; returns the exit status.

        Raises ConfigError if a listening socket or the PID file cannot be created.
        """
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
            self._has_been_ready = self._has_been_ready or worker.is_ready
        self._reap()  # after reading the pipes: whether any worker was ever ready decides what an exit means
        self._kill_overdue()
        if not self._is_stopping:
            self._check_heartbeats()
            self._start_missing()
            self._continue_replacing()
        received = signal.sigtimedwait(HANDLED_SIGNALS, SIGNAL_TIMEOUT)
        # If this process was suspended and continued during the wait, Python returns an uninitialized result.
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
            if not worker.is_stopping:  # its deadline runs already
                worker.stop(self._stop_timeout)

    @property
    def _stop_timeout(self) -> float:
        """Seconds that a worker may take to stop before it is killed."""
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
        """Extend all deadlines if this process was suspended, because its workers may have been suspended too."""
        now = time.monotonic()
        pause = now - self._stepped_at - SIGNAL_TIMEOUT
        self._stepped_at = now
        if pause > MAX_STEP_TIME:
            for worker in self._workers:
                worker.extend_deadlines(pause)

    def _kill_overdue(self) -> None:
        """Kill the workers whose deadline has passed, because they did not stop or their event loop is blocked."""
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
        """Request a stack trace of workers without a heartbeat, and set the deadline after which they are killed."""
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
        elif self._has_been_ready or code < 0:  # a killed worker does not mean that the configuration is wrong
            pause = self._backoff.next_delay()
            log.error("worker %d failed during startup (%s), retrying in %g s", worker.pid, how, pause)
            self._next_start = time.monotonic() + pause
            if worker is self._replacement:
                log.error("replacement of the workers cancelled: the remaining old workers keep running")
                self._replacement = None
                self._to_replace.clear()
        else:
            log.critical("worker %d failed during startup (%s), not restarting it", worker.pid, how)
            self._status = 1
            self._stop_all()

    def _start_missing(self) -> None:
        """Start workers until there are as many as configured."""
        missing = self._loaded.config.workers - sum(not worker.is_stopping for worker in self._workers)
        if missing > 0 and time.monotonic() >= self._next_start:
            for _ in range(missing):
                self._workers.append(self._start())

    def _continue_replacing(self) -> None:
        """Replace one worker at a time: start a new one, wait until it is ready, then stop an old one."""
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
        number = self._free_number()
        ready, its_end = os.pipe()
        pid = os.fork()
        if not pid:
            self._exec_worker(its_end, number)  # pragma: no cover (coverage of a child begins with its next call)
        os.close(its_end)
        log.info("worker %d starting", pid)
        return Worker(pid, ready, number)

    def _free_number(self) -> int:
        """Return the lowest number that no worker has, also none that is still stopping."""
        taken = {worker.number for worker in self._workers}
        return next(number for number in count(1) if number not in taken)

    def _exec_worker(self, ready: int, number: int) -> NoReturn:
        """Replace the forked process with the worker program, and pass it the listening sockets and the pipe."""
        try:
            # Ignored, because each of these would kill the worker by default. A worker never handles SIGINT: at Ctrl-C
            # a terminal sends it to all processes, and the master then sends SIGTERM.
            for ignored in (signal.SIGINT, signal.SIGUSR2):
                signal.signal(ignored, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, set(HANDLED_SIGNALS) - set(BLOCKED_SIGNALS))
            sockets = self._listeners.sockets
            waiting = [
                fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR) for listener in sockets.values()
            ]
            kept = fcntl.fcntl(ready, fcntl.F_DUPFD, FIRST_FREE_DESCRIPTOR)
            for descriptor, copy in enumerate(waiting, FIRST_SYSTEMD_DESCRIPTOR):
                os.dup2(copy, descriptor)
            given = {
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(sockets)),
                "LISTEN_FDNAMES": ":".join(sockets),
                MASTER_VARIABLE: str(os.getppid()),
                NUMBER_VARIABLE: str(number),
                READY_VARIABLE: str(kept),
            }
            os.execve(self._command[0], self._command, {**os.environ, **given})
        except OSError as error:
            # This is not logged, because a socket may have the number of the log's descriptor by now.
            print_error(f"worker {os.getpid()} cannot be started: {error.strerror}")
        finally:
            os._exit(1)


def _check_reloaded(config: Config) -> None:
    """Raise ConfigError if the workers could not run with a reloaded configuration."""
    problems = [*(worker_problems(config) if config.workers > 1 else ()), *tls_problems(config)]
    if problems:
        raise ConfigError(problems)
