"""Behaviour of loading: the precedence of sources, the reported problems and warnings, and the changes by a reload."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gentrifugo.app.config import command_line
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import DEFAULT_KEY_ADVICE, LoadedConfig, from_mapping, load, reload
from gentrifugo.app.config.options import ConfigError, options_of

SECRET = {"CENTRIFUGO_SECRET": "secret-of-a-test"}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write options into config.json of an empty current directory."""
    monkeypatch.chdir(tmp_path)

    def write(options: Any = None, /, **more: Any) -> Path:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**(options or {}), **more}))
        return path

    return write


def problems(*argv: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the problems of this configuration."""
    with pytest.raises(ConfigError) as caught:
        load(argv, environ or {})
    return caught.value.problems


class TestOrderOfSources:
    """default < file < environment < flag, for options of every type."""

    CASES: ClassVar = {
        "port": (8000, 8001, "8002", 8002, "--port=8003", 8003),
        "name": (f"{socket.gethostname()}_8000", "file", "env", "env", "--name=flag", "flag"),
        "history_lifetime": (0, 0.5, "1.5", 1.5, "--history_lifetime=2.5", 2.5),
        "insecure_api": (False, True, "false", False, "--insecure_api", True),
        "debug": (False, True, "true", True, "--debug=false", False),
    }

    @pytest.mark.parametrize("name", CASES)
    def test_each_source_overrides_the_previous_one(self, name: str, write: Write) -> None:
        default, in_file, variable, in_environment, flag, on_command_line = self.CASES[name]
        environ = {f"CENTRIFUGO_{name.upper()}": str(variable)}
        write(secret="secret-of-a-test")
        assert getattr(load([], {}).config, name) == default
        write({"secret": "secret-of-a-test", name: in_file})
        assert getattr(load([], {}).config, name) == in_file
        assert getattr(load([], environ).config, name) == in_environment
        assert getattr(load([str(flag)], environ).config, name) == on_command_line

    @pytest.mark.parametrize("argv", [["-p", "9000"], ["-p9000"], ["--port", "9000"], ["-p", "1", "--port=9000"]])
    def test_flag_takes_precedence_in_every_spelling(self, argv: list[str], write: Write) -> None:
        write(secret="secret-of-a-test", port=8001)
        assert load(argv, {"CENTRIFUGO_PORT": "8002"}).config.port == 9000

    @pytest.mark.parametrize("value", ["-1", "--port=9", "-c", "a=b", "[1]", "x y", "--"])
    def test_values_in_environment_and_file_are_never_read_as_flags(self, value: str, write: Write) -> None:
        write(secret=value)
        assert load([], {"CENTRIFUGO_NAME": value}).config.name == value
        assert load([], {"CENTRIFUGO_NAME": value}).config.secret == value

    def test_an_empty_variable_counts_as_not_set(self, write: Write) -> None:
        write(secret="secret-of-a-test", port=8001)
        assert load([], {"CENTRIFUGO_PORT": "", "CENTRIFUGO_SECRET": ""}).config.port == 8001

    def test_namespaces_keep_types_of_values(self, write: Write) -> None:
        write(secret="secret-of-a-test", namespaces=[{"name": "public", "history_lifetime": 0.5, "presence": True}])
        assert load([], {}).config.namespaces == (Namespace(name="public", history_lifetime=0.5, presence=True),)

    def test_an_invalid_value_that_another_source_overrides_is_ignored(self, write: Write) -> None:
        """In Kubernetes a service named centrifugo sets CENTRIFUGO_PORT to tcp://10.0.0.1:8000."""
        write(secret="secret-of-a-test")
        assert load(["--port=9000"], {"CENTRIFUGO_PORT": "tcp://10.0.0.1:8000"}).config.port == 9000


class TestProblems:
    def test_all_problems_are_reported_together_with_their_sources(self, write: Write) -> None:
        write(port="x", presence="maybe", namespaces=[{"name": "ok"}, {"name": "public", "history_size": "1.5"}])
        environ = {"CENTRIFUGO_PING_INTERVAL": "soon", **SECRET}
        assert sorted(problems("--client-channel-limit=-1", "--prot=1", environ=environ)) == [
            '--client_channel_limit: Must be between 0 and 9223372036854775807; the value is "-1".',
            "--prot: unknown flag; did you mean --port?",
            "CENTRIFUGO_PING_INTERVAL: Must be a time in seconds, such as 90 or 0.5, or with units, "
            'such as "1m30s" or "500ms"; the value is "soon".',
            'config.json: namespaces[1].history_size: Must be an integer; the value is "1.5".',
            'config.json: port: Must be an integer; the value is "x".',
            'config.json: presence: Must be true or false; the value is "maybe".',
        ]

    @pytest.mark.parametrize("option", ["admin", "engine", "prometheus"])
    def test_error_for_an_object_as_in_version_6_says_that_options_are_not_nested(
        self, option: str, write: Write
    ) -> None:
        write({"secret": "secret-of-a-test", option: {"enabled": True}})
        (problem,) = problems()
        assert problem.startswith(f"config.json: {option}: Must be ")
        assert problem.endswith(
            ". Options are not nested here; docs/from-centrifugo.md describes those of Centrifugo 6."
        )

    def test_names_of_namespaces_are_unique(self, write: Write) -> None:
        write(secret="secret-of-a-test", namespaces=[{"name": "one"}, {"name": "two"}, {"name": "one"}])
        assert problems() == ["config.json: namespaces[2].name: namespaces[0] already has the name one."]

    @pytest.mark.parametrize("namespace", [{"presence": True}, {"name": None}])
    def test_a_namespace_without_a_name_is_named_by_its_place(self, namespace: dict[str, Any], write: Write) -> None:
        write(secret="secret-of-a-test", namespaces=[{"name": "one"}, namespace])
        assert problems() == [
            "config.json: namespaces[1].name: Is missing: each item of the list must have a name.",
        ]

    def test_a_secret_is_required(self, write: Write) -> None:
        write(port=8000)
        assert problems() == [f"token_hmac_secret_key, secret: not set in config.json; {DEFAULT_KEY_ADVICE}"]

    def test_empty_secret_counts_as_missing(self, write: Write) -> None:
        write(secret="")
        assert problems() == [f"token_hmac_secret_key, secret: not set in config.json; {DEFAULT_KEY_ADVICE}"]

    @pytest.mark.parametrize("name", ["config.yaml", "config.toml"])
    def test_error_for_a_missing_secret_says_that_the_file_is_empty(self, name: str, write: Write) -> None:
        write().with_name(name).write_text("\n")
        assert problems("--config", name) == [
            f"token_hmac_secret_key, secret: not set in {name}, which is empty; "
            f'delete it and create one with "gentrifugo genconfig --config={name}"'
        ]

    @pytest.mark.parametrize(
        ("name", "text", "flag"),
        [
            ("config.json", "{}", ""),
            ("my config.json", "{ }", " --config='my config.json'"),
            ("c.yaml", "# none", " --config=c.yaml"),
        ],
    )
    def test_file_without_options_is_replaced_like_a_missing_one(
        self, name: str, text: str, flag: str, write: Write
    ) -> None:
        write().with_name(name).write_text(text)
        assert problems("--config", name) == [
            f"token_hmac_secret_key, secret: not set in {name}, which has no options; delete it and create one with "
            f'"gentrifugo genconfig{flag}"'
        ]

    def test_insecure_needs_no_secret(self, write: Write) -> None:
        write()
        assert load(["--insecure"], {}).config.secret == ""

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("token_hmac_secret_key", "secret-of-a-test"),
            ("token_rsa_public_key", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"),
            ("token_ecdsa_public_key", "-----BEGIN PUBLIC KEY-----\\nAA==\\n-----END PUBLIC KEY-----"),
            ("token_jwks_public_endpoint", "https://id.example/keys"),
        ],
    )
    def test_key_for_tokens_is_sufficient_without_a_secret(self, option: str, value: str, write: Write) -> None:
        write({option: value})
        loaded = load([], {})
        assert (loaded.config.secret, loaded.config.checks_tokens, loaded.warnings) == ("", True, [])

    def test_previous_token_key_alone_is_insufficient(self, write: Write) -> None:
        write(token_hmac_previous_secret_key="key")
        assert problems() == [f"token_hmac_secret_key, secret: not set in config.json; {DEFAULT_KEY_ADVICE}"]

    @pytest.mark.parametrize("option", ["token_hmac_secret_key", "token_hmac_previous_secret_key"])
    def test_a_key_for_tokens_differs_from_the_secret(self, option: str, write: Write) -> None:
        write({"secret": "the same", option: "the same"})
        assert problems() == [f"config.json: {option}: must differ from secret"]
        assert problems(environ={f"CENTRIFUGO_{option.upper()}": "the same"}) == [
            f"CENTRIFUGO_{option.upper()}: must differ from secret"
        ]

    def test_a_public_key_is_in_pem(self, write: Write) -> None:
        write(token_rsa_public_key="MIIB", token_ecdsa_public_key="-----BEGIN PRIVATE KEY-----")
        assert [problem.partition(": Must be a public key in PEM")[0] for problem in problems()] == [
            "config.json: token_rsa_public_key",
            "config.json: token_ecdsa_public_key",
        ]

    def test_hooks_over_http_need_a_key_of_their_own_or_the_secret(self, write: Write) -> None:
        options = {"token_hmac_secret_key": "key", "hook_url": "http://localhost/", "hook_events": "connect"}
        write(options)
        assert problems() == ["config.json: hook_url: requires hook_secret or secret, which signs the requests"]
        write(options, hook_secret="another")
        assert load([], {}).config.hook_secret == "another"

    def test_the_error_for_a_missing_file_names_genconfig(self, write: Write) -> None:
        assert problems() == ['config.json: not found; create one with "gentrifugo genconfig"']
        assert problems("-c", "a.toml") == ['a.toml: not found; create one with "gentrifugo genconfig --config=a.toml"']

    @pytest.mark.parametrize(
        ("argv", "environ"), [(["--insecure"], {}), (["--secret=secret-of-a-test"], {}), ([], SECRET)]
    )
    def test_missing_file_is_a_warning_if_other_sources_set_the_required_options(
        self, argv: list[str], environ: dict[str, str], write: Write
    ) -> None:
        loaded = load(argv, environ)
        assert loaded.warnings[0] == "config.json: not found, using only flags and environment"
        assert loaded.path is None

    def test_unreadable_file_is_reported_together_with_other_problems(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{")
        assert problems("--port=x") == [
            '--port: Must be an integer; the value is "x".',
            "config.json: line 1, column 2: Expecting property name enclosed in double quotes",
        ]

    @pytest.mark.parametrize(
        ("argv", "problem"),
        [
            (["--port"], "-p/--port: expected one argument"),
            (["-c"], "-c/--config: expected one argument"),
            (["-c", ""], "-c/--config: expected the path of a file"),
            (["--insecure", "-x"], '-x: unknown flag; "gentrifugo help" lists the flags'),
            (["--insecure", "--redis-hots", "h"], "--redis-hots: unknown flag; did you mean --redis_host?"),
            (["--insecure", "--por=9000"], "--por: unknown flag; did you mean --port?"),
            (["--insecure", "--debug", "false"], "--debug: a value needs an equals sign: --debug=false"),
            (["--debug", "no", "--insecure"], "--debug: a value needs an equals sign: --debug=no"),
            (["--insecure", "-d", "1"], "-d: a value needs an equals sign: -d=1"),
            (
                ["--insecure", "--allow-subscribe-for-client", "TRUE"],
                "--allow-subscribe-for-client: a value needs an equals sign: --allow-subscribe-for-client=TRUE",
            ),
            (["--insecure", "--namespaces=[]"], "--namespaces: can be set only in the configuration file"),
            (
                ["--insecure=perhaps", "--secret=secret-of-a-test"],
                '--insecure: Must be true or false; the value is "perhaps".',
            ),
        ],
    )
    def test_invalid_command_line_is_refused(self, argv: list[str], problem: str, write: Write) -> None:
        write()
        assert problems(*argv) == [problem]

    def test_a_separate_value_is_reported_beside_an_unknown_flag(self, write: Write) -> None:
        write()
        assert problems("--insecure", "--frobnicate", "--debug", "false") == [
            '--frobnicate: unknown flag; "gentrifugo help" lists the flags',
            "--debug: a value needs an equals sign: --debug=false",
        ]

    def test_values_of_other_flags_are_not_separate(self, write: Write) -> None:
        write()
        loaded = load(["--insecure", "--port", "1", "--debug=no", "--name", "on", "--", "--debug", "true"], {})
        assert (loaded.config.port, loaded.config.debug, loaded.config.name) == (1, False, "on")

    def test_errors_are_shown_with_warnings(self, write: Write) -> None:
        write(secrte="secret")
        with pytest.raises(ConfigError) as caught:
            load([], {})
        assert caught.value.warnings == ["config.json: unknown option secrte; did you mean secret?"]

    def test_error_text_contains_all_problems(self, write: Write) -> None:
        write(secret="secret-of-a-test", port=-1, api_port="x")
        with pytest.raises(ConfigError, match=r"port: .*; .*api_port: "):
            load([], {})


class TestWarnings:
    def test_usual_configuration_has_no_warnings(self, write: Write) -> None:
        write(
            secret="secret-of-a-test",
            port="8000",
            admin_password="p",
            admin_secret="secret-of-a-test",
            namespaces=[{"name": "public"}],
        )
        assert load(["--log_level=debug"], {"PATH": "/bin", "CENTRIFUGO_NAME": "a"}).warnings == []

    def test_unknown_options_of_the_file_are_named_with_their_place(self, write: Write) -> None:
        write(secret="secret-of-a-test", histroy_size=1, namespaces=[{"name": "public", "presense": True}])
        assert load([], {}).warnings == [
            "config.json: unknown option histroy_size; did you mean history_size?",
            "config.json: unknown option namespaces[0].presense; did you mean presence?",
        ]

    def test_spellings_of_centrifugo_v1_are_accepted(self, write: Write) -> None:
        write({"Secret": "k", "log_level": "warn", "port": None, "Namespaces": [{"Name": "public", "presence": None}]})
        loaded = load(["-wd"], {})
        config = loaded.config
        assert (config.secret, config.log_level, config.port, config.web, config.debug) == (
            "k",
            "warn",
            8000,
            True,
            True,
        )
        assert config.namespaces == (Namespace(name="public"),)
        assert [warning for warning in loaded.warnings if "unknown" in warning] == []

    def test_variable_with_the_prefix_of_flask_names_the_right_one(self, write: Write) -> None:
        write(secret="secret-of-a-test")
        environ = {"GENTRIFUGO_PORT": "9000", "GENTRIFUGO_HISTORY_TTL": "5", "GENTRIFUGO_SPEEDUPS": "0"}
        loaded = load([], environ)
        assert loaded.config.port == 8000
        assert loaded.warnings == [
            "GENTRIFUGO_PORT: not used; the variable of this option is CENTRIFUGO_PORT",
            "GENTRIFUGO_HISTORY_TTL: not used; the variable of this option is CENTRIFUGO_HISTORY_TTL",
        ]

    def test_variables_of_a_kubernetes_service_with_the_name_of_this_server_cause_no_warning(
        self, write: Write
    ) -> None:
        write(secret="secret-of-a-test")
        environ = {"GENTRIFUGO_SERVICE_HOST": "10.0.0.7", "GENTRIFUGO_PORT": "tcp://10.0.0.7:8000"}
        assert load([], environ).warnings == []

    def test_unknown_variables_are_named(self, write: Write) -> None:
        write(secret="secret-of-a-test")
        environ = {
            "CENTRIFUGO_PROT": "1",
            "CENTRIFUGO_SERVICE_XYZ": "1",
            "OTHER_PORT": "1",
            "CENTRIFUGO_NAMESPACES": "[]",
            "CENTRIFUGO_CHANNEL_NAMESPACES": "[]",
        }
        assert load([], environ).warnings == [
            "CENTRIFUGO_PROT: unknown option; did you mean CENTRIFUGO_PORT?",
            "CENTRIFUGO_SERVICE_XYZ: unknown option",
            "CENTRIFUGO_NAMESPACES: not used, because this option can be set only in the configuration file",
            "CENTRIFUGO_CHANNEL_NAMESPACES: not used; option namespaces can be set only in the configuration file",
        ]

    @pytest.mark.parametrize("service", ["CENTRIFUGO", "CENTRIFUGO_EU"])
    def test_variables_that_kubernetes_sets_are_ignored_with_one_warning(self, write: Write, service: str) -> None:
        write(secret="secret-of-a-test", port=9000)
        environ = {
            f"{service}_SERVICE_HOST": "10.0.0.7",
            f"{service}_SERVICE_PORT": "8000",
            f"{service}_SERVICE_PORT_HTTP": "8000",
            f"{service}_PORT": "tcp://10.0.0.7:8000",
            f"{service}_PORT_8000_TCP": "tcp://10.0.0.7:8000",
            f"{service}_PORT_8000_TCP_PORT": "8000",
            "CENTRIFUGO_NAME": "node-1",
        }
        loaded = load([], environ)
        assert (loaded.config.port, loaded.config.name) == (9000, "node-1")
        names = ", ".join(sorted({*environ} - {"CENTRIFUGO_NAME"}))
        assert loaded.warnings == [f"ignoring the variables that Kubernetes sets for services: {names}"]

    def test_variables_of_other_services_are_ignored(self, write: Write) -> None:
        write(secret="secret-of-a-test")
        environ = {"OTHER_SERVICE_HOST": "10.0.0.7", "OTHER_PORT": "tcp://10.0.0.7:8000"}
        assert load([], environ).warnings == []

    def test_argument_after_double_dash_is_not_a_flag(self, write: Write) -> None:
        write(secret="secret-of-a-test")
        assert not load(["--", "--debug"], {}).config.debug

    @pytest.mark.parametrize(
        "arguments",
        [
            ["checktoken", "--", "-token"],
            ["checktoken", "--port=1", "--", "-token"],
            ["--port", "1", "checktoken", "--", "-token"],
            ["--debug", "--", "checktoken", "-token"],
        ],
    )
    def test_words_may_follow_the_end_of_the_flags(self, arguments: list[str]) -> None:
        given = command_line.read(options_of(Config), arguments, {})
        assert (given.words, given.problems) == (["checktoken", "-token"], [])

    def test_own_port_variable_is_used_beside_those_of_kubernetes(self, write: Write) -> None:
        write(secret="secret-of-a-test")
        loaded = load([], {"CENTRIFUGO_SERVICE_HOST": "10.0.0.7", "CENTRIFUGO_PORT": "9000"})
        assert loaded.config.port == 9000

    def test_a_duplicate_key_is_reported_with_its_file(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"secret": "a", "secret": "secret-of-a-test"}')
        assert load([], {}).warnings == [
            'config.json: "secret" is set more than once in one object; the last value is used'
        ]


class TestFromMapping:
    def test_options_in_code_are_checked_like_a_file(self) -> None:
        loaded = from_mapping({"secret": "secret-of-a-test", "port": "9000", "namespaces": ({"name": "public"},)})
        assert loaded == LoadedConfig(
            Config(secret="secret-of-a-test", port=9000, namespaces=(Namespace(name="public"),)), [], None
        )

    def test_problems_of_options_in_code_name_the_source(self) -> None:
        with pytest.raises(ConfigError) as caught:
            from_mapping({"port": "x"}, source="GENTRIFUGO")
        assert caught.value.problems == [
            'GENTRIFUGO: port: Must be an integer; the value is "x".',
            f"token_hmac_secret_key, secret: not set in GENTRIFUGO; {DEFAULT_KEY_ADVICE}",
        ]


class TestReload:
    CURRENT = Config(secret="secret-of-a-test", name="node")

    def reload(self, *argv: str, **environ: str) -> LoadedConfig:
        return reload(self.CURRENT, ["--name=node", *argv], environ)

    def test_reload_changes_reloadable_options(self, write: Write) -> None:
        write(secret="new", namespaces=[{"name": "public"}], presence=True, log_level="debug", ping_interval=5)
        loaded = self.reload("--client_channel_limit=1", CENTRIFUGO_INSECURE_API="true")
        assert loaded.config == dataclasses.replace(
            self.CURRENT,
            secret="new",
            namespaces=(Namespace(name="public"),),
            presence=True,
            log_level="debug",
            ping_interval=5,
            client_channel_limit=1,
            insecure_api=True,
        )

    def test_other_options_keep_their_value_and_are_named(self, write: Write) -> None:
        write(secret="secret-of-a-test", port=9000, address="127.0.0.1", max_channel_length=10)
        loaded = self.reload()
        assert loaded.config == dataclasses.replace(self.CURRENT, max_channel_length=10)
        assert loaded.warnings == [
            "option address has changed; restart the server to apply it",
            "option port has changed; restart the server to apply it",
        ]

    def test_changed_default_name_is_not_reported_in_addition_to_the_port(self, write: Write) -> None:
        current = Config(secret="secret-of-a-test")
        write(secret="secret-of-a-test", port=9000)
        loaded = reload(current, [], {})
        assert loaded.config == current
        assert loaded.warnings == ["option port has changed; restart the server to apply it"]

    def test_secrets_that_cannot_change_are_named_without_their_value(self, write: Write) -> None:
        write(secret="secret-of-a-test", redis_password="s3cr3t")
        assert "s3cr3t" not in " ".join(self.reload().warnings)

    def test_reload_with_an_invalid_file_is_an_error(self, write: Write) -> None:
        write(secret="secret-of-a-test", max_channel_length=0)
        with pytest.raises(ConfigError):
            self.reload()


class TestStrict:
    def test_strict_treats_warnings_as_errors(self, write: Write) -> None:
        write(secret="secret-of-a-test", prot=1)
        assert problems("--strict") == ["config.json: unknown option prot; did you mean port?"]

    def test_strict_accepts_a_configuration_without_warnings(self, write: Write) -> None:
        write(secret="secret-of-a-test")
        assert load(["--strict"], {}).config.secret == "secret-of-a-test"


@pytest.mark.parametrize(
    ("options", "is_noted"),
    [
        ({"token_hmac_secret_key": "secret-of-a-test"}, True),
        ({"insecure": True}, True),
        ({"token_hmac_secret_key": "secret-of-a-test", "api_key": "k"}, False),
        ({"token_hmac_secret_key": "secret-of-a-test", "insecure_api": True}, False),
        ({"secret": "secret-of-a-test"}, False),
    ],
)
def test_a_server_that_refuses_all_backends_is_noted(options: dict[str, Any], is_noted: bool) -> None:
    assert [note.partition(":")[0] for note in from_mapping(options).notes] == [
        "options api_key and secret are not set, so no backend can use the HTTP API"
    ] * is_noted


def test_a_server_that_refuses_all_backends_may_start_with_strict(write: Write) -> None:
    write(token_hmac_secret_key="secret-of-a-test")
    assert load(["--strict"], {}).notes


def test_certificates_are_obtained_for_names_that_are_given(write: Write) -> None:
    write(secret="secret-of-a-test", ssl_autocert=True)
    assert problems() == ["config.json: ssl_autocert_host_whitelist: ssl_autocert requires ssl_autocert_host_whitelist"]


def test_personal_channels_need_a_namespace_that_exists(write: Write) -> None:
    def written(*names: str) -> None:
        namespaces = [{"name": name} for name in names]
        write({"secret": "secret-of-a-test", "user_personal_channel_namespace": "inbox", "namespaces": namespaces})

    written("other")
    assert problems() == ["config.json: user_personal_channel_namespace: unknown namespace 'inbox'"]
    written("other", "inbox")
    assert load([], {}).config.user_personal_channel_namespace == "inbox"
