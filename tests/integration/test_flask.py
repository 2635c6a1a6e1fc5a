"""The server inside a Flask site: with the command, with both gunicorn workers, and with unsupported servers."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.clients.driver import Driver, node_driver
from tests.docs.pages import page
from tests.gunicorn_server import GENTRIFUGO_WORKER, SETTINGS, STOCK_WORKER
from tests.parts import ROOT, node_package, program
from tests.redis_server import free_port, redis_server
from tests.waiting import eventually, seconds
from tests.websocket_client import WebSocketClient

EXAMPLE = ROOT / "examples" / "flask"
PROGRAM = str(Path(sys.executable).parent / "gentrifugo")
COMMAND = [PROGRAM, "--app=chat:create_app", "--address=127.0.0.1", "--port=0"]
LIBRARY_V5 = "https://cdn.jsdelivr.net/npm/centrifuge@5.8.0/dist/centrifuge.js"
SESSION = """

@app.get("/")
def home():
    return "here"


@app.get("/login/<name>")
def login(name):
    session.update(user=name, name=name.title())
    return ""
"""
"""Pages of a site whose hooks go by its sessions."""
CREDENTIALS = """

@app.get("/credentials")
def credentials():
    return realtime.connection_params("42")
"""
"""A view with what a client of protocol v1 needs."""
LISTENING = re.compile(r"(?:listening on|Listening at:|Running on) (http://127\.0\.0\.1:\d+)", re.IGNORECASE)

Start = Callable[..., str]


def gunicorn_command(worker: str) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "--config", str(SETTINGS), "--bind=127.0.0.1:0", "--no-control-socket"]
    return [*command, f"--worker-class={worker}", "chat:create_app()"]


@contextmanager
def running(
    command: list[str], directory: Path, log_file: Path, status: int | None = 0, logs_tracebacks: bool = False
) -> Iterator[str]:
    """Run a command that serves the site, and return its address; it must end with `status` and log no traceback."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment(), stdout=log, stderr=subprocess.STDOUT)
    try:
        url = eventually(lambda: LISTENING.search(log_file.read_text()), within=10, what=f"it listens: {command}")[1]
        eventually(lambda: get(f"{url}/")[0] == 200, within=10, what="the page")
        yield url
        process.terminate()
        assert process.wait(seconds(10)) == status or status is None
        assert logs_tracebacks or "Traceback" not in log_file.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def environment() -> dict[str, str]:
    return {**os.environ, "SECRET_KEY": "key", "PYTHONUNBUFFERED": "1"}


def get(
    url: str, form: dict[str, str] | None = None, opener: urllib.request.OpenerDirector | None = None
) -> tuple[int, str]:
    """Return status and body of a GET or, with `form`, of a POST."""
    data = None if form is None else urlencode(form).encode()
    try:
        with (opener or urllib.request.build_opener()).open(url, data, timeout=seconds(5)) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@contextmanager
def two_browsers() -> Iterator[list[Driver]]:
    node_package("centrifuge")
    with (
        node_driver("browser_driver.js", program("chromium"), package="playwright-core") as first,
        node_driver("browser_driver.js", program("chromium"), package="playwright-core") as second,
    ):
        for browser in (first, second):
            browser.wait_for("ready", within=30)
        yield [first, second]


def evaluate(browser: Driver, expression: str) -> None:
    browser.send(do="evaluate", expression=expression)
    browser.wait_for("value")


def shows(browser: Driver, selector: str, text: str, within: float = 5) -> None:
    eventually(lambda: text in text_of(browser, selector), within, what=f"{text} is shown")


def text_of(browser: Driver, selector: str) -> str:
    browser.send(do="text", selector=selector)
    return str(browser.wait_for("text")["text"])


def enter(browser: Driver, url: str, name: str) -> None:
    browser.send(do="open", url=url)
    browser.wait_for("opened")
    evaluate(browser, f"document.querySelector('[name=name]').value = '{name}'")
    browser.send(do="click", selector="button")
    shows(browser, "#who", name)


def say(browser: Driver, text: str) -> None:
    evaluate(browser, f"document.querySelector('[name=text]').value = '{text}'")
    browser.send(do="click", selector="#say button")


@pytest.mark.parametrize(
    "command",
    [COMMAND, gunicorn_command(GENTRIFUGO_WORKER), gunicorn_command(STOCK_WORKER)],
    ids=["command", "ours", "stock"],
)
def test_messages_of_one_browser_reach_another(tmp_path: Path, command: list[str]) -> None:
    # The browsers end first: under the stock worker, connections that they keep hold up its end.
    with running(command, EXAMPLE, tmp_path / "site.log") as url, two_browsers() as browsers:
        ann, bob = browsers
        enter(ann, url, "Ann")
        say(ann, "<b>Is anybody here?</b>")
        shows(ann, "#messages", "<b>Is anybody here?</b>")
        enter(bob, url, "Bob")
        shows(bob, "#messages", "Is anybody here?")  # from the history
        shows(ann, "#who", "Ann\nBob")
        say(bob, "I am")
        for browser in browsers:
            shows(browser, "#messages", "I am")
        bob.send(do="click", selector="header button")
        shows(bob, "h1", "Lobby")
        shows(ann, "#messages", "Bob left")
        eventually(lambda: "Bob" not in text_of(ann, "#who"), what="Bob has gone")


def test_removed_user_is_disconnected(tmp_path: Path) -> None:
    with running(COMMAND, EXAMPLE, tmp_path / "site.log") as url, two_browsers() as (host, bob):
        enter(host, url, "host")
        enter(bob, url, "Bob")
        shows(host, "#who", "Bob")
        host.send(do="click", selector="[title='Remove Bob']")
        shows(bob, "#who", "Disconnected: disconnect")
        shows(host, "#messages", "Bob left")
        bob.send(do="open", url=url)
        shows(bob, "button", "Enter")  # the session is of nobody any more
        evaluate(bob, "document.querySelector('[name=name]').value = 'Bob'")
        bob.send(do="click", selector="button")
        shows(bob, "body", "the host has removed you")


def test_messages_published_during_a_restart_are_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process publishes to the site in the meantime."""
    with redis_server(tmp_path) as redis, two_browsers() as browsers:
        monkeypatch.setenv("REDIS_URL", f"redis://{redis.address}")
        command = [*COMMAND[:-1], f"--port={free_port()}"]
        with running(command, EXAMPLE, tmp_path / "before.log") as url:
            for browser, name in zip(browsers, ("Ann", "Bob"), strict=True):
                enter(browser, url, name)
            say(browsers[0], "before")
            for browser in browsers:
                shows(browser, "#messages", "before")
        shows(browsers[0], "#who", "Connecting again")
        for text in ("one", "two", "three"):
            publish = ["flask", "--app", "chat:create_app", "realtime", "publish", "chat:lobby"]
            data = json.dumps({"user": "cron", "text": f"meanwhile {text}"})
            subprocess.run([sys.executable, "-m", *publish, data], cwd=EXAMPLE, env=environment(), check=True)
        with running(command, EXAMPLE, tmp_path / "after.log"):
            for browser in browsers:
                shows(browser, "#messages", "cronmeanwhile one\ncronmeanwhile two\ncronmeanwhile three", within=15)
            say(browsers[0], "after")
            shows(browsers[1], "#messages", "after")


def test_development_server_serves_the_site_and_logs_its_limits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", "chat:create_app", "run", "--port=0"]
    with running(command, EXAMPLE, tmp_path / "site.log", status=None) as url:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        assert "Lobby" in get(f"{url}/", opener=opener)[1]
        for path in ("info", "websocket", "000/session/xhr"):
            status, says = get(f"{url}/realtime/connection/{path}")
            assert (status, "gevent has not patched this process. Instead, run" in says) == (501, True)
        assert (tmp_path / "site.log").read_text().count("gevent has not patched") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--app=nowhere"], "--app: module 'nowhere' not found: there is no file {directory}/nowhere.py"),
        (["--app=nowhere:app"], "--app: module 'nowhere' not found: there is no file {directory}/nowhere.py"),
        (["--app=library:app"], "--app: Failed to find attribute 'app' in 'library'."),
        (["--app=chat:app"], "--app: Failed to find attribute 'app' in 'chat'; did you mean chat:create_app?"),
        (["--app=chat.py:app"], "--app: Failed to find attribute 'app' in 'chat'; did you mean chat.py:create_app?"),
        (
            ["--app=chat", "--workers=2"],
            "workers: more than one requires the Redis engine, because the memory engine does not connect processes: "
            'set app.config["GENTRIFUGO_ENGINE"] = "redis"',
        ),
        (["--app=chat", "--workers=2", "--reload"], "--reload: works with one process only; remove --workers"),
        (["--reload"], "--reload: requires --app, or FLASK_APP in the environment"),
        (["--app=bare"], "--app: bare has no Gentrifugo server: add Gentrifugo(app) to it"),
        (
            ["--app=chat:create_app", "--engine=redis"],
            "--engine: not allowed with --app: set GENTRIFUGO_ENGINE in the config of the application",
        ),
        (
            ["--app=chat:create_app", "--config=other.json"],
            "--config: not allowed with --app; pass the file to Gentrifugo(...) in the application",
        ),
        (["--app=chat:create_app", "--port=many"], '--port: Must be an integer; the value is "many".'),
    ],
)
def test_command_reports_errors_of_the_application(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "bare.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    for name in ("chat.py", "library.py"):
        (tmp_path / name).write_text((EXAMPLE / name).read_text())
    done = subprocess.run([PROGRAM, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=seconds(20))
    assert (done.returncode, done.stderr) == (1, f"gentrifugo: {says.format(directory=tmp_path)}\n")


@pytest.mark.parametrize("command", ["checkconfig", "doctor"])
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--app=chat:create_app", "--port=0"], 0, "the application chat:create_app"),
        (["--app=chat:create_app", "--port=0", "--workers=2"], 1, "workers: more than one requires the Redis engine"),
        (["--app=chat:create_app", "--log_file=/nowhere/log"], 1, "/nowhere/log"),
        (["--app=broken"], 1, "No module named 'nothing'"),
    ],
    ids=["right", "several workers", "no log file", "broken code"],
)
def test_the_configuration_of_an_application_is_checked(
    tmp_path: Path, command: str, arguments: list[str], status: int, says: str
) -> None:
    (tmp_path / "broken.py").write_text("import nothing\n")
    for name in ("chat.py", "library.py"):
        (tmp_path / name).write_text((EXAMPLE / name).read_text())
    done = subprocess.run(
        [PROGRAM, command, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds(20),
    )
    assert (done.returncode, says in done.stdout + done.stderr) == (status, True), done


def example(name: str, words: str) -> str:
    """The only block of Python on a page that contains these words."""
    (found,) = (block.text for block in page(name).blocks if block.language == "python" and words in block.text)
    return found


def exchange(client: WebSocketClient, method: str, **params: object) -> dict[str, Any]:
    client.send_json({"uid": method, "method": method, "params": params})
    reply: dict[str, Any] = client.recv_json()
    return reply


@contextmanager
def websocket(url: str, headers: dict[str, str] | None = None) -> Iterator[WebSocketClient]:
    """A connection to the server in the site."""
    port = int(url.rpartition(":")[2])
    client = WebSocketClient.connect("127.0.0.1", port, "/realtime/connection/websocket", headers)
    try:
        yield client
    finally:
        client.drop()


def test_other_processes_publish_as_the_docs_say(tmp_path: Path) -> None:
    """This uses the options, the task of a worker, the command and the publisher from the page, unchanged."""
    site, options = example("flask.md", "def page"), example("flask.md", "GENTRIFUGO_NAMESPACES")
    task, publishing = example("flask.md", "@celery.task"), example("flask.md", "outside =")
    worker = (
        f"import types\nfrom news import app, realtime\ncelery = types.SimpleNamespace(task=lambda task: task)\n{task}"
    )
    with redis_server(tmp_path) as redis:
        address = f'app.config["GENTRIFUGO_REDIS_URL"] = "redis://{redis.address}/0"'
        created = "realtime = Gentrifugo(app)"
        site = site.replace(created, f"{options}\n{address}\n{created}") + CREDENTIALS
        (tmp_path / "news.py").write_text(site, encoding="utf-8")
        programs = [
            [sys.executable, "-c", f"{worker}\nconvert('a.pdf')"],
            [sys.executable, "-c", publishing.replace("127.0.0.1:6379", redis.address)],
            [sys.executable, "-m", *["flask", "--app", "news", "realtime", "publish", "news"], '{"text": "hello"}'],
        ]
        command = [PROGRAM, "--app=news:app", "--address=127.0.0.1", "--port=0"]
        with running(command, tmp_path, tmp_path / "site.log") as url, websocket(url) as client:
            credentials = json.loads(get(f"{url}/credentials")[1])
            assert "error" not in exchange(client, "connect", **{**credentials, "url": ""})
            for channel in ("files", "news", "chat:lobby"):
                assert "error" not in exchange(client, "subscribe", channel=channel)
            got = []
            for arguments in programs:
                subprocess.run(arguments, cwd=tmp_path, env=environment(), check=True, timeout=seconds(20))
                got.append(client.recv_json()["body"])
    assert [(body["channel"], body["data"]) for body in got] == [
        ("files", {"done": "a.pdf"}),
        ("news", {"text": "hello"}),
        ("news", {"text": "hello"}),
    ]


def test_hooks_of_the_documentation_work(tmp_path: Path) -> None:
    """The hooks of hooks.md, in a site with sessions and a table of members."""
    head = (
        "from flask import Flask\n\napp = Flask(__name__)\napp.config.update(SECRET_KEY='key', GENTRIFUGO_PUBLISH=True)"
    )
    members = "class Membership:\n    exists = staticmethod(lambda user, channel: (user, channel) == ('ann', 'news'))"
    site = "\n\n\n".join((head, members, example("hooks.md", "def who"), SESSION))
    (tmp_path / "club.py").write_text(site, encoding="utf-8")
    command = [PROGRAM, "--app=club:app", "--address=127.0.0.1", "--port=0"]
    with running(command, tmp_path, tmp_path / "site.log") as url:
        with websocket(url) as stranger:
            stranger.send_json({"method": "connect", "params": {}})
            assert stranger.wait_closed().advice == {"reason": "permission denied", "reconnect": False}
        with websocket(url, {"Cookie": logged_in(url, "ann")}) as ann:
            assert "error" not in exchange(ann, "connect")
            assert exchange(ann, "subscribe", channel="board")["error"] == "members only"
            assert "error" not in exchange(ann, "subscribe", channel="news")
            message = exchange(ann, "publish", channel="news", data={"text": "HELLO"})["body"]
            assert (message["data"], message["info"]["default_info"]) == ({"text": "hello"}, {"name": "Ann"})


def logged_in(url: str, name: str) -> str:
    """The cookie of a browser that has logged in."""
    cookies = http.cookiejar.CookieJar()
    get(f"{url}/login/{name}", opener=urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies)))
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)


FACTORY_VIEW = """

    @app.post("/tell/<text>")
    def tell(text):
        realtime.publish("news", {"text": text})
        return "", 204
"""
"""A view for the factory of the docs, whose last line returns the application."""


def write_factory(directory: Path) -> None:
    """Write the factory of the docs with a view to news.py."""
    code, _, last = example("flask.md", "def create_app(**config)").rstrip().rpartition("\n")
    (directory / "news.py").write_text(f"{code}\n{FACTORY_VIEW}\n{last}\n", encoding="utf-8")


def test_factory_of_the_documentation_works(tmp_path: Path) -> None:
    """The arguments of the constructor apply: the prefix, and only the endpoints of clients."""
    write_factory(tmp_path)
    command = [PROGRAM, "--app=news:create_app", "--address=127.0.0.1", "--port=0"]
    with (tmp_path / "news.py").open("a", encoding="utf-8") as code:
        code.write("\n\nfactory = create_app\n\n\ndef create_app():\n    app = factory()\n")
        code.write('    app.add_url_rule("/", "home", lambda: "here")\n    return app\n')
    with running(command, tmp_path, tmp_path / "site.log") as url:
        assert get(f"{url}/live/connection/info")[0] == 200
        assert [get(f"{url}{path}")[0] for path in ("/live/api/", "/realtime/connection/info")] == [404, 404]
        assert get(f"{url}/tell/hello", {})[0] == 204
    log = (tmp_path / "site.log").read_text()
    assert "/live/connection/websocket" in log
    assert "/live/api/" not in log


def test_smallest_site_of_the_documentation_works(tmp_path: Path) -> None:
    """The code of the page, with another address for the library, because tests have no network."""
    code = example("flask.md", "def page")
    assert LIBRARY_V5 in code
    (tmp_path / "static").mkdir()
    shutil.copy(node_package("centrifuge5") / "dist" / "centrifuge.js", tmp_path / "static")
    (tmp_path / "news.py").write_text(code.replace(LIBRARY_V5, "/static/centrifuge.js"), encoding="utf-8")
    command = [PROGRAM, "--app=news:app", "--address=127.0.0.1", "--port=0"]
    with (
        running(command, tmp_path, tmp_path / "site.log") as url,
        node_driver("browser_driver.js", program("chromium"), package="playwright-core") as browser,
    ):
        browser.wait_for("ready", within=30)
        browser.send(do="open", url=url)
        browser.wait_for("opened")
        evaluate(browser, "centrifuge.ready()")  # the subscription comes with the connection
        assert get(f"{url}/tell/hello", form={})[0] == 204
        shows(browser, "#news", "hello")


def test_chat_of_the_tutorial_works(tmp_path: Path) -> None:
    """The steps of the page, with another address for the library."""
    blocks = page("tutorial.md").blocks
    code = "\n\n".join(block.text for block in blocks if block.language == "python")
    (template,) = (block.text for block in blocks if block.language == "html")
    assert LIBRARY_V5 in template
    for name in ("static", "templates"):
        (tmp_path / name).mkdir()
    shutil.copy(node_package("centrifuge5") / "dist" / "centrifuge.js", tmp_path / "static")
    (tmp_path / "chat.py").write_text(code, encoding="utf-8")
    (tmp_path / "templates" / "chat.html").write_text(template.replace(LIBRARY_V5, "/static/centrifuge.js"))
    command = [PROGRAM, "--app=chat:app", "--address=127.0.0.1", "--port=0"]
    with running(command, tmp_path, tmp_path / "site.log") as url, two_browsers() as (ann, bob):
        enter(ann, url, "Ann")
        say(ann, "Is anybody here?")
        shows(ann, "#messages", "Ann: Is anybody here?")
        enter(bob, url, "Bob")
        shows(bob, "#messages", "Ann: Is anybody here?")
        shows(ann, "#who", "Here: Ann, Bob")
        say(bob, "I am")
        for browser in (ann, bob):
            shows(browser, "#messages", "Bob: I am")
