"""The documentation as a site: it is built without a warning, and its pages load no files from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from tests.clients.driver import Driver, node_driver
from tests.parts import ROOT, program
from tests.waiting import eventually, seconds

SITE = ROOT / "build" / "site"
LINK = re.compile(r"""<[a-z]+ [^>]*?\b(?:src|href)=(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")
ELSEWHERE = re.compile(r"[a-z]+:|//")
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
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    text = re.sub(r"!!python/name:|!ENV ", "", text)
    listed = sorted(pages(yaml.safe_load(text)["nav"]))
    assert listed == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_pages_load_no_files_of_other_hosts(site: Path) -> None:
    found = {
        (page.name, address)
        for page in site.glob("*.html")
        for address in LOADED.findall(page.read_text(encoding="utf-8"))
        if re.match(r"(https?:)?//", address)
    }
    assert found == set()


def test_every_link_of_the_site_has_an_existing_target(site: Path) -> None:
    broken = [
        (page.name, link)
        for page in site.rglob("*.html")
        for link in links(page)
        if not ELSEWHERE.match(link) and not leads_somewhere(site, page, link)
    ]
    assert broken == []


def links(page: Path) -> set[str]:
    return {"".join(found) for found in LINK.findall(page.read_text(encoding="utf-8"))}


def leads_somewhere(site: Path, page: Path, link: str) -> bool:
    path, _, anchor = unquote(link).partition("#")
    path = path.partition("?")[0]
    target = (site / path.lstrip("/") if path.startswith("/") else page.parent / path).resolve() if path else page
    target = target / "index.html" if target.is_dir() else target
    return target.is_file() and target.is_relative_to(site) and (not anchor or anchor in anchors(target))


@cache
def anchors(page: Path) -> set[str]:
    return set(re.findall(r"""\bid=["']?([^"' >]+)""", page.read_text(encoding="utf-8")))


def test_plots_have_captions(site: Path) -> None:
    for name in ("benchmarks", "sizing"):
        html = (site / f"{name}.html").read_text(encoding="utf-8")
        assert html.count("<figcaption>") == len(re.findall(r'<img [^>]*src="?benchmarks/', html)) > 0


def test_sample_files_come_with_the_site(site: Path) -> None:
    for file in (file for file in (ROOT / "conf").rglob("*") if file.is_file() and file.suffix != ".pyc"):
        assert (site / file.relative_to(ROOT)).read_bytes() == file.read_bytes()


@pytest.mark.usefixtures("site")
def test_site_below_a_path_has_the_configured_address() -> None:
    """Only 404.html, which stands for pages at any depth, names its files from the root of the host."""
    load = "from mkdocs.config import load_config; print(load_config('mkdocs.yml').site_url)"
    command = [str(ROOT / ".venv" / "docs" / "bin" / "python"), "-c", load]
    for given, expected in (({}, ""), ({"SITE_URL": "https://example.com/docs/"}, "https://example.com/docs/")):
        environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", **given}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds(20))
        assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


@pytest.fixture
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as made:
        made.wait_for("ready", within=30)
        yield made


def look(browser: Driver, url: str) -> None:
    browser.send(do="open", url=url)
    browser.wait_for("opened")


WIDTHS = """
(async () => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.style.width = "WIDTHpx";
    frame.src = location.href;
    await new Promise((done) => frame.onload = done);
    const cells = [...frame.contentDocument.querySelectorAll("td:nth-child(2)")];
    const cut = cells.filter((cell) => cell.getBoundingClientRect().right > WIDTH);
    return [cells.length, cut.length];
})()
"""


def test_option_tables_fit_desktops_and_phones(url: str, browser: Driver) -> None:
    look(browser, f"{url}/configuration.html")
    for width in (1300, 390):
        browser.send(do="evaluate", expression=WIDTHS.replace("WIDTH", str(width)))
        found, cut = browser.wait_for("value")["value"]
        assert (found > 100, cut) == (True, 0), width


def test_a_browser_draws_the_diagrams(url: str, browser: Driver) -> None:
    look(browser, f"{url}/channels.html")

    def is_drawn() -> bool:
        # The theme puts what it draws into a closed shadow root, in place of the text.
        browser.send(do="evaluate", expression="document.querySelector('div.mermaid')?.offsetHeight > 100")
        return browser.wait_for("value")["value"] is True

    eventually(is_drawn, within=15, what="the diagram")
