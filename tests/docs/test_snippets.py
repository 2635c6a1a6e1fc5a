"""What the pages show is what happens: every example on them is played against a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.conversation import Conversation
from tests.docs.pages import Page, pages
from tests.servers import Server

PAGES = pages()
SHOWING = [page for page in PAGES if any(block.mark for block in page.blocks)]


@pytest.mark.parametrize("page", SHOWING, ids=[page.path.stem for page in SHOWING])
def test_page(page: Page, start_server: Callable[..., Server], tmp_path: Path) -> None:
    conversation = Conversation(lambda options: start_server(**options), tmp_path)
    try:
        for block in page.blocks:
            if block.mark:
                conversation.play(block)
        conversation.check_silence()
    finally:
        conversation.end()


@pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])
def test_no_example_goes_untried(page: Page) -> None:
    """JSON is a message, a configuration or an answer: each is sent, received, served or said to be not run."""
    assert [block.place for block in page.blocks if block.language == "json" and not block.mark] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])
def test_no_diagram_has_a_semicolon(page: Page) -> None:
    """mermaid takes it for the end of a line, wherever it stands, and draws nothing at all."""
    assert [block.place for block in page.blocks if block.language == "mermaid" and ";" in block.text] == []
