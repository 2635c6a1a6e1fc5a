"""The site on docs/from-flask-socketio.md, with both servers, in real processes and with client libraries."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
from centrifuge import Client, ReplyError, SubscriptionEventHandler

from tests.docs.pages import page
from tests.integration.test_flask import LISTENING, PROGRAM, environment
from tests.waiting import eventually, seconds

THEIRS, OURS = (block.text for block in page("from-flask-socketio.md").blocks if block.language == "python")
SAID = {"name": "ann", "text": "hello"}


@contextmanager
def served(directory: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Provide a site in a `with` block. Its output goes to the file `log`."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment(), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(seconds(10))


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[str]:
    """The address of the site with Flask-SocketIO."""
    (tmp_path / "their_site.py").write_text(THEIRS, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with served(tmp_path, sys.executable, "their_site.py", str(port)):
        eventually(lambda: accepts(port), within=20, what="the site listens")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[str]:
    """The address of the site with Gentrifugo."""
    (tmp_path / "our_site.py").write_text(OURS, encoding="utf-8")
    log = tmp_path / "log"
    with served(tmp_path, PROGRAM, "--app=our_site:app", "--port=0", "--address=127.0.0.1"):
        found = eventually(
            lambda: LISTENING.search(log.read_text(encoding="utf-8")), within=20, what="the site listens"
        )
        yield found[1]


@asynccontextmanager
async def logged_in(url: str, name: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser without pages, which has the cookie of a user."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.post(f"{url}/login/{name}") as reply:
            assert reply.status == 204
        yield http


def test_site_with_flask_socketio_works(theirs: str) -> None:
    async def talk() -> None:
        async with logged_in(theirs, "ann") as http, logged_in(theirs, "bob") as other:
            ann = socketio.AsyncClient(http_session=http, reconnection=False)
            bob = socketio.AsyncClient(http_session=other, reconnection=False)
            joined: asyncio.Queue[Any] = asyncio.Queue()
            said: asyncio.Queue[Any] = asyncio.Queue()
            ann.on("joined", joined.put)
            bob.on("said", said.put)
            for client in (ann, bob):
                await client.connect(theirs)
                assert await client.call("join", "lobby") == {"texts": []}
            assert [await joined.get(), await joined.get()] == [{"name": "ann"}, {"name": "bob"}]
            assert await ann.call("say", ("lobby", "hello")) == {"number": 1}
            assert await said.get() == SAID
            assert await bob.call("join", "attic") == {"error": "no such room"}
            assert await bob.call("join", "lobby") == {"texts": ["hello"]}
            for client in (ann, bob):
                await client.disconnect()
        async with aiohttp.ClientSession() as http:
            stranger = socketio.AsyncClient(http_session=http, reconnection=False)
            with pytest.raises(socketio.exceptions.ConnectionError):
                await stranger.connect(theirs)
            await stranger.shutdown()

    asyncio.run(asyncio.wait_for(talk(), seconds(40)))


class Events(SubscriptionEventHandler):
    """Records joins and publications."""

    def __init__(self) -> None:
        self.joined: asyncio.Queue[str] = asyncio.Queue()
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        self.refused: asyncio.Queue[int] = asyncio.Queue()

    async def on_join(self, ctx: Any) -> None:
        await self.joined.put(ctx.info.user)

    async def on_publication(self, ctx: Any) -> None:
        await self.said.put(ctx.pub.data)

    async def on_unsubscribed(self, ctx: Any) -> None:
        await self.refused.put(ctx.code)


def client_of(http: aiohttp.ClientSession, url: str) -> Client:
    async def token() -> str:
        async with http.get(f"{url}/token") as reply:
            return str((await reply.json())["token"])

    return Client(f"{url.replace('http', 'ws')}/realtime/connection/websocket", get_token=token, proxy=None)


async def refusal_of(client: Client, data: dict[str, str]) -> int:
    """Return the code of the error with which the call `say` is refused; 0 if it is not."""
    try:
        await client.rpc("say", data)
    except ReplyError as error:
        return int(error.code)
    return 0


def test_site_with_gentrifugo_works(ours: str) -> None:
    async def talk() -> None:
        async with logged_in(ours, "ann") as http, logged_in(ours, "bob") as other:
            ann, bob = client_of(http, ours), client_of(other, ours)
            seen = {ann: Events(), bob: Events()}
            rooms = {}
            for client, events in seen.items():
                await client.connect()
                await client.ready()
                rooms[client] = client.new_subscription("room:lobby", events=events, join_leave=True)
                await rooms[client].subscribe()
                await rooms[client].ready()
            assert [await seen[ann].joined.get(), await seen[ann].joined.get()] == ["ann", "bob"]
            reply = await ann.rpc("say", {"room": "room:lobby", "text": "hello"})
            assert reply.data == {"number": 1}
            assert await seen[bob].said.get() == SAID
            assert await refusal_of(ann, {"room": "room:attic", "text": "hello"}) == 404
            assert await refusal_of(ann, {"room": "room:lobby"}) == 107
            attic = bob.new_subscription("room:attic", events=seen[bob])
            await attic.subscribe()
            assert await seen[bob].refused.get() == 103
            history = await rooms[bob].history(limit=-1)
            assert [publication.data for publication in history.publications] == [SAID]
            for client in seen:
                await client.disconnect()
        async with aiohttp.ClientSession() as http, http.get(f"{ours}/token") as reply:
            assert reply.status == 403

    asyncio.run(asyncio.wait_for(talk(), seconds(40)))
