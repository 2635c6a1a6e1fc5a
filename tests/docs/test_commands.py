"""Every command on a page belongs to a program whose commands a test checks, or is listed as not run."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, ROOT, ROOT_PAGES, Page, read

PAGES = [read(path) for path in (*ROOT_PAGES, *sorted(DOCS.glob("*.md")))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])
CHECKED = {
    "gentrifugo": "tests/docs/test_references.py reads each as the program would",
    "gunicorn": "tests/docs/test_references.py has gunicorn check each",
    "openssl": "tests/integration/test_tls.py runs it",
    "curl": "tests/integration/test_examples.py, tests/integration/test_browser.py and tests/docs/test_snippets.py",
    "supervisord": "tests/integration/test_supervision.py",
    "supervisorctl": "tests/integration/test_supervision.py",
    "make": "test_make_has_all_documented_targets below",
    "python": "tests/docs/test_references.py parses those of benchmarks; tests/integration/test_browser.py",
    "python3": "tests/docs/test_snippets.py and tests/integration/test_publisher.py",
    "flask": "tests/integration/test_flask.py and tests/integration/test_publisher.py",
    "dpkg": "tests/integration/test_system_packages.py",
    "node": "tests/docs/test_start_page.py",
}
NOT_RUN = {
    "docker": "no engine runs containers here: tests/integration/test_containers.py looks at what they are made of",
    "systemctl": "no systemd runs here: tests/integration/test_supervision.py has it verify the units",
    "kill": "tests/integration/test_signals.py sends the same signals",
    "cd": "nothing to check",
    "useradd": "tests/integration/test_system_packages.py has the package create the same user",
    "chown": "tests/supervisord.py does the same",
    "umask": "tests/supervisord.py does the same",
    "npm": "tests reach no registry; what it installs, make install-dev has installed from package-lock.json",
    "pip": "tests reach no index; tests/integration/test_packages.py installs the package",
}
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )?(?:(?:\.\./)*\.venv/bin/)?([a-z][a-z0-9_-]*)( .*)?")
_PROGRAMS = re.compile(r"^[a-z][a-z0-9]+$")


def commands(page: Page) -> list[tuple[str, str]]:
    """The program and the rest of each line of code that looks like a command."""
    return [(match[1], match[2] or "") for line in page.commands if (match := _COMMAND.fullmatch(line))]


@EVERY_PAGE
def test_each_command_is_checked_or_listed_as_not_run(page: Page) -> None:
    known = CHECKED.keys() | NOT_RUN.keys()
    found = {program for program, _ in commands(page) if _PROGRAMS.match(program)}
    assert found - known - WORDS == set()


@pytest.mark.parametrize("program", CHECKED | NOT_RUN)
def test_named_tests_exist(program: str) -> None:
    named = re.findall(r"tests/[\w/]+\.py", {**CHECKED, **NOT_RUN}[program])
    assert [name for name in named if not (ROOT / name).is_file()] == []


WORDS = {"sign", "default", "sentinel", "port"}
"""Begin lines that are no commands: a formula, an order of things, a file of Redis Sentinel."""


@EVERY_PAGE
def test_make_has_all_documented_targets(page: Page) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for program, rest in commands(page):
        if program == "make":
            for target in re.findall(r"(?<= )([a-z-]+)(?= |$)", rest):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_make_run_leaves_it_to_the_server_to_name_its_address() -> None:
    """The port may be taken."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\nrun:")[2].partition("\n\n")[0]
    assert "exec $(BIN)/gentrifugo" in recipe
    assert "http:" not in recipe


def test_supervisorctl_commands_are_those_of_the_test() -> None:
    tested = (ROOT / "tests" / "integration" / "test_supervision.py").read_text(encoding="utf-8")
    said = [rest for page in PAGES for program, rest in commands(page) if program == "supervisorctl"]
    assert said
    for rest in said:
        words = rest.replace("-c supervisord.conf", "").split()
        assert ", ".join(f'"{word}"' for word in words) in tested
