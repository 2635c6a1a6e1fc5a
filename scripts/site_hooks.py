"""What MkDocs does not do by itself: links to files outside the pages, and the library that draws the diagrams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

MERMAID = Path("build/mermaid.min.js")
"""Where scripts/site.sh has put it."""


def on_files(files: Files, config: Any) -> Files:
    """Serve the diagrams' library with the site: a page needs nothing from elsewhere."""
    files.append(File.generated(config, "javascripts/mermaid.min.js", abs_src_path=str(MERMAID.resolve())))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """In the repository pages lead to the README, which is not part of the site; the start page begins as it does."""
    return re.sub(r"\]\(\.\./README\.md(#[\w-]+)?\)", "](start.md)", markdown)
