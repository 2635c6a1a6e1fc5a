"""Arguments of the constructor and of init_app: their precedence, and errors for invalid ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app

from gentrifugo import Gentrifugo
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.extension.arguments import Arguments, check_arguments, checked_app
from gentrifugo.app.views.mounted import endpoints_of
from tests.flask_sites import service_in, site

ARGUMENTS: dict[str, Any] = {"config": {"ping_interval": 7}, "url_prefix": "/rt", "endpoints": ["client"]}


def given(app: Flask) -> tuple[float, str, set[str]]:
    """The arguments that are used for an application, from ARGUMENTS or other ones."""
    config = service_in(app).config
    return config.ping_interval, config.http_prefix, set(endpoints_of(app))


class TestDefaults:
    @pytest.mark.parametrize("is_later", [False, True], ids=["constructor", "init_app later"])
    def test_arguments_of_the_constructor_are_defaults(self, is_later: bool) -> None:
        app = site()
        if is_later:
            Gentrifugo(**ARGUMENTS).init_app(app)
        else:
            Gentrifugo(app, **ARGUMENTS)
        assert given(app) == (7, "/rt", {"client"})
        paths = {rule.rule for rule in app.url_map.iter_rules()}
        assert not any("/api/" in path for path in paths)

    def test_arguments_of_the_extension_are_defaults_of_every_application(self) -> None:
        rt, first, second = Gentrifugo(**ARGUMENTS), site(), site()
        rt.init_app(first)
        rt.init_app(second)
        assert given(first) == given(second) == (7, "/rt", {"client"})

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"config": {"ping_interval": 8}}, (8, "/rt", {"client"})),
            ({"config": {}}, (25, "/rt", {"client"})),
            ({"url_prefix": "/other"}, (7, "/other", {"client"})),
            ({"url_prefix": ""}, (7, "", {"client"})),
            ({"endpoints": ["api", "admin"]}, (7, "/rt", {"api", "admin"})),
            ({"endpoints": []}, (7, "/rt", set())),
        ],
        ids=["config", "empty config", "url_prefix", "empty url_prefix", "endpoints", "no endpoints"],
    )
    def test_an_argument_of_init_app_replaces_its_default(
        self, arguments: dict[str, Any], expected: tuple[float, str, set[str]]
    ) -> None:
        app = site()
        Gentrifugo(**ARGUMENTS).init_app(app, **arguments)
        assert given(app) == expected

    def test_an_argument_of_init_app_is_for_one_application(self) -> None:
        rt, first, second = Gentrifugo(**ARGUMENTS), site(), site()
        rt.init_app(first, {"ping_interval": 8}, "/other", ["api"])
        rt.init_app(second)
        assert given(second) == (7, "/rt", {"client"})

    def test_later_changes_to_an_argument_have_no_effect(self) -> None:
        options, endpoints = {"ping_interval": 7}, ["client"]
        rt, app = Gentrifugo(config=options, endpoints=endpoints), site()
        options["ping_interval"] = 8
        endpoints.append("api")
        rt.init_app(app)
        assert given(app) == (7, "/realtime", {"client"})


class TestConfig:
    @pytest.mark.parametrize("config", [7, True, ["ping_interval"], b"config.json"], ids=repr)
    def test_argument_config_may_be_a_mapping_or_a_path(self, config: Any) -> None:
        with pytest.raises(TypeError, match=f"config: expected options by name, or the path .*{type(config).__name__}"):
            Gentrifugo(config=config)
        with pytest.raises(TypeError, match="config: expected"):
            Gentrifugo().init_app(site(), config)

    def test_app_config_as_argument_config_is_refused(self) -> None:
        app = site()
        with pytest.raises(TypeError, match=r"config: leave out app\.config"):
            Gentrifugo(app, app.config)

    @pytest.mark.parametrize("path", ["options.json", Path("options.json")])
    def test_a_path_is_kept_as_text(self, path: str | Path) -> None:
        assert check_arguments(path, None, None).config == "options.json"


class TestPrefix:
    @pytest.mark.parametrize(
        ("prefix", "kept"), [("live", "/live"), ("/live/", "/live"), ("/a/b/", "/a/b"), ("a/b", "/a/b"), ("/", "")]
    )
    def test_slashes_at_the_ends_of_the_prefix_are_ignored(self, prefix: str, kept: str) -> None:
        assert check_arguments(None, prefix, None).url_prefix == kept
        app = site()
        Gentrifugo(app, url_prefix=prefix)
        assert f"{kept}/api/" in {rule.rule for rule in app.url_map.iter_rules()}

    @pytest.mark.parametrize("prefix", ["/a b", "/a?b", "/a#b", "/a//b", "/<lang>/rt"])
    def test_invalid_prefix_is_refused_and_named_as_given(self, prefix: str) -> None:
        with pytest.raises(ConfigError, match=r"^url_prefix: Must be a path such as '/realtime'"):
            Gentrifugo(url_prefix=prefix)

    @pytest.mark.parametrize("prefix", [7, b"/rt", ["/rt"], False], ids=repr)
    def test_prefix_that_is_not_a_string_is_refused(self, prefix: Any) -> None:
        with pytest.raises(TypeError, match=f"url_prefix: expected a path .*{type(prefix).__name__}"):
            Gentrifugo(url_prefix=prefix)


class TestEndpoints:
    @pytest.mark.parametrize("endpoints", [("client",), {"client"}, frozenset({"client"}), {"client": True}], ids=repr)
    def test_endpoints_may_be_any_collection(self, endpoints: Any) -> None:
        assert check_arguments(None, None, endpoints).endpoints == frozenset({"client"})

    @pytest.mark.parametrize("endpoints", ["client", b"client", 7, True], ids=repr)
    def test_string_instead_of_a_list_of_endpoints_is_refused(self, endpoints: Any) -> None:
        with pytest.raises(TypeError, match=r'endpoints: expected a list of names, such as \["client"\], not'):
            Gentrifugo(endpoints=endpoints)

    @pytest.mark.parametrize(
        ("endpoints", "unknown"),
        [
            (["clients"], "clients; possible endpoints: client, api, admin"),
            (["client", "web", "x"], "web, x"),
            ([7, None], "7, None"),
        ],
    )
    def test_unknown_endpoints_are_named_in_the_error(self, endpoints: list[Any], unknown: str) -> None:
        with pytest.raises(ValueError, match=f"unknown endpoints: {unknown}"):
            Gentrifugo(endpoints=endpoints)


class TestApplication:
    @pytest.mark.parametrize("app", ["news", {"engine": "redis"}, Path("config.json"), Flask], ids=repr)
    def test_argument_that_is_not_an_application_is_refused(self, app: Any) -> None:
        with pytest.raises(TypeError, match=r"app: expected a Flask application, not .*; options are given as config="):
            Gentrifugo(app)
        with pytest.raises(TypeError, match="app: expected a Flask application"):
            Gentrifugo().init_app(app)

    def test_the_current_application_is_the_application_itself(self) -> None:
        app, rt = site(), Gentrifugo()
        with app.app_context():
            assert checked_app(current_app) is app
            rt.init_app(current_app)
        with pytest.raises(RuntimeError, match="gevent has not patched"):  # the application is found outside, too
            rt.channels()


def test_missing_arguments_are_taken_from_the_defaults() -> None:
    config: Mapping[str, Any] = {"ping_interval": 7}
    defaults = Arguments(config, "/rt", frozenset({"client"}))
    assert Arguments().with_defaults(defaults) == defaults
    assert Arguments({}, "", frozenset()).with_defaults(defaults) == Arguments({}, "", frozenset())
