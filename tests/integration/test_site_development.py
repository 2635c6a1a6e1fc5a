"""`gentrifugo --app` during development, and with several workers: real processes, files and clients."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.test_flask import LISTENING, PROGRAM, environment, exchange, get, websocket
from tests.redis_server import redis_server
from tests.waiting import eventually, seconds

SITE = """
import os

from flask import Flask, render_template
from gentrifugo import Gentrifugo

app = Flask(__name__)
app.config["SECRET_KEY"] = "key"
{options}
realtime = Gentrifugo(app)


@app.get("/")
def page():
    return render_template("page.html")


@app.get("/params")
def params():
    return realtime.connection_params("42")


@app.get("/process")
def process():
    return str(os.getpid())


@app.post("/tell/<text>")
def tell(text):
    realtime.publish("news", {{"text": text}})
    return "", 204


@app.get("/fail")
def fail():
    raise KeyError("what failed")
"""

STOPPED = """

@app.get("/stop")
def stop():
    import time

    ended = time.monotonic() + 3
    while time.monotonic() < ended:
        pass
    return "goes on"
"""
"""A view that lets nothing else run, as a debugger does."""

Serving = tuple[str, Callable[[], str], psutil.Process]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text("first")
    (tmp_path / "shop.py").write_text(SITE.format(options=""))
    return tmp_path


@contextmanager
def serving(directory: Path, *arguments: str, **environ: str) -> Iterator[Serving]:
    """Run the command; returns the address, the log, and the first process, which all must exit normally."""
    file = directory / "site.log"
    with file.open("wb") as log:
        command = [PROGRAM, "--port=0", *arguments]
        process = subprocess.Popen(
            command, cwd=directory, env={**environment(), **environ}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = eventually(lambda: LISTENING.search(file.read_text()), within=15, what=file.read_text)[1]
        yield url, file.read_text, psutil.Process(process.pid)
        process.terminate()
        assert process.wait(seconds(15)) == 0, file.read_text()
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()
            process.wait()


def connected(client: object, url: str) -> None:
    """Connect a WebSocket as the page does."""
    credentials = {**json.loads(get(f"{url}/params")[1]), "url": ""}
    assert "error" not in exchange(client, "connect", **credentials)  # type: ignore[arg-type]
    assert "error" not in exchange(client, "subscribe", channel="news")  # type: ignore[arg-type]


def test_hup_says_that_the_options_of_an_application_stay(directory: Path) -> None:
    with serving(directory, "--app=shop") as (_, log, process):
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "nothing to reload" in log(), what=log)
        assert "the options come from the application; restart the process to apply changes" in log()
        assert "configuration reloaded" not in log()


class TestReload:
    def test_reload_keeps_the_port_and_clients_reconnect(self, directory: Path) -> None:
        with serving(directory, "--app=shop", "--reload") as (url, log, _):
            assert get(f"{url}/")[1] == "first"
            before = get(f"{url}/process")[1]
            with websocket(url) as client:
                connected(client, url)
                (directory / "templates" / "page.html").write_text("second")
                assert client.wait_closed(10).advice == {"reason": "shutting down", "reconnect": True}
            with urllib.request.urlopen(url, timeout=seconds(20)) as response:  # it waits for the next process
                assert response.read() == b"second"
            assert get(f"{url}/process")[1] != before
            assert "page.html has changed, restarting" in log()
            with websocket(url) as client:
                connected(client, url)
                code = (directory / "shop.py").read_text().replace('"text": text', '"text": text.upper()')
                (directory / "shop.py").write_text(code)
                client.wait_closed(10)
            with websocket(url) as client:
                connected(client, url)
                assert get(f"{url}/tell/hello", form={})[0] == 204
                assert client.recv_json()["body"]["data"] == {"text": "HELLO"}

    def test_reloader_waits_for_a_broken_module_to_change(self, directory: Path) -> None:
        code = (directory / "shop.py").read_text()
        (directory / "shop.py").write_text("import nothing_of_the_kind\n")
        file = directory / "shop.py"
        with serving_later(directory) as log:
            eventually(lambda: "waiting for a file to change" in log(), within=15, what=log)
            assert log().startswith(f'Traceback (most recent call last):\n  File "{file}", line 1, in <module>\n')
            file.write_text(code)
            url = eventually(lambda: LISTENING.search(log()), within=15, what=log)[1]
            eventually(lambda: get(f"{url}/")[1] == "first", within=15)
            file.write_text("x = (\n")
            eventually(lambda: "SyntaxError: '(' was never closed" in log(), within=15, what=log)
            file.write_text(code + "\n")
            eventually(lambda: get(f"{url}/")[1] == "first", within=20)

    def test_a_worker_that_a_debugger_has_stopped_is_not_replaced(self, directory: Path) -> None:
        """With several workers, a worker without heartbeats for longer than worker_timeout is replaced."""
        code = SITE.format(options="") + STOPPED
        (directory / "shop.py").write_text(code)
        with serving(directory, "--app=shop", "--reload", "--worker_timeout=0.5") as (url, log, _):
            with urllib.request.urlopen(f"{url}/stop", timeout=seconds(20)) as response:
                assert response.read() == b"goes on"
            assert "has not responded" not in log()

    def test_ctrl_c_stops_the_server_gracefully(self, directory: Path) -> None:
        """A terminal interrupts all processes at once."""
        pid, terminal = pty.fork()
        if not pid:
            os.chdir(directory)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run in the background, where it is ignored
            os.execve(PROGRAM, [PROGRAM, "--app=shop", "--reload", "--port=0"], environment())
        status, said = interrupted(pid, terminal, b" ready")
        assert status == 0, said
        assert b"exiting immediately" not in said
        assert re.search(rb"worker \d+ stopped: exit status 0", said)

    @pytest.mark.parametrize(
        ("code", "sign"),
        [
            ("1 / 0", b"waiting for a file to change"),
            ("import flask\napp = flask.Flask(__name__)", b"waiting for a file to change"),
            ("print('loads', flush=True)\nimport time\ntime.sleep(60)", b"loads"),
        ],
        ids=[
            "while it waits for a change",
            "while it waits for a server in the application",
            "while the application is loaded",
        ],
    )
    def test_ctrl_c_stops_the_server_during_startup(self, directory: Path, code: str, sign: bytes) -> None:
        (directory / "shop.py").write_text(code)
        pid, terminal = pty.fork()
        if not pid:
            os.chdir(directory)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run in the background, where it is ignored
            os.execve(PROGRAM, [PROGRAM, "--app=shop", "--reload", "--port=0"], environment())
        status, said = interrupted(pid, terminal, sign)
        assert status == 130, said

    def test_reloader_waits_for_an_application_with_a_server(self, directory: Path) -> None:
        (directory / "shop.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
        with serving_later(directory) as log:
            eventually(lambda: "waiting for a file to change" in log(), within=15, what=log)
            assert log().startswith("gentrifugo: --app: shop has no Gentrifugo server: add Gentrifugo(app) to it\n")

    def test_a_process_that_waits_for_a_change_does_not_outlive_its_parent(self, directory: Path) -> None:
        (directory / "shop.py").write_text("1 / 0")
        with serving_later(directory) as log:
            eventually(lambda: "waiting for a file to change" in log(), within=15, what=log)
            (parent,) = (child for child in psutil.Process().children() if "--app=shop" in command_line(child))
            (waiting,) = parent.children()
            parent.kill()
            eventually(lambda: not waiting.is_running(), within=15)


def command_line(process: psutil.Process) -> list[str]:
    """The command line of a process; empty for one that has ended and waits for its parent to notice."""
    try:
        return process.cmdline()
    except psutil.ZombieProcess:
        return []


def interrupted(pid: int, terminal: int, sign: bytes) -> tuple[int, bytes]:
    """Interrupt the processes of a terminal when `sign` is printed; return the exit status and the output."""
    said = b""
    try:
        while sign not in said:
            said += os.read(terminal, 4096)
        if address := LISTENING.search(said.decode()):
            eventually(lambda: get(f"{address[1]}/")[0] == 200)
        os.write(terminal, b"\x03")
        while True:
            said += os.read(terminal, 4096)
    except OSError:  # nobody has the other end any more
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), said


@contextmanager
def serving_later(directory: Path) -> Iterator[Callable[[], str]]:
    """Start a site that may not be able to serve yet; returns its output."""
    file = directory / "site.log"
    with file.open("wb") as log:
        command = [PROGRAM, "--app=shop", "--reload", "--port=0"]
        process = subprocess.Popen(command, cwd=directory, env=environment(), stdout=log, stderr=subprocess.STDOUT)
    try:
        yield file.read_text
    finally:
        children = psutil.Process(process.pid).children()
        process.terminate()
        try:
            process.wait(seconds(15))
        finally:
            for child in children:
                if child.is_running():
                    child.kill()
            process.kill()
            process.wait()


class TestDebug:
    def test_errors_are_shown_in_the_browser(self, directory: Path) -> None:
        with serving(directory, "--app=shop.py", "--debug") as (url, log, _):
            status, body = get(f"{url}/fail")
            assert (status, "KeyError: &#39;what failed&#39;" in body) == (500, True)
            assert "debug mode is on" in log()
            assert get(f"{url}/debug/pprof/")[0] == 404
            assert get(f"{url}/realtime/debug/pprof/")[0] == 404

    def test_errors_are_not_shown_without_debug(self, directory: Path) -> None:
        with serving(directory, FLASK_APP="shop") as (url, log, _):
            status, body = get(f"{url}/fail")
            assert (status, "what failed" in body) == (500, False)
            assert "KeyError: 'what failed'" in log()


class TestErrors:
    def test_error_of_the_module_is_reported_with_its_traceback(self, directory: Path) -> None:
        file = directory / "shop.py"
        file.write_text("def fail():\n    return unknown\n\n\nfail()\n")
        done = subprocess.run(
            [PROGRAM, "--app=shop"],
            cwd=directory,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=seconds(20),
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f'Traceback (most recent call last):\n  File "{file}", line 5, in <module>\n')
        assert done.stderr.endswith("NameError: name 'unknown' is not defined\n")
        assert "gentrifugo" not in done.stderr


class TestWorkers:
    def test_several_workers_serve_one_site(self, directory: Path, tmp_path: Path) -> None:
        with redis_server(tmp_path) as redis:
            options = f'app.config.update(GENTRIFUGO_ENGINE="redis", GENTRIFUGO_REDIS_URL="redis://{redis.address}")'
            (directory / "shop.py").write_text(SITE.format(options=options))
            with serving(directory, "--app=shop", "--workers=2") as (url, log, master):
                eventually(lambda: log().count(" ready") == 2, within=15, what=log)
                workers = {str(child.pid) for child in master.children()}
                eventually(lambda: get_many(f"{url}/process") == workers, within=15, what=log)
                clients = [websocket(url) for _ in range(6)]
                opened = [client.__enter__() for client in clients]
                try:
                    for client in opened:
                        connected(client, url)
                    assert get(f"{url}/tell/hello", form={})[0] == 204
                    for client in opened:
                        assert client.recv_json()["body"]["data"] == {"text": "hello"}
                    master.send_signal(signal.SIGUSR2)
                    for client in opened:
                        assert client.wait_closed(20).advice == {"reason": "shutting down", "reconnect": True}
                finally:
                    for context in clients:
                        context.__exit__(None, None, None)
                eventually(lambda: get_many(f"{url}/process").isdisjoint(workers), within=15, what=log)

    def test_an_application_that_fails_ends_the_master(self, directory: Path) -> None:
        (directory / "shop.py").write_text("1 / 0\n")
        done = run(directory, "--app=shop", "--workers=2")
        assert done.returncode == 1
        assert done.stderr.count("ZeroDivisionError: division by zero") == 1


def get_many(url: str) -> set[str]:
    return {get(url)[1] for _ in range(20)}


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that exits by itself."""
    return subprocess.run(
        [PROGRAM, *arguments], cwd=directory, env=environment(), capture_output=True, text=True, timeout=seconds(20)
    )
