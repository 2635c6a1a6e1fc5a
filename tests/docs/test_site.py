"""The documentation as a site: it is built without a warning, and a browser needs nothing from elsewhere to show it."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.clients.driver import node_driver
from tests.parts import ROOT, program
from tests.waiting import eventually, seconds

SITE = ROOT / "build" / "site"
LOADED = re.compile(r"""<(?:script|link|img|iframe)[^>]*?(?:src|href)=["']?([^"' >]+)""")

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, timeout=seconds(180))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return SITE


@pytest.fixture
def url(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def pages(entry: object) -> Iterator[str]:
    """The pages that the navigation leads to."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for value in entry.values():
            yield from pages(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from pages(value)


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").replace("!!python/name:", "")
    listed = sorted(pages(yaml.safe_load(text)["nav"]))
    assert listed == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = {
        (page.name, address)
        for page in site.glob("*.html")
        for address in LOADED.findall(page.read_text(encoding="utf-8"))
        if re.match(r"(https?:)?//", address)
    }
    assert found == set()


def test_a_browser_draws_the_diagrams(url: str) -> None:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as browser:
        browser.wait_for("ready", within=30)
        browser.send(do="open", url=f"{url}/channels.html")
        browser.wait_for("opened")

        def is_drawn() -> bool:
            # The theme puts what it draws into a closed shadow root, in place of the text.
            browser.send(do="evaluate", expression="document.querySelector('div.mermaid')?.offsetHeight > 100")
            return browser.wait_for("value")["value"] is True

        eventually(is_drawn, within=15, what="the diagram")
