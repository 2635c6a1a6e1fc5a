"""The command finds applications like the command `flask`, and reports errors if one cannot be loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from gentrifugo import ConfigError, Gentrifugo
from gentrifugo.app.config import command_line
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.site_options import ApplicationError
from gentrifugo.app.extension.site import find, load_site_config
from tests.docs.pages import page
from tests.flask_sites import site

FACTORY = "from flask import Flask\ndef {name}(title='plain'):\n    return Flask(title)\n"
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module into the current directory, and return its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)

    def written(code: str) -> str:
        (tmp_path / "written_site.py").write_text(code, encoding="utf-8")
        return "written_site"

    yield written
    for name in set(sys.modules) - known:
        del sys.modules[name]


class TestFind:
    @pytest.mark.parametrize("name", ["app", "application", "shop"])
    def test_an_application_is_found_without_its_name(self, write: Write, name: str) -> None:
        assert find(write(f"from flask import Flask\n{name} = Flask('plain')\n")).name == "plain"

    @pytest.mark.parametrize("name", ["create_app", "make_app"])
    def test_a_factory_is_found_without_its_name(self, write: Write, name: str) -> None:
        assert find(write(FACTORY.format(name=name))).name == "plain"

    @pytest.mark.parametrize("path", ["{}:build", "{}:build()", "{}.py:build", "{directory}/{}.py:build"])
    def test_application_is_found_by_module_or_file_and_name(self, write: Write, tmp_path: Path, path: str) -> None:
        assert find(path.format(write(FACTORY.format(name="build")), directory=tmp_path)).name == "plain"

    def test_factory_with_arguments_is_found(self, write: Write) -> None:
        assert find(write(FACTORY.format(name="build")) + ":build('shop')").name == "shop"

    def test_module_in_a_package_is_found(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "package_of_test").mkdir()
        (tmp_path / "package_of_test" / "__init__.py").touch()
        (tmp_path / "package_of_test" / "web.py").write_text(FACTORY.format(name="create_app"), encoding="utf-8")
        assert find("package_of_test.web").name == "plain"
        assert find("package_of_test/web.py").name == "plain"


class TestNotFound:
    @pytest.mark.parametrize(
        ("code", "name", "says"),
        [
            ("", "", "Failed to find Flask application or factory in module 'written_site'"),
            ("", ":app", "Failed to find attribute 'app' in 'written_site'"),
            ("app = 5", ":app", "A valid Flask application was not obtained from 'written_site:app'"),
            ("def create_app(name): ...", "", "could not call it without arguments"),
            ("def create_app(): ...", ":create_app(1)", "could not be called with the specified arguments"),
        ],
    )
    def test_module_without_application_is_named(self, write: Write, code: str, name: str, says: str) -> None:
        with pytest.raises(ConfigError, match=says):
            find(write(code) + name)

    @pytest.mark.parametrize("name", ["missing_of_test", "missing_of_test.web", "missing_of_test.py"])
    def test_missing_module_is_an_error(self, write: Write, name: str) -> None:
        with pytest.raises(ConfigError, match="--app: module 'missing_of_test"):
            find(name)

    def test_missing_module_names_the_environment_variable_that_asks_for_it(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="FLASK_APP: module 'missing_of_test' not found"):
            find("missing_of_test", "FLASK_APP")

    def test_a_package_around_the_current_directory_is_named(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "__init__.py").touch()
        with pytest.raises(ConfigError, match=f"because {tmp_path} has an __init__.py, only this package is searched"):
            find("missing_of_test:app")

    @pytest.mark.parametrize("path", ["site:app", "site", "site.py", "site.web"])
    def test_a_module_of_the_standard_library_is_named_instead_of_the_file(
        self, write: Write, tmp_path: Path, path: str
    ) -> None:
        (tmp_path / "site.py").write_text(FACTORY.format(name="create_app"), encoding="utf-8")
        hidden = rf"; 'site' is a module of the standard library, which was imported instead of {tmp_path}/site\.py"
        with pytest.raises(ConfigError, match=hidden):
            find(path)


class TestErrorsOfApplications:
    def error(self, path: str) -> list[str]:
        with pytest.raises(ApplicationError) as raised:
            find(path)
        return str(raised.value).splitlines()

    def test_traceback_begins_in_the_module_of_the_application(self, write: Write, tmp_path: Path) -> None:
        first, where, line, *_, last = self.error(write("def fail():\n    return unknown\nfail()\n"))
        assert first == "Traceback (most recent call last):"
        assert where == f'  File "{tmp_path}/written_site.py", line 3, in <module>'
        assert (line, last) == ("    fail()", "NameError: name 'unknown' is not defined")

    def test_traceback_is_that_of_the_documentation(self, write: Write, tmp_path: Path) -> None:
        (block,) = (block.text for block in page("flask-development.md").blocks if block.language == "text")
        shown = block.replace("/home/ann/site/news.py", f"{tmp_path}/written_site.py")
        assert self.error(write("from flask import Flask\n\napp = Flask(name)\n")) == shown.rstrip().splitlines()

    def test_traceback_of_a_factory_begins_in_its_code(self, write: Write, tmp_path: Path) -> None:
        _, where, *_ = self.error(write("def create_app():\n    raise TypeError('mine')\n"))
        assert where == f'  File "{tmp_path}/written_site.py", line 2, in create_app'

    def test_missing_import_of_the_application_is_reported_with_its_line(self, write: Write, tmp_path: Path) -> None:
        _, where, *_, last = self.error(write("import missing_of_test"))
        assert where == f'  File "{tmp_path}/written_site.py", line 1, in <module>'
        assert last == "ModuleNotFoundError: No module named 'missing_of_test'"

    def test_syntax_error_is_reported_with_the_traceback_of_the_application(self, write: Write, tmp_path: Path) -> None:
        where, *_, last = self.error(write("x = (\n"))
        assert where == f'  File "{tmp_path}/written_site.py", line 1'
        assert last == "SyntaxError: '(' was never closed"

    def test_invalid_option_is_reported_in_one_sentence(self, write: Write) -> None:
        code = "from flask import Flask\nfrom gentrifugo import Gentrifugo\napp = Flask('site')\nGentrifugo(app)\n"
        with pytest.raises(ConfigError, match=r'set app.config\["SECRET_KEY"\] before the extension is initialized'):
            find(write(code))


class TestSettings:
    def settings(self, app: Flask, *flags: str, **environ: str) -> tuple[Config, list[str]]:
        loaded = load_site_config(app, command_line.read(options_of(Config), flags, environ), "site")
        return loaded.config, loaded.warnings

    def test_site_listens_on_localhost_unless_an_address_is_given(self) -> None:
        app, elsewhere = site(), site(GENTRIFUGO_ADDRESS="192.0.2.1")
        for each in (app, elsewhere):
            Gentrifugo(each)
        assert self.settings(app)[0].address == "127.0.0.1"
        assert self.settings(app, "--address=0.0.0.0")[0].address == "0.0.0.0"
        assert self.settings(app, "--address=")[0].address == ""
        assert self.settings(app, CENTRIFUGO_ADDRESS="::")[0].address == "::"
        assert self.settings(elsewhere)[0].address == "192.0.2.1"

    def test_several_workers_need_the_redis_engine(self) -> None:
        app, joined = site(), site(GENTRIFUGO_ENGINE="redis")
        for each in (app, joined):
            Gentrifugo(each)
        assert self.settings(joined, "--workers=2")[0].workers == 2
        with pytest.raises(ConfigError, match="workers: more than one requires the Redis engine"):
            self.settings(app, "--workers=2")

    def test_application_cannot_set_the_number_of_workers(self) -> None:
        app = site(GENTRIFUGO_WORKERS=4)
        Gentrifugo(app)
        config, warnings = self.settings(app)
        assert config.workers == 1
        assert warnings == [
            "GENTRIFUGO_WORKERS: ignored; with --app use --workers, or CENTRIFUGO_WORKERS in the environment"
        ]

    def test_the_debug_mode_does_not_switch_on_the_debug_endpoints(self) -> None:
        app = site()
        Gentrifugo(app)
        assert not self.settings(app, "--debug")[0].debug

    def test_secret_key_that_is_set_too_late_causes_a_warning(self) -> None:
        app = site()
        Gentrifugo(app)
        assert self.settings(app)[1] == []
        app.config["SECRET_KEY"] = "another"
        (warning,) = self.settings(app)[1]
        assert warning.startswith('app.config["SECRET_KEY"] has changed after Gentrifugo was initialized')

        with pytest.raises(ConfigError, match="SECRET_KEY"):
            self.settings(app, "--strict")

    def test_a_secret_of_its_own_does_not_depend_on_the_key(self) -> None:
        app = site(GENTRIFUGO_SECRET="secret")
        Gentrifugo(app)
        app.config["SECRET_KEY"] = "another"
        assert self.settings(app)[1] == []

    def test_files_of_secrets_are_ignored_under_the_names_of_their_variables(self, tmp_path: Path) -> None:
        app = site()
        Gentrifugo(app)
        (tmp_path / "secret").write_text("secret-of-a-test")
        for name in ("secret", "missing"):
            environ = {"CENTRIFUGO_SECRET_FILE": str(tmp_path / name), "CENTRIFUGO_HISTORY_TTL": "1"}
            assert sorted(self.settings(app, "--app=site", **environ)[1]) == [
                "CENTRIFUGO_HISTORY_TTL: ignored with --app; set it in the application",
                "CENTRIFUGO_SECRET_FILE: ignored with --app; set it in the application",
            ]

    def test_options_of_the_application_are_refused_as_flags_and_as_a_file(self) -> None:
        app = site()
        Gentrifugo(app)
        with pytest.raises(ConfigError) as refused:
            self.settings(app, "--config=other.json", "--presence", "--port=many")
        assert refused.value.problems == [
            "--presence: not allowed with --app: set GENTRIFUGO_PRESENCE in the config of the application",
            "--config: not allowed with --app; pass the file to Gentrifugo(...) in the application",
            '--port: Must be an integer; the value is "many".',
        ]

    def test_an_application_without_a_server_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"^--app: site has no Gentrifugo server: add Gentrifugo\(app\) to it$"):
            self.settings(Flask("plain"), "--app=site")
        with pytest.raises(ConfigError, match=r"^FLASK_APP: site has no .*, or unset FLASK_APP to start a server"):
            self.settings(Flask("plain"))
