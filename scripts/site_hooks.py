"""Hooks of MkDocs: files from outside docs/, captions of pictures, and tables that fit on phones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MERMAID = Path("build/mermaid.min.js")
"""The path of the Mermaid library, to which scripts/site.sh copies it."""
STYLE = Path("scripts/site.css")
WITH_OPTIONS = "configuration.md"

_README = re.compile(r"\]\(\.\./README\.md(#[\w-]+)?\)")
_PICTURE = re.compile(r'<p>(<img [^>]*?alt="([^"]+)"[^>]*>)</p>')
_SAMPLE = re.compile(r"\]\(\.\./(conf/[^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the Mermaid library, the style and the files in conf/ to the site, which loads nothing from elsewhere."""
    samples = {str(path): path for path in Path("conf").rglob("*") if path.is_file()}
    for name, path in {"javascripts/mermaid.min.js": MERMAID, "stylesheets/site.css": STYLE, **samples}.items():
        files.append(File.generated(config, name, abs_src_path=str(path.resolve())))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Change links to files outside docs/ to their copies in the site, and links to the README to the start page."""
    return _SAMPLE.sub(r"](\1)", _README.sub("](start.md)", markdown))


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Add captions below pictures, and a separate style for tables of options."""
    html = _PICTURE.sub(r"<figure>\1<figcaption>\2</figcaption></figure>", html)
    return f'<div class="options">{html}</div>' if page.file.src_uri == WITH_OPTIONS else html
