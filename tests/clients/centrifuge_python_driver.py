"""Runs centrifuge-python for a test: centrifuge_python_driver.py '{"url": ..., "format": ..., "options": ...}'

Commands, events and configuration are those of centrifuge5_client.js. Options have the names of this library.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.request import Request, urlopen

from centrifuge import CentrifugeError, Client, ClientEventHandler, SubscriptionEventHandler
from centrifuge.exceptions import ReplyError
from centrifuge.types import ClientInfo, Publication, StreamPosition

configuration = json.loads(sys.argv[1])
IS_BINARY = configuration.get("format") == "protobuf"


def emit(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def encode(data: Any) -> Any:
    return json.dumps(data).encode() if IS_BINARY else data


def decode(data: Any) -> Any:
    """Decode a payload, which is bytes if the library uses Protobuf; payloads of the tests are always JSON."""
    if not IS_BINARY:
        return data
    return json.loads(data) if data else None


def info(client: ClientInfo | None) -> dict[str, Any] | None:
    if client is None:
        return None
    known = {"conn_info": decode(client.conn_info), "chan_info": decode(client.chan_info)}
    present = {name: value for name, value in known.items() if value is not None}
    return {"user": client.user, "client": client.client, **present}


def shown(publication: Publication) -> dict[str, Any]:
    return {
        "data": decode(publication.data),
        "offset": publication.offset,
        "info": info(publication.info),
        "tags": dict(publication.tags or {}),
    }


def _post(url: str, body: dict[str, Any]) -> str:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as response:
        return str(json.load(response)["token"])


async def ask(url: str, **body: Any) -> str:
    """Request a token from the application of the test."""
    return await asyncio.to_thread(_post, url, body)


class ClientEvents(ClientEventHandler):
    """Reports events of the connection."""

    async def on_connecting(self, ctx: Any) -> None:
        emit("connecting", code=int(ctx.code), reason=ctx.reason)

    async def on_connected(self, ctx: Any) -> None:
        emit("connected", client=ctx.client)

    async def on_disconnected(self, ctx: Any) -> None:
        emit("disconnected", code=int(ctx.code), reason=ctx.reason)

    async def on_error(self, ctx: Any) -> None:
        emit("error", code=int(ctx.code), message=str(ctx.error))

    async def on_subscribed(self, ctx: Any) -> None:
        emit("server_subscribed", channel=ctx.channel, recovered=ctx.recovered)

    async def on_unsubscribed(self, ctx: Any) -> None:
        emit("server_unsubscribed", channel=ctx.channel)

    async def on_publication(self, ctx: Any) -> None:
        emit("server_publication", channel=ctx.channel, **shown(ctx.pub))


class SubscriptionEvents(SubscriptionEventHandler):
    """Reports events of one subscription."""

    def __init__(self, channel: str) -> None:
        self.channel = channel

    async def on_subscribing(self, ctx: Any) -> None:
        emit("subscribing", channel=self.channel, code=int(ctx.code), reason=ctx.reason)

    async def on_subscribed(self, ctx: Any) -> None:
        emit(
            "subscribed",
            channel=self.channel,
            was_recovering=ctx.was_recovering,
            recovered=ctx.recovered,
            recoverable=ctx.recoverable,
            positioned=ctx.positioned,
        )

    async def on_unsubscribed(self, ctx: Any) -> None:
        emit("unsubscribed", channel=self.channel, code=int(ctx.code), reason=ctx.reason)

    async def on_error(self, ctx: Any) -> None:
        emit("subscription_error", channel=self.channel, code=int(ctx.code), message=str(ctx.error))

    async def on_publication(self, ctx: Any) -> None:
        emit("publication", channel=self.channel, **shown(ctx.pub))

    async def on_join(self, ctx: Any) -> None:
        emit("join", channel=self.channel, info=info(ctx.info))

    async def on_leave(self, ctx: Any) -> None:
        emit("leave", channel=self.channel, info=info(ctx.info))


class Commands:
    """The commands that a test can send."""

    def __init__(self) -> None:
        options = dict(configuration.get("options", {}))
        if "tokens" in configuration:
            options["get_token"] = lambda: ask(configuration["tokens"])
        self.client = Client(configuration["url"], ClientEvents(), use_protobuf=IS_BINARY, proxy=None, **options)

    async def connect(self, command: dict[str, Any]) -> None:
        await self.client.connect()

    async def disconnect(self, command: dict[str, Any]) -> None:
        await self.client.disconnect()

    async def subscribe(self, command: dict[str, Any]) -> None:
        channel = command["channel"]
        subscription = self.client.get_subscription(channel)
        if subscription is None:
            options = dict(command.get("options", {}))
            if "channelTokens" in configuration:
                options["get_token"] = lambda channel: ask(configuration["channelTokens"], channel=channel)
            subscription = self.client.new_subscription(channel, events=SubscriptionEvents(channel), **options)
        await subscription.subscribe()

    async def unsubscribe(self, command: dict[str, Any]) -> None:
        subscription = self.client.get_subscription(command["channel"])
        assert subscription is not None
        await subscription.unsubscribe()

    async def publish(self, command: dict[str, Any]) -> None:
        await self.client.publish(command["channel"], encode(command["data"]))

    async def presence(self, command: dict[str, Any]) -> dict[str, Any]:
        result = await self.client.presence(command["channel"])
        return {client: info(about) for client, about in result.clients.items()}

    async def presence_stats(self, command: dict[str, Any]) -> dict[str, int]:
        result = await self.client.presence_stats(command["channel"])
        return {"num_clients": result.num_clients, "num_users": result.num_users}

    async def history(self, command: dict[str, Any]) -> dict[str, Any]:
        options = dict(command.get("options", {}))
        if "since" in options:
            options["since"] = StreamPosition(**options["since"])
        result = await self.client.history(command["channel"], **options)
        publications = [shown(publication) for publication in result.publications]
        return {"publications": publications, "offset": result.offset, "epoch": result.epoch}


REPORTED = ("publish", "presence", "presence_stats", "history")


async def run(commands: Commands, command: dict[str, Any]) -> None:
    """Carry out one command, and report its outcome if it has one."""
    method = command["do"]
    try:
        result = await getattr(commands, method)(command)
    except ReplyError as error:
        emit("failed", method=method, code=error.code, message=error.message)
    except CentrifugeError as error:
        emit("failed", method=method, code=0, message=str(error))
    else:
        if method in REPORTED:
            emit("done", method=method, result=result)


async def main() -> None:
    commands = Commands()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    async for line in reader:
        task = asyncio.create_task(run(commands, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await commands.client.disconnect()


asyncio.run(main())
