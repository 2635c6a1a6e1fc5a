"""The programs for pages and applications in docs/clients.md: compiled with tsc, and run against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api_client import APIClient
from tests.credentials import jwt
from tests.docs.pages import Block, page
from tests.docs.programs import Program
from tests.parts import ROOT, node_package
from tests.servers import Server
from tests.waiting import seconds

THIS = "tests/docs/test_page_snippets.py"
BLOCKS = [block for block in page("clients.md").blocks if block.mark == f"run by {THIS}"]
OPTIONS = {
    "strict": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom"],
    "jsx": "react-jsx",
    "types": [],
    "outDir": "built",
}


def block(words: str) -> Block:
    """The one block that has these words."""
    (found,) = (block for block in BLOCKS if words in block.text)
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with each program as a file, translated to JavaScript. Any error of tsc is a failure."""
    directory = tmp_path_factory.mktemp("page")
    packages = directory / "node_modules"
    packages.mkdir()
    for name, installed in (
        ("centrifuge", "centrifuge5"),
        *((name, name) for name in ("@types", "react", "vue", "ws")),
    ):
        (packages / name).symlink_to(node_package(installed))
    for name, words, ending in (
        ("room", "openRoom", "ts"),
        ("protobuf", "connectWithProtobuf", "ts"),
        ("react", "export function Room(", "tsx"),
        ("vue", "useRoom", "ts"),
        ("native", "disconnectInBackground", "tsx"),
    ):
        (directory / f"{name}.{ending}").write_text(block(words).text, encoding="utf-8")
    (directory / "react_native.d.ts").write_text((ROOT / "tests/docs/react_native.d.ts").read_text(encoding="utf-8"))
    (directory / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS}), encoding="utf-8")
    compiler = node_package("typescript") / "bin" / "tsc"
    done = subprocess.run(["node", compiler], cwd=directory, capture_output=True, text=True, timeout=seconds(60))
    assert done.returncode == 0, done.stdout + done.stderr
    return directory / "built"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(**json.loads(block("namespaces").text))


@pytest.fixture
def token(server: Server) -> str:
    return jwt(str(server.options["token_hmac_secret_key"]), sub="42")


def address(server: Server) -> str:
    return f"ws://{server.host}:{server.port}/connection/websocket"


def output_of(built: Path, program: str) -> list[str]:
    """Return the output of a Node program that uses the translated programs."""
    before = f"global.WebSocket = require({json.dumps(str(built.parent / 'node_modules/ws'))});"
    return Program("javascript", f"{before}\n{program}", built).output().splitlines()


def test_all_blocks_are_used() -> None:
    assert [block.language for block in BLOCKS] == [
        "json",
        "typescript",
        "typescript",
        "tsx",
        "typescript",
        "tsx",
        "python",
        "python",
    ]


def test_room_snippet_runs(built: Path, server: Server, token: str) -> None:
    assert output_of(
        built,
        f"""
        const asked = [];
        global.fetch = async (path, {{method}}) => {{
            asked.push(method + ' ' + path);
            return {{status: 200, json: async () => ({{token: {token!r}}})}};
        }};
        const {{openRoom}} = require('./room.js');
        const shown = new Promise((resolve) => {{
            const show = (text) => {{ console.log(text); resolve(); }};
            const room = openRoom({address(server)!r}, show, async () => {{
                await room.say('hello');
                await shown;
                room.leave();
                console.log(asked.join());
            }});
        }});
        """,
    ) == ["hello", "disconnected: 0 disconnect called", "POST /token"]


def test_page_without_a_session_stops_connecting(built: Path, server: Server) -> None:
    assert output_of(
        built,
        f"""
        global.fetch = async () => ({{status: 403}});
        require('./room.js').openRoom({address(server)!r}, console.log, () => {{}});
        """,
    ) == ["disconnected: 1 unauthorized"]


def test_protobuf_snippet_runs(built: Path, server: Server, token: str) -> None:
    assert output_of(
        built,
        f"""
        const {{connectWithProtobuf}} = require('./protobuf.js');
        const shown = new Promise(async (resolve) => {{
            const show = (text) => {{ console.log(text); resolve(); }};
            const centrifuge = connectWithProtobuf({address(server)!r}, {token!r}, show);
            const room = centrifuge.getSubscription('chat:lobby');
            await room.ready();
            await room.publish(new TextEncoder().encode(JSON.stringify({{text: 'hello'}})));
            await shown;
            centrifuge.disconnect();
        }});
        """,
    ) == ["hello"]


def test_vue_snippet_runs(built: Path, server: Server, token: str) -> None:
    assert output_of(
        built,
        f"""
        const {{Centrifuge}} = require({json.dumps(str(built.parent / "node_modules/centrifuge"))});
        const {{effectScope}} = require({json.dumps(str(built.parent / "node_modules/vue"))});
        const {{useRoom}} = require('./vue.js');
        const centrifuge = new Centrifuge({address(server)!r}, {{token: {token!r}}});
        const scope = effectScope();
        const messages = scope.run(() => useRoom(centrifuge, 'chat:lobby'));
        const room = centrifuge.getSubscription('chat:lobby');
        const shown = new Promise((resolve) => room.on('publication', resolve));
        centrifuge.connect();
        room.ready().then(() => room.publish({{text: 'hello'}})).then(() => shown).then(() => {{
            console.log(JSON.stringify(messages.value));
            scope.stop();
            console.log(centrifuge.getSubscription('chat:lobby'));
            centrifuge.disconnect();
        }});
        """,
    ) == ['[{"text":"hello"}]', "null"]


def test_python_snippet_runs(server: Server, token: str, tmp_path: Path) -> None:
    program = Program(
        "python",
        f"{block('async def listen').text}\n\nasyncio.run(listen({address(server)!r}, {token!r}))\n",
        tmp_path,
    )
    program.output()
    api = APIClient(server.host, server.port, key=str(server.options["api_key"]))
    history = api.call_v4("history", channel="chat:lobby", limit=10)
    assert [publication["data"] for publication in history["publications"]] == [{"text": "hello from Python"}]


def test_python_snippet_with_a_token_of_the_subscription_runs(server: Server, token: str, tmp_path: Path) -> None:
    of_channel = jwt(str(server.options["token_hmac_secret_key"]), sub="42", channel="$board")
    program = f"""
async def ask(channel):
    return {{"$board": {of_channel!r}}}.get(channel)

async def talk():
    client = Client({address(server)!r}, token={token!r})
    await client.connect()
    print((await subscribe(client, "$board", ask)).state.value)
    try:
        await subscribe(client, "$other", ask)
    except SubscriptionUnsubscribedError as error:
        print("refused", client.get_subscription("$other").state.value)
    await client.disconnect()

asyncio.run(talk())
"""
    imports = "import asyncio\nfrom centrifuge import SubscriptionUnsubscribedError"
    done = Program("python", f"{imports}\n{block('async def subscribe').text}\n{program}", tmp_path)
    assert done.output().splitlines() == ["subscribed", "refused unsubscribed"]
