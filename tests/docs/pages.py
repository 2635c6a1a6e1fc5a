"""Parses the pages in docs/ for tests: blocks of code with the marks above them, prose, links, tables, commands.

A mark is an HTML comment on a line of its own, invisible to readers. It says what a test does with the block of code
that follows it; conversation.py lists them. One more names the test file that runs the block in its own way:

    <!-- run by tests/integration/test_flask.py -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
ROOT_PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "DESCRIPTION.md", "SECURITY.md"))]
"""The pages that are no part of the documentation's site; CHANGELOG.md speaks of earlier versions, too."""
GENERATED = {"benchmarks.md", "configuration.md"}
"""Written by programs and tested with them."""

_MARK = re.compile(r" {0,3}<!-- (.+) -->")
_RUNNER = re.compile(r"run by (\S+)")
_FENCE = re.compile(r"( *)```(\w*)")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"#{1,6} (.+)")
_NEXT_HEADING = re.compile(r"^#+ ", re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_ITEM = re.compile(r" *(?:[-*]|\d+\.) +")
_CONTINUED = re.compile(r"\\\n *")
_CODE_INDENT = 4


@dataclass(frozen=True)
class Block:
    """A block of code, or a mark that stands alone: then `language` and `text` are empty."""

    page: Path
    line: int
    mark: str
    language: str = ""
    text: str = ""

    @property
    def place(self) -> str:
        """Page and line of the block, for errors."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runner(self) -> str:
        """The test file that runs the block, if the mark names one."""
        match = _RUNNER.fullmatch(self.mark)
        return match[1] if match else ""


@dataclass(frozen=True)
class Page:
    """The parts of one page."""

    path: Path
    blocks: list[Block]
    prose: str
    """Everything that is neither code nor mark."""

    @property
    def headings(self) -> list[str]:
        return [match[1] for line in self.prose.splitlines() if (match := _HEADING.fullmatch(line))]

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def code_spans(self) -> list[str]:
        """The texts in backticks."""
        return _CODE.findall(self.prose)

    @property
    def commands(self) -> list[str]:
        """The lines of indented code, in lists too, and of shell blocks. Not all of them are commands."""
        blocks = [_CONTINUED.sub("", block.text).splitlines() for block in self.blocks if block.language == "sh"]
        return [*_indented_code(self.prose), *(line for lines in blocks for line in lines)]

    def table_after(self, heading: str) -> list[list[str]]:
        """Return the rows, without head, of the first table below a heading; each cell without backticks."""
        return self.tables_after(heading)[0]

    def tables_after(self, heading: str) -> list[list[list[str]]]:
        """Return the rows of all tables below a heading."""
        _, found, rest = self.prose.partition(f"# {heading}\n")
        assert found, f"{self.path.name} has no heading {heading!r}"
        section = _NEXT_HEADING.split(rest)[0]
        return [_rows(table) for table in _TABLE.findall(section)]


def _rows(table: str) -> list[list[str]]:
    lines = table.splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def pages() -> list[Page]:
    """Return all pages that are not generated."""
    return [read(path) for path in sorted(DOCS.glob("*.md")) if path.name not in GENERATED]


def page(name: str) -> Page:
    return read(DOCS / name)


def _indented_code(text: str) -> Iterator[str]:
    """The lines of code blocks that are made by indentation: it counts from the text of the list item they are in."""
    item = 0
    in_code = after_blank = False
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if not line:
            after_blank = True
            continue
        if match := _ITEM.match(line):
            item, in_code = match.end(), False
        elif indent < item and after_blank:
            item, in_code = 0, indent >= _CODE_INDENT
        else:
            in_code = indent >= item + _CODE_INDENT and (in_code or after_blank)
        if in_code:
            yield line.strip()
        after_blank = False


def read(path: Path) -> Page:
    """Parse a page into its parts."""
    blocks: list[Block] = []
    prose: list[str] = []
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    mark: tuple[int, str] | None = None
    for number, line in lines:
        if match := _FENCE.match(line):
            text = "\n".join(_fenced(lines, match[1]))
            blocks.append(Block(path, number, mark[1] if mark else "", match[2], text))
            mark = None
        elif line.strip():
            if mark:
                blocks.append(Block(path, *mark))
            comment = _MARK.fullmatch(line)
            mark = (number, comment[1]) if comment else None
            if not comment:
                prose.append(line)
        else:
            prose.append(line)
    if mark:
        blocks.append(Block(path, *mark))
    return Page(path, blocks, "\n".join(prose) + "\n")


def _fenced(lines: Iterator[tuple[int, str]], indent: str) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == "```":
            return
        yield line.removeprefix(indent)
    raise ValueError("a block of code without an end")
