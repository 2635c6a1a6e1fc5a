"""What is said about the module of an application that is missing, or that another module hides."""

from __future__ import annotations

import sys
from pathlib import Path

import flask
import pytest

from gentrifugo.app.extension.site_module import SiteModule


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestMissing:
    @pytest.mark.parametrize(
        ("given", "name", "file"),
        [("news", "news", "news.py"), ("news.py", "news", "news.py"), ("shop.web", "shop.web", "shop/web.py")],
    )
    def test_the_expected_file_is_named(self, directory: Path, given: str, name: str, file: str) -> None:
        says = SiteModule(given, name, directory).describe_missing()
        assert says == f"module {name!r} not found: there is no file {directory}/{file}"

    def test_a_link_to_a_missing_file_is_named_too(self, directory: Path) -> None:
        (directory / "link.py").symlink_to("news.py")
        says = SiteModule("link.py", "news", directory).describe_missing()
        assert says == f"module 'news' not found: there is no file {directory}/news.py, to which link.py is a link"

    def test_a_package_in_the_current_directory_is_named_as_the_reason(self, directory: Path) -> None:
        (directory / "__init__.py").touch()
        package = directory.name
        assert SiteModule("news", f"{package}.news", directory.parent).describe_missing() == (
            f"module 'news' not found: there is no file {directory}/news.py, and because {directory} has an "
            "__init__.py, only this package is searched; start the command in another directory, or give the path of "
            "the file"
        )

    def test_a_missing_file_in_a_package_is_named_by_its_path(self, directory: Path) -> None:
        (directory / "__init__.py").touch()
        says = SiteModule("news.py", f"{directory.name}.news", directory.parent).describe_missing()
        assert says == f"module '{directory.name}.news' not found: there is no file {directory}/news.py"


class TestOther:
    @pytest.mark.parametrize("name", ["site", "sys", "site.web"])
    def test_a_file_that_the_standard_library_hides_is_to_be_renamed(self, directory: Path, name: str) -> None:
        top = name.partition(".")[0]
        (directory / f"{top}.py").touch()
        module = SiteModule(name, name, directory)
        hint = (
            f"; {top!r} is a module of the standard library, which was imported instead of {directory}/{top}.py; "
            "rename the latter"
        )
        assert module.describe_other() == hint
        assert module.describe_missing() == f"module {name!r} not found{hint}"

    def test_a_directory_that_the_standard_library_hides_is_to_be_renamed(self, directory: Path) -> None:
        (directory / "json").mkdir()
        assert f"instead of {directory}/json; rename" in SiteModule("json.web", "json.web", directory).describe_other()

    def test_a_file_that_an_installed_package_hides_is_to_be_renamed(self, directory: Path) -> None:
        (directory / "flask.py").touch()
        assert SiteModule("flask.py", "flask", directory).describe_other() == (
            f"; 'flask' is an installed module, {flask.__file__}, which was imported instead of {directory}/flask.py; "
            "rename the latter"
        )

    def test_module_of_the_standard_library_without_such_a_file_is_pointed_out(self, directory: Path) -> None:
        assert SiteModule("site", "site", directory).describe_other() == (
            f"; 'site' is a module of the standard library, and there is no file {directory}/site.py; start the "
            "command in the directory of the file"
        )

    def test_nothing_is_said_if_no_module_is_given(self, directory: Path) -> None:
        assert SiteModule("", "site", directory).describe_other() == ""

    def test_nothing_is_said_about_a_link_to_a_module(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (directory / "release").mkdir()
        (directory / "release" / "linked_of_test.py").touch()
        (directory / "linked_of_test.py").symlink_to("release/linked_of_test.py")
        monkeypatch.syspath_prepend(str(directory))
        __import__("linked_of_test")
        assert SiteModule("linked_of_test", "linked_of_test", directory).describe_other() == ""
        del sys.modules["linked_of_test"]

    def test_nothing_is_said_about_modules_that_are_meant(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (directory / "own_of_test").mkdir()
        (directory / "own_of_test" / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(directory))
        __import__("own_of_test")
        for name in ("own_of_test", "flask", "missing_of_test"):
            assert SiteModule(name, name, directory).describe_other() == ""
        del sys.modules["own_of_test"]
