"""The examples on pages work: each is run against a real server, or by the test that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.conversation import Conversation, is_known, takes_a_block
from tests.docs.pages import DOCS, README, ROOT, Block, Page, pages, read
from tests.servers import Server

PAGES = pages()
SHOWING = [page for page in PAGES if any(block.mark and not block.runner for block in page.blocks)]
WITH_BLOCKS = [*PAGES, *(read(path) for path in (README, DOCS / "benchmarks.md", DOCS / "configuration.md"))]
NEVER_RUN = {"mermaid", "html"}
"""A browser draws the one in test_site.py; the other is a page, which is run with the code that serves it."""


@pytest.mark.parametrize("page", SHOWING, ids=[page.path.stem for page in SHOWING])
def test_snippets_of_the_page_run(page: Page, start_server: Callable[..., Server], tmp_path: Path) -> None:
    conversation = Conversation(lambda options: start_server(**options), tmp_path)
    try:
        for block in page.blocks:
            if block.mark and not block.runner:
                conversation.play(block)
        conversation.check_silence()
    finally:
        conversation.end()


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.path.stem)
def test_every_example_is_run(page: Page) -> None:
    """Each block is run by this test, or names the test that runs it."""
    blocks = [block for block in page.blocks if block.language or block.text]
    runnable = [block for block in blocks if block.language not in NEVER_RUN]
    assert [block.place for block in runnable if not (block.mark and takes_a_block(block.mark))] == []


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.path.stem)
def test_the_tests_that_run_examples_read_their_page(page: Page) -> None:
    assert [block.place for block in page.blocks if block.runner and not _is_read_by(block)] == []


def _is_read_by(block: Block) -> bool:
    runner = ROOT / block.runner
    return bool(block.language) and runner.is_file() and block.page.name in runner.read_text(encoding="utf-8")


def test_documented_marks_are_valid() -> None:
    shown = [line for line in read(DOCS / "development.md").commands if line.startswith("<!--")]
    marks = [line.removeprefix("<!-- ").removesuffix(" -->") for line in shown]
    assert marks
    assert [mark for mark in marks if not (is_known(mark) or Block(DOCS, 0, mark).runner)] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])
def test_no_diagram_has_a_semicolon(page: Page) -> None:
    """Mermaid reads a semicolon as the end of a line anywhere, and then draws nothing."""
    assert [block.place for block in page.blocks if block.language == "mermaid" and ";" in block.text] == []
