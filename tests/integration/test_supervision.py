"""The files for supervising a server, each with its program: supervisord, systemd, logrotate, a platform."""

from __future__ import annotations

import getpass
import grp
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.parts import ROOT, program
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port, redis_server
from tests.sockjs_client import Service
from tests.supervisord import Address, Supervisord, answers, configured, supervised
from tests.waiting import eventually, seconds

BIN = Path(sys.executable).parent
UNPRIVILEGED = "nobody"
"""A user of every system who owns nothing."""


# -- supervisord


@pytest.fixture
def supervisord(tmp_path: Path) -> Iterator[Supervisord]:
    with supervised(tmp_path) as made:
        yield made


def test_supervisord_starts_watches_reloads_and_stops(supervisord: Supervisord) -> None:
    first = supervisord.pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: answers(supervisord.port) and supervisord.pid != first, within=20, what="a new process")
    configured(supervisord.directory, supervisord.port, namespaces=[{"name": "chat"}])
    supervisord.control("signal", "HUP", "gentrifugo")
    eventually(lambda: "configuration reloaded" in supervisord.log)
    with ProtocolClient(Address(supervisord.port), "ann") as client:
        client.subscribe("chat:1")
        supervisord.control("stop", "gentrifugo")
        assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
    assert "stopped" in supervisord.log
    assert oct((supervisord.directory / "gentrifugo.log").stat().st_mode & 0o777) == "0o640"


# -- systemd


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """The program of the unit exists, and is not started."""
    for unit in (ROOT / "conf" / "systemd").iterdir():
        text = unit.read_text().replace("/opt/gentrifugo/bin/gentrifugo", str(BIN / "gentrifugo"))
        (tmp_path / unit.name).write_text(text.replace("file:///opt", "https://opt.example"))
    units = [str(tmp_path / name) for name in ("gentrifugo.service", "gentrifugo.socket")]
    command = [program("systemd-analyze"), "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(30))
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "gentrifugo" in line]
    assert complaints == []


def test_the_pages_name_the_directories_that_the_unit_makes() -> None:
    unit = (ROOT / "conf" / "systemd" / "gentrifugo.service").read_text(encoding="utf-8")
    deployment, tls = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("deployment.md", "tls.md"))
    places = {"LogsDirectory": "/var/log", "RuntimeDirectory": "/run", "StateDirectory": "/var/lib"}
    directories = [f"{place}/gentrifugo" for option, place in places.items() if f"\n{option}=gentrifugo\n" in unit]
    assert len(directories) == 3
    assert [directory for directory in directories if f"`{directory}`" not in deployment] == []
    assert '"ssl_autocert_cache_dir": "/var/lib/gentrifugo"' in tls


@pytest.mark.parametrize("options", [{"api_port": 2}, {}], ids=["with api_port", "without"])
def test_sockets_of_systemd_are_used(tmp_path: Path, options: dict[str, Any]) -> None:
    main, api = free_port(), free_port()
    file = configured(tmp_path, 1, **options)
    command = [program("systemd-socket-activate"), f"--listen=127.0.0.1:{main}", f"--listen=127.0.0.1:{api}"]
    command += ["--fdname=main:api", str(BIN / "gentrifugo"), f"--config={file}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: answers(api), within=20, what="the API, on its socket")
        with ProtocolClient(Address(main), "ann") as client:
            client.subscribe("news")
        assert Service("127.0.0.1", main, "").post("/api/", b"{}").status in (404, 405)
        log_text = (tmp_path / "log").read_text()
        assert f"clients connect to ws://127.0.0.1:{main}" in log_text
        assert f"backends publish to http://127.0.0.1:{api}/api/" in log_text
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0


# -- Unix sockets


def test_server_listens_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    file = configured(tmp_path, 1, unix_socket=str(path))
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([str(BIN / "gentrifugo"), f"--config={file}"], stdout=log, stderr=log)
    try:
        eventually(path.exists, within=10)
        curl = [program("curl"), "--silent", "--unix-socket", str(path), "http://localhost/connection/info"]
        info = json.loads(subprocess.run(curl, check=True, capture_output=True, timeout=seconds(10)).stdout)
        assert info["websocket"] is True
        assert f"listening on http://unix:{path}" in log_file.read_text()
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0
    assert not path.exists()


def test_unix_socket_of_systemd_is_not_removed(tmp_path: Path) -> None:
    """systemd keeps listening on it for the next process."""
    path = tmp_path / "server.sock"
    file = configured(tmp_path, 1, unix_socket=str(path))
    command = [program("systemd-socket-activate"), f"--listen={path}", str(BIN / "gentrifugo"), f"--config={file}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(path.exists, within=10)
        curl = [program("curl"), "--silent", "--unix-socket", str(path), "http://localhost/connection/info"]
        assert b"websocket" in subprocess.run(curl, check=True, capture_output=True, timeout=seconds(10)).stdout
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0
    assert path.exists()


# -- logs


def test_the_server_reopens_its_log_after_logrotate(tmp_path: Path) -> None:
    log = tmp_path / "gentrifugo.log"
    pid_file = tmp_path / "gentrifugo.pid"
    options = {"log_file": str(log), "pid_file": str(pid_file), "log_format": "json", "log_level": "debug"}
    file = configured(tmp_path, free_port(), **options)
    process = subprocess.Popen([str(BIN / "gentrifugo"), f"--config={file}"])
    try:
        port = json.loads(file.read_text())["port"]
        eventually(lambda: answers(port), within=10)
        rotate(tmp_path, log, pid_file)
        eventually(lambda: "SIGUSR1: log file" in log.read_text())
        assert [oct(path.stat().st_mode & 0o777) for path in (log, Path(f"{log}.1"))] == ["0o640", "0o640"]
        service = Service("127.0.0.1", port, "")
        service.request("GET", "/connection/info", {"X-Request-ID": "r-1", "X-Real-IP": "192.0.2.7"})
        line = eventually(lambda: logged(log, "/connection/info"))
        expected = {"request": "r-1", "peer": "192.0.2.7", "method": "GET", "status": 200, "level": "debug"}
        assert line.items() >= expected.items()
        with ProtocolClient(Address(port), "ann") as client:
            client.socket.send_text("garbage")
            client.wait_closed()
            closed = eventually(lambda: logged(log, "invalid message"))
            assert (closed["client"], closed["user"]) == (client.id, "ann")
            assert closed["request"] == logged(log, "/connection/websocket")["request"]
        assert all(json.loads(text) for text in Path(f"{log}.1").read_text().splitlines())
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0


def test_logrotate_signals_no_process_of_another_user(tmp_path: Path) -> None:
    """An old pid file may contain the ID of an unrelated process."""
    if os.geteuid() != 0:
        pytest.skip("only root can start programs as another user")
    log, pid_file = tmp_path / "gentrifugo.log", tmp_path / "gentrifugo.pid"
    log.write_text("a line")
    other = subprocess.Popen(["sleep", "60"], user=UNPRIVILEGED, cwd="/")
    try:
        pid_file.write_text(f"{other.pid}\n")
        rotate(tmp_path, log, pid_file, succeeds=False)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_logrotate_sends_no_signal_while_the_server_is_stopped(tmp_path: Path) -> None:
    log = tmp_path / "gentrifugo.log"
    log.write_text("a line")
    rotate(tmp_path, log, tmp_path / "gentrifugo.pid")
    assert Path(f"{log}.1").read_text() == "a line"


def rotate(directory: Path, log: Path, pid_file: Path, succeeds: bool = True) -> None:
    """Rotate a log with the rules of the repository, for the user who runs the tests."""
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    text = (ROOT / "conf" / "logrotate").read_text()
    text = text.replace("/var/log/gentrifugo/*.log", str(log))
    text = text.replace("/run/gentrifugo/gentrifugo.pid", str(pid_file))
    text = text.replace("gentrifugo gentrifugo\n", f"{user} {group}\n").replace("-u gentrifugo", f"-u {user}")
    rules = directory / "logrotate.conf"
    rules.write_text(text)
    rules.chmod(0o644)
    directory.chmod(0o755)
    command = [program("logrotate"), "--force", f"--state={directory / 'state'}", str(rules)]
    assert (subprocess.run(command, timeout=seconds(10)).returncode == 0) is succeeds


def logged(log: Path, text: str) -> dict[str, Any]:
    """The log line with this text, decoded; empty if there is none."""
    lines = [line for line in log.read_text().splitlines() if text in line]
    return dict(json.loads(lines[-1])) if lines else {}


# -- platforms


def test_procfile_serves_on_the_port_of_the_platform(tmp_path: Path) -> None:
    (line,) = (ROOT / "Procfile").read_text().splitlines()
    kind, _, command = line.partition(": ")
    assert kind == "web"
    port = free_port()
    with redis_server(tmp_path) as redis:
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PORT": str(port),
            "REDIS_URL": f"redis://{redis.address}",
            "CENTRIFUGO_SECRET": "secret",
            "CENTRIFUGO_ADDRESS": "127.0.0.1",
        }
        with shell(command, tmp_path, environment) as process:
            eventually(lambda: answers(port), within=15, what=f"{process.pid} answers")


@contextmanager
def shell(command: str, directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=directory, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0
