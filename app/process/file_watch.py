"""Detects changes of code, templates and static files of a Flask application, for `--reload`."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

FILE_CHECK_INTERVAL = 0.5
"""Seconds between two checks of the files."""
INSTALLED = tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
"""Directories whose files do not change during development."""
SKIPPED_DIRECTORIES = ("node_modules", "__pycache__")
"""Directories without code of an application. Directories whose names begin with a dot are skipped, too."""

Folders = Callable[[], Iterable[Path]]
"""A function that finds the files in the watched folders."""


class FileWatch:
    """Detects changes of files since the first check: of all imported modules, and of the files that `folders` finds.

    New files count as changes only in the folders, because modules may be imported at any time.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._modules = dict(_times(_modules()))
        self._files = dict(_times(folders()))

    def find_change(self) -> Path | None:
        """Return the path of a file that has changed; None if no file has."""
        for path, time in _times(_modules()):
            if self._modules.setdefault(path, time) != time:
                return path
        files = dict(_times(self._folders()))
        different = files.items() ^ self._files.items()
        return min(path for path, _ in different) if different else None


def folders_of(application: Flask) -> Folders:
    """Return the templates and static files of an application and its blueprints."""

    def find() -> Iterator[Path]:
        for part in (application, *application.blueprints.values()):
            for folder in (part.template_folder, part.static_folder):
                if folder is not None:
                    yield from _files_in(Path(part.root_path, folder))

    return find


def python_folders(directory: Path) -> Folders:
    """Return a function that finds all Python code in a directory, for an application that could not be loaded."""
    return lambda: (path for path in _files_in(directory) if path.suffix == ".py")


def _modules() -> Iterator[Path]:
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if name is not None and not name.startswith(INSTALLED):
            yield Path(name)


def _files_in(directory: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if _is_of_application(Path(folder, name))]
        yield from (Path(folder, name) for name in names)


def _is_of_application(directory: Path) -> bool:
    is_environment = (directory / "pyvenv.cfg").exists()
    return not (is_environment or directory.name.startswith(".") or directory.name in SKIPPED_DIRECTORIES)


def _times(paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    for path in paths:
        try:
            yield path, path.stat().st_mtime_ns
        except OSError:  # the file was deleted, or is being replaced
            yield path, 0
