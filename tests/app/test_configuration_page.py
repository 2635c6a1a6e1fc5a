"""The reference page says what the declarations say."""

from __future__ import annotations

import runpy
from pathlib import Path

from gentrifugo.app.config import Config
from gentrifugo.app.options import options_of

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_the_one_that_the_declarations_give() -> None:
    generator = runpy.run_path(str(DOCS / "generate_configuration.py"))
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert generator["page"]() == written, "run: python docs/generate_configuration.py"


def test_every_option_has_its_row() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert [option.name for option in options_of(Config) if f"\n| `{option.name}` |" not in page] == []
