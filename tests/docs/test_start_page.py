"""The first message of docs/start.md, with the library and the API of today: each block is run as a reader would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gentrifugo.app.config.genconfig import fresh_values
from tests.docs.conversation import PAGE_ADDRESS
from tests.docs.pages import page
from tests.docs.programs import Program
from tests.parts import node_package, program
from tests.servers import Server
from tests.waiting import eventually

THIS = "tests/docs/test_start_page.py"
BLOCKS = [block for block in page("start.md").blocks if block.mark == f"run by {THIS}"]
LANGUAGES = ["javascript", "sh", "sh", "text", "text"]


@contextmanager
def in_background(command: str, directory: Path) -> Iterator[Path]:
    """Run a command of a shell, which becomes its process, in a `with` block; yields the file with its output."""
    output = directory / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [program("bash"), "-c", command], cwd=directory, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield output
    finally:
        process.kill()
        process.wait()


def test_a_first_message_arrives_as_the_page_says(start_server: Callable[..., Server]) -> None:
    assert [block.language for block in BLOCKS] == LANGUAGES
    listener, listen, publish, reply, prints = (block.text for block in BLOCKS)
    server = start_server(**fresh_values())
    directory = server.config_file.parent
    packages = directory / "hello" / "node_modules"
    packages.mkdir(parents=True)
    for name, installed in (("centrifuge", "centrifuge5"), ("ws", "ws")):
        (packages / name).symlink_to(node_package(installed))
    (directory / ".venv").mkdir()
    (directory / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    address = f"{server.host}:{server.port}"
    (directory / "hello" / "listen.js").write_text(listener.replace(PAGE_ADDRESS, address), encoding="utf-8")
    with in_background(listen, directory) as output:
        eventually(lambda: "waiting" in output.read_text(), within=15, what=lambda: output.read_text())
        said = Program("sh", publish.replace(PAGE_ADDRESS, address), directory).output()
        assert said.strip() == reply.strip()
        eventually(lambda: output.read_text().strip() == prints.strip(), what=lambda: output.read_text())
