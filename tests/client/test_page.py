"""The command on docs/python-client.md that installs the client names an extra with what the client imports."""

from __future__ import annotations

import tomllib

from tests.docs.pages import page
from tests.parts import ROOT


def test_the_extra_of_the_page_has_httpx() -> None:
    (command,) = [block.text for block in page("python-client.md").blocks if block.language == "sh"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert command.strip() == "pip install '/path/to/the/clone[client]'"
    assert [requirement.partition(">")[0] for requirement in extras["client"]] == ["httpx"]
