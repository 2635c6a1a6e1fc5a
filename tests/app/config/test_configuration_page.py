"""The reference page matches the declarations, and its samples are valid configurations."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from gentrifugo.app.cli import SUBCOMMANDS
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import load
from gentrifugo.app.config.options import ConfigError, options_of
from gentrifugo.app.config.warnings import EXAMPLE_KEY
from tests.docs.pages import ROOT, Block, page

DOCS = ROOT / "docs"
PAGE = page("configuration.md")
SAMPLES = [block for block in PAGE.blocks if block.runner]


def test_generated_page_is_up_to_date() -> None:
    generator = runpy.run_path(str(DOCS / "generate_configuration.py"))
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert generator["page"]() == written, "run: python docs/generate_configuration.py"


def test_every_option_has_its_row() -> None:
    rows = [row[0].split()[0] for group in Config.GROUPS.values() for row in PAGE.table_after(group)]
    assert rows == [option.name for option in options_of(Config)]


def test_every_command_has_its_row() -> None:
    assert [row[0] for row in PAGE.table_after("Commands")] == [f"gentrifugo {command}" for command in SUBCOMMANDS]


def test_the_samples_are_in_each_format() -> None:
    assert [block.language for block in SAMPLES] == ["json", "yaml", "toml"]


@pytest.mark.parametrize("sample", SAMPLES, ids=[block.language for block in SAMPLES])
def test_all_sample_files_have_equal_options(sample: Block, tmp_path: Path) -> None:
    file = tmp_path / f"config.{sample.language}"
    file.write_text(sample.text, encoding="utf-8")
    loaded = load([f"--config={file}"], {})
    assert [text.partition(";")[0] for text in loaded.warnings] == [
        "option secret is the one in the documentation, which everybody knows"
    ]
    public = Namespace(name="public", publish=True, anonymous=True, history_size=10, history_lifetime=30)
    assert loaded.config == Config(secret=EXAMPLE_KEY, log_level="debug", presence=True, namespaces=(public,))


def test_page_shows_the_actual_error_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespaces = '[{"name": "news"}, {"name": "chat", "history_size": "many"}]'
    Path("config.json").write_text(f'{{"secret": "secret-of-a-test", "namespaces": {namespaces}}}')
    with pytest.raises(ConfigError) as raised:
        load(["checkconfig", "--config=config.json"], {"CENTRIFUGO_PORT": "70000"})
    shown = [line.removeprefix("gentrifugo: ") for line in PAGE.commands if line.startswith("gentrifugo: ")]
    assert sorted(raised.value.problems) == sorted(shown)
