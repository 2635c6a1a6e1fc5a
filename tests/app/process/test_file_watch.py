"""The watched files, and what counts as a change."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest
from flask import Blueprint, Flask

from gentrifugo.app.process.file_watch import FileWatch, folders_of, python_folders


def no_folders() -> Iterable[Path]:
    return ()


def touch(path: Path) -> None:
    """Give a file another time of modification, also on a file system with coarse times."""
    path.touch()
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Load a module into `sys.modules`, and return its file."""

    def loaded(name: str) -> Path:
        file = tmp_path / f"{name}.py"
        file.touch()
        module = ModuleType(name)
        module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, name, module)
        return file

    return loaded


class TestModules:
    def test_rewritten_module_is_a_change(self, load: Callable[[str], Path]) -> None:
        file = load("written_site")
        watch = FileWatch(no_folders)
        assert watch.find_change() is None
        touch(file)
        assert watch.find_change() == file

    def test_a_module_that_is_deleted_is_a_change(self, load: Callable[[str], Path]) -> None:
        file = load("written_site")
        watch = FileWatch(no_folders)
        file.unlink()
        assert watch.find_change() == file

    def test_module_that_is_imported_later_is_not_a_change(self, load: Callable[[str], Path]) -> None:
        watch = FileWatch(no_folders)
        file = load("imported_later")
        assert watch.find_change() is None
        touch(file)
        assert watch.find_change() == file


class TestFolders:
    def test_templates_and_static_files_of_application_and_blueprints_are_found(self, tmp_path: Path) -> None:
        (tmp_path / "templates").mkdir()
        (tmp_path / "assets" / "deep").mkdir(parents=True)
        app = Flask("site", root_path=str(tmp_path))
        app.register_blueprint(Blueprint("shop", __name__, root_path=str(tmp_path), static_folder="assets"))
        watch = FileWatch(folders_of(app))
        for file in (tmp_path / "templates" / "new.html", tmp_path / "assets" / "deep" / "new.css"):
            assert watch.find_change() is None
            file.touch()
            assert watch.find_change() == file
            watch = FileWatch(folders_of(app))
            file.unlink()
            assert watch.find_change() == file
            watch = FileWatch(folders_of(app))

    def test_application_without_folders_has_no_files(self, tmp_path: Path) -> None:
        app = Flask("site", root_path=str(tmp_path), static_folder=None)
        assert list(folders_of(app)()) == []

    def test_only_the_application_code_in_a_directory_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "venv").mkdir()
        (tmp_path / "venv" / "pyvenv.cfg").touch()
        for name in ("package", ".git", "node_modules", "venv/lib"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "code.py").touch()
        (tmp_path / "site.py").touch()
        (tmp_path / "notes.txt").touch()
        assert sorted(python_folders(tmp_path)()) == [tmp_path / "package" / "code.py", tmp_path / "site.py"]
