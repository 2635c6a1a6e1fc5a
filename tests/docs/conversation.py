"""Runs the examples of a page with a real server, mark by mark:

    <!-- server -->                     start anew, with the configuration in the block below
    <!-- server {"presence": true} -->  the same, for a configuration that readers need not see
    <!-- ann connects as 42 with id I --> connect without showing it; the page calls the client id I
    <!-- ann sends -->                  one frame
    <!-- ann receives -->               the next frame, which must be what the block shows
    <!-- ann is closed -->              the reason of the close, code 3000
    <!-- ann hangs up -->               disconnect without a close frame
    <!-- backend sends -->              a signed API request
    <!-- backend receives -->           its answer; `backend receives 400` for another status, with the text of the body
    <!-- run -->                        a program, in the language of the block
    <!-- run where php is installed --> the same, if there is that program
    <!-- run until it says TEXT -->     the same, but it continues in the background after it has printed this text
    <!-- prints -->                     what each program since the last such mark has printed
    <!-- prints at last -->             what the one in the background has printed when it ends
    <!-- run by tests/FILE.py -->       nothing here: that test reads the page and runs the block

The clock of the pages stands at PAGE_TIME: a timestamp is moved to the present, and its token made anew if the token on
the page was right. Programs run where the configuration of the server is in config.json. Ids: see names.py.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.api_client import Answer, APIClient
from tests.credentials import connect_params, private_params
from tests.docs.names import Names
from tests.docs.pages import Block
from tests.docs.programs import Program
from tests.servers import Server
from tests.websocket_client import QUIET, WebSocketClient

PAGE_TIME = 1764000000
PAGE_ADDRESS = "127.0.0.1:8000"
CLOSE_CODE = 3000


class Conversation:
    """The state of the examples of one page. `start` starts a server with given options."""

    def __init__(self, start: Callable[[dict[str, Any]], Server], directory: Path) -> None:
        self._start = start
        self._directory = directory
        self._running: Server | None = None
        self._sockets: dict[str, WebSocketClient] = {}
        self._names = Names()
        self._answer: Answer | None = None
        self._printed: list[str] = []
        self._background: Program | None = None

    def play(self, block: Block) -> None:
        """Carry out one mark; an AssertionError says where the page and the server differ."""
        for pattern, action in _ACTIONS.items():
            if match := re.fullmatch(pattern, block.mark):
                try:
                    action(self, block, *match.groups())
                except Exception as error:
                    raise AssertionError(f"{block.place}, {block.mark}: {type(error).__name__}: {error}") from error
                return
        raise AssertionError(f"{block.place}: there is no mark {block.mark!r}")

    def check_silence(self) -> None:
        """Check that no more messages arrived and no more output was printed than the page shows."""
        assert not any(self._printed), f"a program printed what the page does not show:\n{self._printed}"
        assert self._background is None, "the page does not show what the program in the background prints"
        quiet = QUIET  # all are silent at the same time, so one wait does for all
        for socket in self._sockets.values():
            if socket.closed is None:
                socket.assert_quiet(quiet)
                quiet = 0

    def end(self) -> None:
        """Disconnect all clients, and stop running programs."""
        for socket in self._sockets.values():
            socket.drop()
        if self._background is not None:
            self._background.stop()

    # -- the marks

    def _serve(self, block: Block, options: str | None) -> None:
        self.check_silence()
        self.end()
        self._sockets = {}
        self._names = Names()
        self._running = self._start(json.loads(options or block.text))

    def _connect(self, block: Block, name: str, user: str, client: str) -> None:
        socket = self._socket(name)
        socket.send_json({"uid": "connect", "method": "connect", "params": connect_params(user)})
        self._names.add(client, socket.recv_json()["body"]["client"])

    def _hang_up(self, block: Block, name: str) -> None:
        self._sockets.pop(name).drop()

    def _send(self, block: Block, name: str) -> None:
        self._socket(name).send_text(self._outgoing(block.text))

    def _receive(self, block: Block, name: str) -> None:
        self._names.compare_json(block.text, self._socket(name).recv_text())

    def _closed(self, block: Block, name: str) -> None:
        closed = self._socket(name).wait_closed()
        assert (closed.code, closed.advice) == (CLOSE_CODE, json.loads(block.text)), closed

    def _ask(self, block: Block) -> None:
        self._answer = APIClient(self._server.host, self._server.port).post(self._names.fill(block.text))

    def _answered(self, block: Block, status: str | None) -> None:
        assert self._answer is not None, "the backend has not sent anything"
        assert self._answer.status == int(status or 200), self._answer
        text = self._answer.body.decode()
        if status is None:
            self._names.compare_json(block.text, text)
        else:
            assert text.strip() == block.text

    def _run(self, block: Block) -> None:
        self._printed.append(self._program(block).output())

    def _run_where_installed(self, block: Block, interpreter: str) -> None:
        if shutil.which(interpreter):
            self._run(block)

    def _run_in_background(self, block: Block, text: str) -> None:
        self._background = self._program(block)
        self._background.wait_until_it_says(text)

    def _prints(self, block: Block) -> None:
        outputs, self._printed = self._printed, []
        assert outputs, "no program has run"
        for output in outputs:
            self._names.compare_lines(block.text, output)

    def _prints_at_last(self, block: Block) -> None:
        assert self._background is not None, "no program is in the background"
        self._names.compare_lines(block.text, self._background.output())
        self._background = None

    # -- what it takes

    @property
    def _server(self) -> Server:
        assert self._running is not None, "no server mark before this"
        return self._running

    def _socket(self, name: str) -> WebSocketClient:
        if name not in self._sockets:
            self._sockets[name] = WebSocketClient.connect(self._server.host, self._server.port)
        return self._sockets[name]

    def _program(self, block: Block) -> Program:
        if self._running is None:
            return Program(block.language, block.text, self._directory)
        address = f"{self._running.host}:{self._running.port}"
        return Program(block.language, block.text.replace(PAGE_ADDRESS, address), self._running.config_file.parent)

    def _outgoing(self, text: str) -> str:
        """Return the frame on the page, with current ids and credentials."""
        commands = json.loads(text)
        for command in commands if isinstance(commands, list) else [commands]:
            params = command.get("params", {})
            for name, value in self._fresh_credentials(params).items():
                text = text.replace(params[name], value)
        return self._names.fill(text)

    def _fresh_credentials(self, params: dict[str, Any]) -> dict[str, str]:
        """Return new values for credentials that were valid at PAGE_TIME, or for the client id of the page."""
        info = params.get("info", "")
        if "token" in params and params == connect_params(params["user"], info, int(params["timestamp"])):
            moved = int(params["timestamp"]) - PAGE_TIME + int(time.time())
            fresh = connect_params(params["user"], info, moved)
            return {name: fresh[name] for name in ("timestamp", "token")}
        if "sign" in params and params == private_params(params["client"], params["channel"], info):
            return {"sign": private_params(self._names.fill(params["client"]), params["channel"], info)["sign"]}
        return {}


_ACTIONS: dict[str, Callable[..., None]] = {
    r"server(?: (\{.*\}))?": Conversation._serve,
    r"(\w+) connects as (\w*) with id (\S+)": Conversation._connect,
    r"(\w+) hangs up": Conversation._hang_up,
    r"backend sends": Conversation._ask,
    r"backend receives(?: (\d+))?": Conversation._answered,
    r"(\w+) sends": Conversation._send,
    r"(\w+) receives": Conversation._receive,
    r"(\w+) is closed": Conversation._closed,
    r"run": Conversation._run,
    r"run where (\w+) is installed": Conversation._run_where_installed,
    r"run until it says (.+)": Conversation._run_in_background,
    r"prints": Conversation._prints,
    r"prints at last": Conversation._prints_at_last,
}

_ALONE = (r"server \{.*\}", r"\w+ connects as .*", r"\w+ hangs up")


def takes_a_block(mark: str) -> bool:
    """Return whether a mark does something with the block below it; all others stand alone."""
    return not any(re.fullmatch(pattern, mark) for pattern in _ALONE)


def is_known(mark: str) -> bool:
    """Return whether `play` knows a mark."""
    return any(re.fullmatch(pattern, mark) for pattern in _ACTIONS)
