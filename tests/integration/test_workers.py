"""`--workers`: a master and its worker processes, which act as one server for clients, operators and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.api_client import APIClient
from tests.certificates import make_certificate
from tests.parts import program
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, free_port, redis_server
from tests.servers import Server
from tests.sockjs_client import Service
from tests.waiting import eventually, seconds

PROGRAM = str(Path(sys.executable).parent / "gentrifugo")
WORKERS = 2
OPTIONS: dict[str, Any] = {"workers": WORKERS, "node_ping_interval": 0.3, "shutdown_timeout": 5}

StartServer = Callable[..., Server]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def start(start_server: StartServer, redis: RedisServer) -> StartServer:
    """Start a server with two workers, and wait until both serve."""

    def started(**options: Any) -> Server:
        server = start_server(**{**OPTIONS, **redis.options, **options})
        eventually(lambda: serving(server) == WORKERS, within=15, what=lambda: f"both serve: {server.log}")
        return server

    return started


def serving(server: Server) -> int:
    return sum(f"worker {worker.pid} ready" in server.log for worker in workers_of(server))


def workers_of(server: Server) -> set[psutil.Process]:
    return set(psutil.Process(server.pid).children())


def change(server: Server, **options: Any) -> None:
    server.config_file.write_text(json.dumps({**server.options, **options}), encoding="utf-8")


def test_a_worker_that_crashes_is_replaced(start: StartServer, tmp_path: Path) -> None:
    server = start(pid_file=str(tmp_path / "pid"))
    assert (tmp_path / "pid").read_text() == f"{server.pid}\n"
    victim, survivor = workers_of(server)
    victim.kill()
    eventually(lambda: f"worker {victim.pid} exited unexpectedly: signal 9; starting a new worker" in server.log)
    eventually(lambda: serving(server) == WORKERS, within=15)
    assert survivor in workers_of(server)
    server.stop()
    assert not (tmp_path / "pid").exists()
    assert not survivor.is_running()


def names_of_nodes(server: Server) -> list[str]:
    """The names of all nodes that a worker knows, once it knows two; those that have left are missing."""

    def known() -> list[str] | None:
        answer = APIClient(server.host, server.port).post('{"method": "stats", "params": {}}')
        names = [node["name"] for node in json.loads(answer.body)[0]["body"]["data"]["nodes"]]
        return sorted(names) if len(names) == WORKERS else None

    return eventually(known, within=15)


@pytest.mark.parametrize("options", [{}, {"name": "chat"}], ids=["default name", "name given"])
def test_each_worker_has_its_number_in_the_name_of_its_node_and_in_its_log_lines(
    start: StartServer, options: dict[str, str]
) -> None:
    server = start(**options)
    name = options.get("name") or f"{socket.gethostname()}_0"
    assert names_of_nodes(server) == [f"{name}_1", f"{name}_2"]
    victim = min(workers_of(server), key=lambda worker: worker.pid)
    victim.kill()
    eventually(lambda: serving(server) == WORKERS and not victim.is_running(), within=15)
    change(server, namespaces=[{"name": "talk"}], **options)
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: server.log.count("configuration reloaded") == WORKERS)
    assert names_of_nodes(server) == [f"{name}_1", f"{name}_2"]
    for number in (1, 2):
        assert f" INFO [worker {number}] configuration reloaded\n" in server.log
    assert "option name has changed" not in server.log
    os.kill(server.pid, signal.SIGUSR2)
    eventually(lambda: "all workers replaced" in server.log, within=30)
    eventually(lambda: len(workers_of(server)) == serving(server) == WORKERS, within=15)
    names = names_of_nodes(server)
    assert len(set(names)) == WORKERS
    assert {each.removeprefix(f"{name}_") for each in names} <= {"1", "2", "3"}


def test_hup_reloads_every_worker_and_keeps_connections(start: StartServer) -> None:
    server = start()
    before = workers_of(server)
    with ExitStack() as stack:
        clients = [stack.enter_context(ProtocolClient(server, f"user{number}")) for number in range(10)]
        change(server, namespaces=[{"name": "chat"}])
        os.kill(server.pid, signal.SIGHUP)
        eventually(lambda: server.log.count("configuration reloaded") == WORKERS)
        for client in clients:
            client.subscribe("chat:1")
    assert workers_of(server) == before


def test_an_invalid_reload_is_reported_once_and_changes_nothing(start: StartServer, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    server = start(**certificate.options)
    before = workers_of(server)
    certificate.cert.write_text("garbage")
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: "keeping the current one" in server.log)
    server.config_file.write_text("{")
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: server.log.count("keeping the current one") == 2)
    assert server.log.count(f"ssl_cert: {certificate.cert}") == server.log.count("config.json: line 1") == 1
    assert workers_of(server) == before


def test_usr2_replaces_workers_one_by_one_while_requests_are_served(start: StartServer) -> None:
    server = start(namespaces=[{"name": "chat"}])
    before = workers_of(server)
    refused: list[OSError] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                assert APIClient(server.host, server.port).call("channels")["error"] is None
            except OSError as error:
                refused.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        with ProtocolClient(server, "ann") as client:
            os.kill(server.pid, signal.SIGUSR2)
            assert client.wait_closed(seconds(20)).advice == {"reason": "shutting down", "reconnect": True}
        eventually(lambda: not workers_of(server) & before and serving(server) == WORKERS, within=20)
    finally:
        done.set()
        asking.join()
    assert refused == []
    assert server.log.count("stopped: exit status 0") == WORKERS


def test_separate_ports_work_with_workers(start: StartServer) -> None:
    api_port = free_port()
    server = start(api_port=str(api_port), health=True)
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        for _ in range(4):
            assert Service("127.0.0.1", server.port, "").post("/api/", b"{}").status == 404
            APIClient("127.0.0.1", api_port).publish("news", "hello")
            assert client.message() == "hello"


def test_workers_serve_tls_like_a_single_process(start: StartServer, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    server = start(**certificate.options)
    assert server.scheme == "https"
    context = certificate.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0")
    shake_hands(server, certificate.trusting())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shake_hands(server, context)


def shake_hands(server: Server, context: ssl.SSLContext) -> None:
    with socket.create_connection((server.host, server.port), timeout=seconds(5)) as plain:
        context.wrap_socket(plain, server_hostname=server.host).close()


def test_whole_log_is_json_with_the_option(start: StartServer) -> None:
    server = start(log_format="json")
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert lines[-1]["message"] == "all workers have stopped"


def test_workers_can_be_configured_by_the_environment_alone(tmp_path: Path, redis: RedisServer) -> None:
    """Workers do not require a configuration file."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")},
        "CENTRIFUGO_SECRET": "secret",
        "CENTRIFUGO_ADDRESS": "127.0.0.1",
        "CENTRIFUGO_PORT": str(port),
        "CENTRIFUGO_REDIS_URL": f"redis://{redis.address}",
        "CENTRIFUGO_WORKERS": "2",
    }
    process = subprocess.Popen([PROGRAM, "--engine=redis"], cwd=tmp_path, env=environment)

    def answers() -> bool:
        with suppress(OSError):
            return APIClient("127.0.0.1", port).call("channels")["error"] is None
        return False

    try:
        eventually(answers, within=15, what="it serves")
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0


def test_a_unix_socket_is_shared_and_removed_by_the_master(tmp_path: Path, redis: RedisServer) -> None:
    config, path = tmp_path / "config.json", tmp_path / "server.sock"
    config.write_text(json.dumps({"secret": "secret", "unix_socket": str(path), **OPTIONS, **redis.options}))
    process = subprocess.Popen([PROGRAM, f"--config={config}"])
    asked = [program("curl"), "--silent", "--fail", "--unix-socket", str(path), "http://localhost/connection/info"]

    def answers() -> bool:
        return subprocess.run(asked, capture_output=True, timeout=seconds(10)).returncode == 0

    try:
        eventually(answers, within=15)
        assert oct(path.stat().st_mode)[-3:] == "660"
        victim = psutil.Process(process.pid).children()[0]
        victim.kill()
        victim.wait(seconds(5))  # until then it may accept, and take that along
        assert all(answers() for _ in range(10)), "the other one serves"
        assert path.exists()
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0
    assert not path.exists()


def test_workers_stop_when_the_master_is_killed(start: StartServer) -> None:
    server = start()
    workers = workers_of(server)
    server.kill()
    eventually(lambda: not any(worker.is_running() for worker in workers), within=10)


def test_a_term_to_all_processes_closes_clients_as_one_to_the_master_does(start: StartServer) -> None:
    """Platforms, `timeout` and a terminal signal a whole group; the master then sends its workers a second TERM."""
    server = start()
    clients = [ProtocolClient(server, f"user{number}") for number in range(20)]
    for pid in (*(worker.pid for worker in workers_of(server)), server.pid):
        os.kill(pid, signal.SIGTERM)
    for client in clients:
        closed = client.wait_closed()
        assert (closed.code, closed.advice) == (3000, {"reason": "shutting down", "reconnect": True})
    assert server.process.wait(seconds(15)) == 0
    assert "received again" not in server.log


def test_usr2_continues_when_a_worker_does_not_stop(start: StartServer) -> None:
    """Each worker has a separate deadline, and a later USR2 has the same effect."""
    server = start(shutdown_timeout=1, drain_time=0.2)
    for _ in range(2):
        old = workers_of(server)
        min(old, key=lambda worker: worker.pid).suspend()
        server.process.send_signal(signal.SIGUSR2)
        eventually(
            lambda old=old: not old & workers_of(server) and serving(server) == WORKERS,  # type: ignore[misc]
            within=25,
            what=lambda: server.log,
        )
    assert server.log.count("did not stop within 4 s, killing it") == 2


def test_a_suspended_worker_is_replaced_unless_it_continues_in_time(start: StartServer) -> None:
    server = start(worker_timeout=2)
    first, second = workers_of(server)
    first.suspend()
    eventually(lambda: "it wrote no stack trace, its process may be suspended" in server.log, within=15)
    eventually(lambda: serving(server) == WORKERS, within=15)
    second.suspend()
    time.sleep(1)
    second.resume()
    time.sleep(seconds(2))
    assert second in workers_of(server)
    assert server.log.count("killing worker") == 1


def test_without_worker_timeout_and_after_a_suspension_no_worker_is_killed(start: StartServer) -> None:
    server = start(worker_timeout=2)
    before = workers_of(server)
    for process in (psutil.Process(server.pid), *before):
        process.suspend()
    time.sleep(4)
    for process in (psutil.Process(server.pid), *before):
        process.resume()
    time.sleep(seconds(3))
    assert workers_of(server) == before
    server.config_file.write_text(json.dumps({**server.options, "worker_timeout": 0}), encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.log.count("configuration reloaded") == WORKERS, within=10)
    one = min(before, key=lambda worker: worker.pid)
    one.suspend()
    time.sleep(4)
    one.resume()
    assert workers_of(server) == before


def test_usr1_reaches_all_workers_and_early_signals_kill_none(tmp_path: Path, redis: RedisServer) -> None:
    log = tmp_path / "log"
    config = tmp_path / "config.json"
    options = {"secret": "secret", "address": "127.0.0.1", "log_file": str(log), **OPTIONS, **redis.options}
    config.write_text(json.dumps(options))
    process = subprocess.Popen([PROGRAM, f"--config={config}", "--port=0"])
    try:
        eventually(lambda: log.exists() and "starting" in log.read_text(), within=10)
        for worker in psutil.Process(process.pid).children():
            worker.send_signal(signal.SIGUSR1)
        eventually(lambda: log.read_text().count(" ready") == WORKERS, within=15)
        log.rename(tmp_path / "log.1")
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: log.exists() and log.read_text().count("SIGUSR1: log file") == WORKERS + 1)
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0


STAND_IN = """
import sys
from gentrifugo.app.config.loading import from_mapping
from gentrifugo.app.process import master

master.KILL_TIMEOUT = 0.2
loaded = from_mapping({"secret": "s", "engine": "redis", "address": "127.0.0.1", "port": 0, "shutdown_timeout": 0.2})
master.logs.configure(loaded.config)
sys.exit(master.Master(loaded, lambda current: loaded, [sys.executable, "-c", sys.argv[1]]).run())
"""
"""A master of workers that are no servers: what they do is the argument."""


def test_a_failed_first_worker_stops_the_master() -> None:
    command = [sys.executable, "-c", STAND_IN, "raise SystemExit(3)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(10))
    assert done.returncode == 1
    assert "failed during startup (exit status 3), not restarting it" in done.stdout


FIRST = """
import os, sys, time
try:
    os.mkdir({mark!r})
    is_first = True
except FileExistsError:
    is_first = False
"""
"""Begins a worker that does something else when it is the first."""
SERVE = """
os.write(int(os.environ["GENTRIFUGO_READY"]), b"1")
print("here", flush=True)
time.sleep(60)
"""


def ended_by(master: str, worker: str) -> str:
    """The first log line about a worker that has ended, of a master that continues."""
    process = subprocess.Popen([sys.executable, "-c", master, worker], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        ended = next(line for line in process.stdout if "failed during startup" in line)
        process.terminate()
        process.stdout.read()
    assert process.wait(seconds(15)) == 0
    return ended


def test_a_worker_killed_during_the_first_startup_is_restarted(tmp_path: Path) -> None:
    """This can happen if the machine is short of memory, and does not mean that the configuration is wrong."""
    worker = FIRST.format(mark=str(tmp_path / "mark")) + "if is_first: os.kill(os.getpid(), 9)" + SERVE
    assert "failed during startup (signal 9), retrying in 1 s" in ended_by(STAND_IN, worker)


LONG_STEPS = """
from gentrifugo.app.process import master
plain = master.signal.sigtimedwait

def late(numbers, limit):
    master.time.sleep(1)
    return plain(numbers, limit)

master.signal.sigtimedwait = late
"""


def test_a_ready_worker_counts_when_another_exits_at_the_same_time(tmp_path: Path) -> None:
    """The master handles both events in one step."""
    worker = FIRST.format(mark=str(tmp_path / "mark")) + "if not is_first: time.sleep(0.3); sys.exit(3)" + SERVE
    master = LONG_STEPS + STAND_IN.replace('"port"', '"workers": 2, "port"')
    assert "failed during startup (exit status 3), retrying in 1 s" in ended_by(master, worker)


def test_a_worker_that_does_not_stop_is_killed() -> None:
    deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    deaf += "os.write(int(os.environ['GENTRIFUGO_READY']), b'1'); print('here', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", STAND_IN, deaf], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert "here\n" in lines
    process.terminate()
    assert "stopped: signal 9" in "".join(lines)
    process.stdout.close()
    assert process.wait(seconds(10)) == 0


def test_a_second_term_ends_the_workers_at_once() -> None:
    deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    deaf += "os.write(int(os.environ['GENTRIFUGO_READY']), b'1'); print('here', flush=True); time.sleep(60)"
    patient = STAND_IN.replace('"shutdown_timeout": 0.2', '"shutdown_timeout": 60')
    process = subprocess.Popen([sys.executable, "-c", patient, deaf], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        for awaited in ("here\n", "TERM: shutting down\n"):
            assert any(line.endswith(awaited) for line in process.stdout)
            process.terminate()
        rest = process.stdout.read()
    assert "SIGTERM received again: killing all workers" in rest
    assert "stopped: signal 9" in rest
    assert process.wait(seconds(10)) == 1


def test_failed_new_worker_replaces_no_worker(tmp_path: Path) -> None:
    worker = FIRST.format(mark=str(tmp_path / "mark")) + "if not is_first: sys.exit(3)" + SERVE
    process = subprocess.Popen([sys.executable, "-c", STAND_IN, worker], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert "here\n" in process.stdout
        process.send_signal(signal.SIGUSR2)
        lines = "".join(
            takewhile(lambda line: not line.endswith("the remaining old workers keep running\n"), process.stdout)
        )
        process.terminate()
        rest = process.stdout.read()
    assert "failed during startup (exit status 3), retrying in 1 s" in lines
    assert rest.count("stopped: signal 15") == 1
    assert process.wait(seconds(10)) == 0


def test_a_program_that_cannot_be_started_is_named() -> None:
    master = STAND_IN.replace("[sys.executable, ", "['/nowhere/python', ")
    done = subprocess.run([sys.executable, "-c", master, ""], capture_output=True, text=True, timeout=seconds(10))
    assert done.returncode == 1
    assert re.fullmatch(r"gentrifugo: worker \d+ cannot be started: No such file or directory\n", done.stderr)


HANGING = """
from gevent import monkey
monkey.patch_all()
import gevent
from gentrifugo.app.process import supervised

def compute_without_end():
    print("hangs", flush=True)
    while True:
        pass

link = supervised.master_of(os.environ)
link.send_ready()
gevent.spawn(link.watch, lambda: None)
gevent.sleep(3)
if is_first:
    compute_without_end()
print("lives", flush=True)
gevent.sleep(60)
"""
"""A worker that is a server as far as its master can see. The first of them hangs after a while."""


def test_a_worker_with_a_blocked_event_loop_is_replaced_with_a_stack_trace_in_the_log(tmp_path: Path) -> None:
    worker = FIRST.format(mark=str(tmp_path / "mark")) + HANGING
    master = STAND_IN.replace('"port"', '"worker_timeout": 2, "port"')
    process = subprocess.Popen([sys.executable, "-c", master, worker], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        lines = "".join(takewhile(lambda line: line != "lives\n", process.stdout))
        process.terminate()
        process.stdout.read()
    assert process.wait(seconds(15)) == 0
    assert re.search(r"ERROR worker \d+ has not responded for 2 s \(option worker_timeout\)", lines)
    assert re.search(r"its event loop is blocked here:\n.*\n +File .*, line \d+ in compute_without_end\n", lines)
    assert lines.count("killing worker") == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"engine": "memory"}, "workers: more than one requires --engine=redis"),
        (
            {"ssl_autocert": True, "ssl_autocert_host_whitelist": "a.example.com"},
            "workers: ssl_autocert works with one process only",
        ),
        ({"workers": 0}, "workers: Must be more than 0"),
    ],
)
def test_conflicting_options_are_named(start_server: StartServer, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        start_server(**{"workers": 2, "engine": "redis", **options})
