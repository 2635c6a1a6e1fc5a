"""Behaviour of the `gentrifugo` command, which runs in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gentrifugo
from gentrifugo.app.cli import SUBCOMMANDS
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import DEFAULT_KEY_ADVICE, load
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.own_flags import FLAGS_ONLY, TOKEN_FLAGS
from gentrifugo.app.protocol.v2.token_making import sign_token

ROOT = Path(__file__).parents[2]
BEARER_WARNING = (
    "gentrifugo: warning: the word Bearer is not a part of the token: leave it out where a client is given the token\n"
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory for each command."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command, without options in the environment, and with Python warnings as errors."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "gentrifugo", *argv],
        capture_output=True,
        text=True,
        timeout=30,
        env={**clean, "COLUMNS": "100", **environ},
    )


def refused(*argv: str, **environ: str) -> list[str]:
    """The standard error of the command, which must end with status 1 and without a traceback."""
    result = run(*argv, **environ)
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert all(line.startswith("gentrifugo: ") for line in lines), result.stderr
    return [line.removeprefix("gentrifugo: ") for line in lines]


class TestStart:
    """Starting the server, as far as the configuration goes."""

    def test_start_without_a_file_suggests_genconfig(self) -> None:
        assert refused() == ['config.json: not found; create one with "gentrifugo genconfig"']

    def test_every_problem_has_a_line_after_the_warnings(self, directory: Path) -> None:
        (directory / "config.json").write_text('{"secrte": 1, "port": "x"}')
        assert refused("serve", CENTRIFUGO_DEBUG="perhaps") == [
            "warning: config.json: unknown option secrte; did you mean secret?",
            'config.json: port: Must be an integer; the value is "x".',
            'CENTRIFUGO_DEBUG: Must be true or false; the value is "perhaps".',
            f"token_hmac_secret_key, secret: not set in config.json; {DEFAULT_KEY_ADVICE}",
        ]

    def test_errors_for_unknown_flags_and_commands_suggest_similar_names(self) -> None:
        assert refused("--prot") == ["--prot: unknown flag; did you mean --port?"]
        assert refused("chekconfig") == ["chekconfig: unknown command; did you mean checkconfig?"]
        assert refused("dance") == ['dance: unknown command; "gentrifugo --help" lists the commands']
        assert refused("--frobnicate") == ['--frobnicate: unknown flag; "gentrifugo help" lists the flags']
        assert refused("checkconfig", "now") == ["now: unexpected argument"]
        assert refused("--insecure", "true") == ["--insecure: a value needs an equals sign: --insecure=true"]
        assert refused("serve", "--debug", "no") == ["--debug: a value needs an equals sign: --debug=no"]
        assert refused("checkconfig", "-p1", "now", "--debug", "here") == [
            "now: unexpected argument",
            "here: unexpected argument",
        ]
        assert refused("chekconfig", "now") == [
            "chekconfig: unknown command; did you mean checkconfig?",
            "now: unexpected argument",
        ]

    def test_completion_needs_the_name_of_a_shell(self) -> None:
        assert refused("completion") == ["completion: expected one of: bash, zsh"]
        assert refused("completion", "fish") == ["completion: expected one of: bash, zsh"]
        assert refused("completion", "zsh", "now") == ["now: unexpected argument"]

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["my.json"], "my.json: unknown command; a configuration file is given as --config=my.json"),
            (
                ["genconfig", "my.toml"],
                "my.toml: unexpected argument; a configuration file is given as --config=my.toml",
            ),
            (["news:app"], "news:app: unknown command; an application is given as --app=news:app"),
            (["serve", "news.py"], "news.py: unexpected argument; an application is given as --app=news.py"),
            *(
                ([word], f"{word}: unknown command; an application is given as --app={word}")
                for word in ("sub/app.py:app", "news.py:create_app(1)")
            ),
            *(
                (
                    ["gentoken", word],
                    f"{word}: unexpected argument; "
                    "the user is given with the flag --user, and a channel with --channel",
                )
                for word in ("42", "chat:index")
            ),
            (
                ["gensubtoken", "-u", "42", "-s", "news"],
                "gensubtoken: unknown command; use gentoken --channel=CHANNEL",
            ),
            (["gensubtoken", "--help"], "gensubtoken: unknown command; use gentoken --channel=CHANNEL"),
            (["help", "gensubtoken"], "gensubtoken: unknown command; use gentoken --channel=CHANNEL"),
            (["checksubtoken", "a.b.c"], "checksubtoken: unknown command; use checktoken"),
            (["localhost:8000"], 'localhost:8000: unknown command; "gentrifugo --help" lists the commands'),
        ],
    )
    def test_a_word_that_is_the_value_of_a_flag_is_pointed_out(self, arguments: list[str], problem: str) -> None:
        assert refused(*arguments) == [problem]

    def test_modules_to_patch_are_not_imported_before_monkey_patching(self) -> None:
        code = (
            "import sys, gentrifugo.app.cli; print(sorted({'gevent', 'logging', 'ssl', 'threading'} & {*sys.modules}))"
        )
        # A process whose coverage is measured imports them for the measurement.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=environment
        )
        assert result.stdout == "[]\n", result.stderr


class TestCheckconfig:
    def test_checkconfig_reports_ok_for_a_valid_file(self, directory: Path) -> None:
        (directory / "config.json").write_text('{"secret": "secret-of-a-test"}')
        result = run("checkconfig")
        assert (result.returncode, result.stdout, result.stderr) == (0, "config.json: ok\n", "")

    def test_warnings_go_to_standard_error(self, directory: Path) -> None:
        (directory / "c.toml").write_text('secret = "secret-of-a-test"\nprot = 1\n')
        result = run("checkconfig", "--config=c.toml")
        assert (result.returncode, result.stdout) == (0, "c.toml: ok\n")
        assert result.stderr == "gentrifugo: warning: c.toml: unknown option prot; did you mean port?\n"

    def test_a_server_that_refuses_all_backends_is_ok_with_a_warning(self, directory: Path) -> None:
        (directory / "config.json").write_text('{"token_hmac_secret_key": "secret-of-a-test"}')
        result = run("checkconfig", "--strict")
        assert (result.returncode, result.stdout) == (0, "config.json: ok\n")
        assert result.stderr.startswith("gentrifugo: warning: options api_key and secret are not set, so no backend ")

    def test_an_application_publishes_without_a_key(self, directory: Path) -> None:
        (directory / "news.py").write_text(
            "from flask import Flask\n"
            "from gentrifugo import Gentrifugo\n"
            "app = Flask(__name__)\n"
            "app.config['GENTRIFUGO_TOKEN_HMAC_SECRET_KEY'] = 'secret-of-a-test'\n"
            "Gentrifugo(app)\n"
        )
        result = run("checkconfig", "--app=news:app")
        assert (result.returncode, result.stdout, result.stderr) == (0, "the application news:app: ok\n", "")

        result = run("checkconfig", "--app=news:app", CENTRIFUGO_SECRET_FILE="missing")
        assert (result.returncode, result.stdout) == (0, "the application news:app: ok\n")
        assert result.stderr == (
            "gentrifugo: warning: CENTRIFUGO_SECRET_FILE: ignored with --app; set it in the application\n"
        )

    def test_command_may_follow_flags(self, directory: Path) -> None:
        (directory / "c.yaml").write_text("secret: secret-of-a-test\n")
        assert run("-d", "-c", "c.yaml", "checkconfig").stdout == "c.yaml: ok\n"

    def test_checkconfig_reports_a_syntax_error_with_its_position(self, directory: Path) -> None:
        (directory / "config.json").write_text('{"secret": }')
        assert refused("checkconfig") == ["config.json: line 1, column 12: Expecting value"]

    def test_no_file_is_needed(self) -> None:
        result = run("checkconfig", CENTRIFUGO_SECRET="secret-of-a-test")
        assert (result.returncode, result.stdout) == (0, "flags and environment: ok\n")

    @pytest.mark.parametrize("name", ["config.json", "config.toml", "config.yaml"])
    def test_the_samples_are_ok(self, name: str) -> None:
        result = run("checkconfig", f"--config={ROOT / 'conf' / name}", CENTRIFUGO_SECRET="secret-of-a-test")
        assert (result.returncode, result.stderr) == (0, "")


class TestGenconfig:
    @pytest.mark.parametrize("argv", [(), ("-c", "my.toml"), ("--config=my.yaml",)])
    def test_a_generated_file_passes_the_check(self, argv: tuple[str, ...], directory: Path) -> None:
        result = run("genconfig", *argv)
        (path,) = directory.iterdir()
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{path.name}: written\n", "")
        assert run("checkconfig", *argv).stdout == f"{path.name}: ok\n"

    def test_genconfig_does_not_overwrite_a_file(self, directory: Path) -> None:
        (directory / "config.json").write_text("mine")
        assert refused("genconfig") == ["config.json: file exists, not overwritten"]
        assert (directory / "config.json").read_text() == "mine"


class TestTokens:
    """The commands that create and check tokens."""

    @pytest.fixture(autouse=True)
    def file(self, directory: Path) -> None:
        """A configuration with a key for tokens."""
        (directory / "config.json").write_text(
            '{"token_hmac_secret_key": "a key of some length for tokens, at least 32"}'
        )

    def test_a_token_of_a_connection_is_made_and_checked(self) -> None:
        token = run("gentoken", "--user", "42", '--info={"name": "Ann"}', "--expires", "60").stdout.strip()
        claims = json.loads(run("checktoken", token).stdout)
        assert (claims["token"], claims["user"], claims["info"]) == ("connection", "42", {"name": "Ann"})
        assert claims["expires_at"].endswith("+00:00")

    def test_the_user_may_be_given_with_the_short_flag_of_centrifugo(self) -> None:
        for flags in (["-u", "42"], ["-u42"]):
            token = run("gentoken", *flags).stdout.strip()
            assert json.loads(run("checktoken", token).stdout)["user"] == "42"

    def test_token_without_a_user_is_shown_as_that_of_an_anonymous_user(self) -> None:
        token = run("gentoken", "--user=").stdout.strip()
        assert json.loads(run("checktoken", token).stdout)["user"] == ""

    def test_token_may_follow_flags(self) -> None:
        token = run("gentoken", "--user=42").stdout.strip()
        assert json.loads(run("checktoken", "-c", "config.json", token).stdout)["user"] == "42"

    def test_a_copied_token_is_checked_and_a_missing_user_is_pointed_out(self) -> None:
        made = sign_token("a key of some length for tokens, at least 32", {"user": "42"})
        checked = run("checktoken", f'Bearer "{made}"\n')
        assert (checked.returncode, json.loads(checked.stdout)["user"]) == (0, "")
        assert (
            checked.stderr == f"{BEARER_WARNING}gentrifugo: warning: claim sub is missing, so the user is anonymous\n"
        )

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
    def test_the_word_bearer_may_be_an_argument_before_the_token(self, scheme: str) -> None:
        token = run("gentoken", "--user=42").stdout.strip()
        checked = run("checktoken", scheme, token, "-c", "config.json")
        assert (json.loads(checked.stdout)["user"], checked.stderr) == ("42", BEARER_WARNING)

    @pytest.mark.parametrize(
        "words", [("Authorization:", "Bearer"), ("Authorization: Bearer",), ("Authorization:", "Bearer:"), ("Bearer:",)]
    )
    def test_the_words_of_a_header_may_be_arguments_before_the_token(self, words: tuple[str, ...]) -> None:
        token = run("gentoken", "--user=42").stdout.strip()
        checked = run("checktoken", *words, token)
        assert (checked.stderr, json.loads(checked.stdout)["user"]) == (BEARER_WARNING, "42")

    def test_the_name_of_a_header_before_the_token_is_pointed_out(self) -> None:
        token = run("gentoken", "--user=42").stdout.strip()
        for words in (["Authorization:", token], [f"Authorization: {token}"]):
            checked = run("checktoken", *words)
            assert checked.stderr == BEARER_WARNING.replace("Bearer", "Authorization")
            assert json.loads(checked.stdout)["user"] == "42"

    def test_a_token_of_a_subscription_is_made_and_checked(self) -> None:
        token = run("gentoken", "--user=42", "--channel=news").stdout.strip()
        claims = json.loads(run("checktoken", token).stdout)
        assert (claims["token"], claims["user"], claims["channel"]) == ("subscription", "42", "news")

    @pytest.mark.parametrize("channel", ["chat:room", "$chat:room"])
    def test_token_for_an_unknown_namespace_is_made_with_a_warning_and_refused(self, channel: str) -> None:
        made = run("gentoken", "--user=42", f"--channel={channel}")
        assert made.stderr == (
            "gentrifugo: warning: --channel: the configuration has no namespace 'chat'; "
            "the server will refuse this subscription\n"
        )
        assert refused("checktoken", made.stdout.strip()) == [
            f"checktoken: the server refuses this token: claim channel: unknown channel {channel!r}: "
            "namespace 'chat' is not in option namespaces, which is empty"
        ]

    def test_token_for_a_known_namespace_is_made_without_a_warning(self, directory: Path) -> None:
        key = "a key of some length for tokens, at least 32"
        text = json.dumps({"token_hmac_secret_key": key, "namespaces": [{"name": "chat"}]})
        (directory / "config.json").write_text(text)
        assert run("gentoken", "--user=42", "--channel=chat:room").stderr == ""

    @pytest.mark.parametrize("claim", ["exp", "expire_at", "iat"])
    def test_a_time_in_milliseconds_is_pointed_out_and_the_token_is_valid(self, claim: str) -> None:
        made = sign_token("a key of some length for tokens, at least 32", {"sub": "42", claim: 1764000000000})
        checked = run("checktoken", made)
        assert (checked.returncode, json.loads(checked.stdout)["user"]) == (0, "42")
        assert checked.stderr == (
            f"gentrifugo: warning: claim {claim} is 1764000000000, which looks like milliseconds; "
            "it must be in seconds: 1764000000\n"
        )

    def test_times_in_seconds_cause_no_warning(self) -> None:
        times = {"exp": 99999999999, "expire_at": 4102444800.5, "iat": 1764000000, "nbf": None}
        made = sign_token("a key of some length for tokens, at least 32", {"sub": "42", **times})
        checked = run("checktoken", made)
        assert (checked.returncode, checked.stderr) == (0, "")

    def test_a_refusal_for_a_time_in_milliseconds_says_so(self) -> None:
        made = sign_token("a key of some length for tokens, at least 32", {"sub": "42", "nbf": 1764000000000})
        warning, problem = refused("checktoken", made)
        assert warning == (
            "warning: claim nbf is 1764000000000, which looks like milliseconds; it must be in seconds: 1764000000"
        )
        assert problem.startswith("checktoken: the server refuses this token: token is not valid yet: claim nbf is ")

    def test_an_expired_token_with_claims_of_wrong_types_is_refused_as_expired(self) -> None:
        made = sign_token("a key of some length for tokens, at least 32", {"sub": 42, "exp": 1, "iat": "now"})
        (problem,) = refused("checktoken", made)
        assert problem.startswith("checktoken: the server refuses this token: token has expired: claim exp is ")

    def test_a_lifetime_that_looks_like_a_unix_time_is_refused(self) -> None:
        assert refused("gentoken", "--user=42", "--expires=1764000000") == [
            "gentoken: expires is 1764000000.0; expected seconds from now, not a Unix time"
        ]
        assert refused("gentoken", "--user=42", "--expires=1764000000000") == [
            "gentoken: expires is 1764000000000.0; expected seconds from now, not milliseconds"
        ]

    def test_refusal_of_a_token_has_a_reason(self) -> None:
        token = run("gentoken", "--user=42").stdout.strip()
        (problem,) = refused("checktoken", token, CENTRIFUGO_TOKEN_HMAC_SECRET_KEY="another")
        why = "invalid signature: made with another key than option token_hmac_secret_key, or the token was changed"
        assert problem == f"checktoken: the server refuses this token: {why}"

    @pytest.mark.parametrize(
        ("argv", "problem"),
        [
            (["gentoken"], "gentoken: missing flag --user with the ID of a user (empty for an anonymous user)"),
            (
                ["gentoken", "--user=1", "--expires=soon"],
                '--expires: Must be a time in seconds, such as 90 or 0.5, or with units, such as "1m30s" or "500ms"; '
                'the value is "soon".',
            ),
            (["gentoken", "--user=1", "--expires=0"], "gentoken: expires is 0.0; expected more than 0 seconds"),
            (["gentoken", "--user=1", "--channel="], "gentoken: channel is ''; expected the name of a channel"),
            (["checktoken"], "checktoken: expected TOKEN"),
            (["checktoken", "Bearer"], "checktoken: expected TOKEN"),
            (["checktoken", "Authorization:", "Bearer"], "checktoken: expected TOKEN"),
            (["checktoken", "a", "b"], "b: unexpected argument"),
            (["checktoken", "Bearer", "a", "b"], "b: unexpected argument"),
            (["--user=1"], "--user: goes with gentoken only"),
        ],
    )
    def test_missing_or_invalid_token_options_are_named(self, argv: list[str], problem: str) -> None:
        assert refused(*argv) == [problem]

    def test_info_must_be_json(self) -> None:
        (problem,) = refused("gentoken", "--user=1", "--info={")
        assert problem.startswith("--info: not JSON: ")

    def test_token_commands_without_a_key_are_an_error(self, directory: Path) -> None:
        (directory / "config.json").write_text('{"secret": "secret-of-a-test"}')
        assert refused("gentoken", "--user=1") == [
            "gentoken: cannot sign a token: option token_hmac_secret_key is not set"
        ]
        assert refused("checktoken", "a.b.c") == [
            "checktoken: no key to verify tokens with: set an option such as token_hmac_secret_key"
        ]

    def test_a_broken_public_key_stops_the_server(self, directory: Path) -> None:
        key = "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----"
        (directory / "config.json").write_text(f'{{"token_rsa_public_key": "{key}"}}')
        assert refused("checkconfig") == ["token_rsa_public_key: not a public key in PEM format"]


class TestTokensOfAnApplication:
    """The commands for tokens, with the configuration of a Flask application."""

    @pytest.fixture(autouse=True)
    def application(self, directory: Path) -> None:
        """An application that prints a line while it is loaded."""
        (directory / "tok.py").write_text(
            "from flask import Flask\n"
            "from gentrifugo import Gentrifugo\n"
            "print('loading')\n"
            "app = Flask(__name__)\n"
            "app.config['SECRET_KEY'] = 'a key of some length for sessions, at least 32'\n"
            "realtime = Gentrifugo(app)\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "environ"), [(["--app=tok:app"], {}), (["--app", "tok"], {}), ([], {"FLASK_APP": "tok:app"})]
    )
    def test_tokens_are_made_and_checked_with_its_key(self, arguments: list[str], environ: dict[str, str]) -> None:
        made = run("gentoken", *arguments, "--user", "42", "--info", '{"a": 1}', **environ)
        assert (made.returncode, made.stderr) == (0, "loading\n")
        checked = run("checktoken", *arguments, made.stdout.strip(), **environ)
        assert (json.loads(checked.stdout)["user"], json.loads(checked.stdout)["info"]) == ("42", {"a": 1})

    def test_token_of_the_application_is_valid_and_one_with_another_key_is_not(self) -> None:
        own = subprocess.run(
            [sys.executable, "-c", "import tok; print(tok.realtime.token(42))"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.split()[-1]
        assert json.loads(run("checktoken", own, "--app=tok:app").stdout)["user"] == "42"
        other = run("checktoken", sign_token("another key", {"sub": "42"}), "--app=tok:app")
        assert (other.returncode, "invalid signature" in other.stderr) == (1, True)
        assert "SECRET_KEY" not in other.stderr

    def test_a_token_that_the_key_of_the_application_has_signed_is_recognized(self) -> None:
        token = sign_token("a key of some length for sessions, at least 32", {"sub": "42"})
        checked = run("checktoken", token, "--app=tok:app")
        assert checked.returncode == 1
        assert "it is signed with the SECRET_KEY of the application" in checked.stderr
        assert "create tokens with realtime.token, or set GENTRIFUGO_TOKEN_HMAC_SECRET_KEY" in checked.stderr

    def test_namespaces_are_those_of_the_application(self) -> None:
        made = run("gentoken", "--app=tok:app", "--user=42", "--channel=chat:room")
        assert "the configuration has no namespace 'chat'" in made.stderr

    @pytest.mark.parametrize("words", [("gentoken", "--user=42"), ("checktoken", "a.b.c")])
    def test_mistakes_are_named_as_when_the_application_is_served(self, words: tuple[str, ...]) -> None:
        assert refused(*words, "--app=nowhere:app") == [
            f"--app: module 'nowhere' not found: there is no file {Path.cwd()}/nowhere.py"
        ]
        unwanted = run(*words, "--app=tok:app", "--config=c.json", "--token-hmac-secret-key=k")
        assert "gentrifugo: --config: not allowed with --app" in unwanted.stderr
        assert "gentrifugo: --token_hmac_secret_key: not allowed with --app" in unwanted.stderr


class TestHelp:
    def test_version_names_the_program_and_the_release(self) -> None:
        for argv in (["version"], ["--version"], ["serve", "--version"]):
            result = run(*argv)
            assert (result.returncode, result.stdout) == (0, f"Gentrifugo v{gentrifugo.__version__}\n")

    @pytest.mark.parametrize("flag", ["-h", "--help"])
    def test_help_lists_common_flags_with_their_short_forms(self, flag: str) -> None:
        text = run(flag).stdout
        for option in options_of(Config):
            assert (f"{option.flag} " in text or f"{option.flag}\n" in text) == option.facts.flag, option.name
        for name in ("-a, --address", "-c, --config", "-d, --debug", "-n, --name", "-p, --port", "-w, --web"):
            assert name in text

    @pytest.mark.parametrize("name", SUBCOMMANDS)
    def test_help_of_a_command_has_its_usage_description_and_own_flags(self, name: str) -> None:
        command = SUBCOMMANDS[name]
        text = run(name, "--help").stdout
        assert text.startswith(f"Usage: gentrifugo {command.usage(name)}")
        assert command.details.split(" ", 5)[:4] == text.split("\n\n")[1].split(maxsplit=5)[:4]
        listed = {flag for flag in (*FLAGS_ONLY, *TOKEN_FLAGS) if f" --{flag} string" in text or f" --{flag}  " in text}
        assert listed == set(command.flags)
        assert ("help" in text.split("\n\n")[-1]) == command.takes_options

    def test_help_with_the_name_of_a_command_is_the_help_of_the_command(self) -> None:
        assert run("help", "gentoken").stdout == run("gentoken", "--help").stdout
        assert refused("help", "dance") == ["dance: unexpected argument"]

    def test_only_the_help_of_serve_lists_options(self) -> None:
        assert [name for name in SUBCOMMANDS if "--port" in run(name, "-h").stdout] == ["serve"]

    def test_help_of_an_unknown_command_is_the_general_one(self) -> None:
        assert run("chekconfig", "--help").stdout == run("--help").stdout

    def test_every_command_is_listed_with_its_description(self) -> None:
        lines = run("--help").stdout.splitlines()
        for name, command in SUBCOMMANDS.items():
            assert any(line.startswith(f"  {name} ") and line.endswith(f"  {command.about}") for line in lines), name

    def test_help_lists_the_flags_of_all_options(self) -> None:
        text = run("help").stdout
        for option in options_of(Config):
            assert (f"{option.flag} " in text or f"{option.flag}\n" in text) == (option.name != "namespaces")

    def test_help_fits_the_terminal(self) -> None:
        assert max(map(len, run("help", COLUMNS="80").stdout.splitlines())) <= 80

    def test_a_closed_pipe_is_not_reported(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "gentrifugo", "help"]
        try:
            result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30)
        finally:
            os.close(writing)
        assert (result.returncode, result.stderr) == (1, "")


def test_all_sample_files_have_equal_options() -> None:
    paths = [ROOT / "conf" / name for name in ("config.json", "config.toml", "config.yaml")]
    as_json, as_toml, as_yaml = (load([f"--config={path}", "--secret=secret-of-a-test"], {}).config for path in paths)
    assert as_json == as_toml == as_yaml
    assert len(as_json.namespaces) == 2
