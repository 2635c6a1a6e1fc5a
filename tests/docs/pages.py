"""The pages in docs/ as their tests see them: blocks of code with the marks above them, prose, links and tables.

A mark is an HTML comment on a line of its own, invisible to readers. It says what a test does with the block of code
that follows it; conversation.py lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = {"benchmarks.md", "configuration.md"}
"""Written by programs and tested with them."""

_MARK = re.compile(r"<!-- (.+) -->")
_FENCE = re.compile(r"( *)```(\w*)")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"#{1,6} (.+)")
_NEXT_HEADING = re.compile(r"^#+ ", re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


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
        """Where to look when its test fails."""
        return f"docs/{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One page, taken apart."""

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
        """What stands in backticks."""
        return _CODE.findall(self.prose)

    def table_after(self, heading: str) -> list[list[str]]:
        """The rows, without head, of the first table below a heading; each cell without backticks."""
        return self.tables_after(heading)[0]

    def tables_after(self, heading: str) -> list[list[list[str]]]:
        """The same of all tables in that section."""
        _, found, rest = self.prose.partition(f"# {heading}\n")
        assert found, f"{self.path.name} has no heading {heading!r}"
        section = _NEXT_HEADING.split(rest)[0]
        return [_rows(table) for table in _TABLE.findall(section)]


def _rows(table: str) -> list[list[str]]:
    lines = table.splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def pages() -> list[Page]:
    """All pages that people write."""
    return [read(path) for path in sorted(DOCS.glob("*.md")) if path.name not in GENERATED]


def page(name: str) -> Page:
    return read(DOCS / name)


def read(path: Path) -> Page:
    """Take a page apart."""
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
