"""Every command that a page shows belongs to a program whose commands a test checks, or is said to be run by none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parts import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHECKED = {
    "gentrifugo": "tests/docs/test_references.py reads each as the program would",
    "gunicorn": "tests/docs/test_references.py has gunicorn check each",
    "openssl": "tests/integration/test_tls.py runs it",
    "curl": "tests/integration/test_examples.py, test_flask.py and the snippets of README.md",
    "supervisord": "tests/integration/test_supervision.py",
    "supervisorctl": "tests/integration/test_supervision.py",
    "npm": "make install-dev",
    "python3": "tests/docs/test_snippets.py and tests/integration/test_publisher.py",
    "flask": "tests/integration/test_flask.py and test_publisher.py",
    "dpkg": "tests/integration/test_system_packages.py",
}
NOT_RUN = {
    "docker": "no engine runs containers here: tests/integration/test_containers.py looks at what they are made of",
    "systemctl": "no systemd runs here: tests/integration/test_supervision.py has it verify the units",
    "kill": "tests/integration/test_signals.py sends the same signals",
    "cd": "nothing to check",
}
_COMMAND = re.compile(r"^    (?:[A-Z_]+=\S+ )?(?:(?:\.\./)*\.venv/bin/)?([a-z][a-z0-9_-]*)( .*)?$")
_PROGRAMS = re.compile(r"^[a-z][a-z0-9]+$")


def commands(page: Path) -> list[tuple[str, str]]:
    """The program and the rest of each indented line outside of fenced blocks, in pages that show commands so."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [(match[1], match[2] or "") for line in text.splitlines() if (match := _COMMAND.match(line))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_is_checked_or_said_not_to_be(page: Path) -> None:
    known = CHECKED.keys() | NOT_RUN.keys() | {"make", "python", "pip"}
    found = {program for program, _ in commands(page) if _PROGRAMS.match(program)}
    assert found - known - WORDS == set()


WORDS = {"sign", "default", "sentinel", "port"}
"""Begin lines that are no commands: a formula, an order of things, a file of Redis Sentinel."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_make_has_the_targets(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for program, rest in commands(page):
        if program == "make":
            for target in re.findall(r"(?<= )([a-z-]+)(?= |$)", rest):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_supervisorctl_is_told_what_the_test_tells_it() -> None:
    tested = (ROOT / "tests" / "integration" / "test_supervision.py").read_text(encoding="utf-8")
    said = [rest for page in PAGES for program, rest in commands(page) if program == "supervisorctl"]
    assert said
    for rest in said:
        words = rest.replace("-c supervisord.conf", "").split()
        assert ", ".join(f'"{word}"' for word in words) in tested
