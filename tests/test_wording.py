"""The easy part of plain technical English, read from the source: docstrings, log messages, error texts and names.

docs/development.md has the rules. A docstring has at least four words and stands alone: it does not begin with a
reference to another one. That of a function begins with a verb. Texts for people who operate the server or use it avoid
phrases that have a standard term.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.parts import ROOT

DIRECTORIES = ("app", "engines", "admin", "client", "scripts", "benchmarks", "examples")
MIN_WORDS = 4
REFERENCES = re.compile(r"(The same|The opposite|As|Like the|Ditto)\b(?! soon| long)")
"""Beginnings of docstrings that can be understood only together with another docstring."""
PHRASES = re.compile(
    r"\b(of ours|heeds?|for ever|mends?|is told|in force|without a word|takes? leave|from now on|and the like"
    r"|no point in|takes nothing|has gone|must go on|goes on|cannot be asked|nobody is there|there is no such"
    r"|whatever)\b",
    re.IGNORECASE,
)
"""Phrases that a log message or an error text must not contain, because there is a standard term."""
NEGATIONS = re.compile(
    r"(?<!there )\b(is|are) (no (?!longer\b)[a-z]|not valid\b(?! yet))|\bnot a valid\b", re.IGNORECASE
)
"""Negations such as "is no number" and "is not valid" in a message, which should be "is not a number" and "invalid"."""
IDIOMS = re.compile(
    r"\b(of ours|is told|go(?:es)? on|the business of|in force|as (?:it|they) came|as above|otherwise as"
    r"|raises as|no way to|counts? on|has gone|have gone|who it is|for ever|without a word)\b",
    re.IGNORECASE,
)
"""Phrases that a docstring must not contain, because their meaning is not that of their words."""
RIDDLES = re.compile(
    r"\b(without a word|whoever|goodbyes?|today's|how-manieth|(?:is|are|was|were) told|what (?:comes|came)"
    r"|stands? still|stood still|time is over|from now on|go(?:es)? on|lets? go of|says nothing|\d us)\b",
    re.IGNORECASE,
)
"""Phrases that no docstring may contain, in tests neither, because they have a plain term."""
NOUN_PHRASES = re.compile(
    r"(The|An?|Whether|What|How|Why|Where|Which|One|All|Any|Every|Those|Some|Several|Up to|Seconds|Bytes|Body"
    r"|Headers)\b"
)
"""Beginnings of docstrings of functions, apart from properties, that are not a verb."""
PRONOUNS = re.compile(
    r"test_(it|its|so|what|who|whoever|whose|those|they|them|their|others|one_(who|that|whose)|then|even"
    r"|nobody|somebody|everybody)_"
)
"""Beginnings of names of tests that do not say what is tested."""
UNCLEAR_WORDS = re.compile(
    r"(?:_|\b)(told|tells|whoever|whatever|gone|goodbye|stood_still|stands_still|as_ever|for_ever"
    r"|tried_again|given_up|worth|not_valid|(?<!keep_their_)(?<!percent_)sign(?!_channels))(?:_|\b)"
)
"""Words in names of tests that have a standard term."""
PARTICIPLES = re.compile(
    r"_?(asked|cleaned|collapsed|continued|delivered|described|encoded|explained|farewell|filtered|given|kept|listed"
    r"|merged|named|overridden|quoted|refreshed|said|shown|signed|spelled|told|verified"
    r"|inflating|lacking|matching|too_large|too_slow|unacknowledged|unread|waits)"
)
"""Names of functions that do not say whether the function changes something or returns something, and what."""
UNCLEAR_LIMITS = re.compile(r"(MOST|LARGEST|LONGEST|ENOUGH|FEWEST|LEAST)_")
"""Beginnings of names of constants; the standard terms are MAX_ and MIN_."""
EXCEPTIONS: frozenset[str] = frozenset()
"""Directories and files whose docstrings are not checked yet."""
PROPERTIES = frozenset({"property", "cached_property"})
LOG_METHODS = frozenset({"trace", "debug", "info", "warning", "error", "critical", "exception", "log"})

TEST_FILES = sorted(
    str(file.relative_to(ROOT)) for name in ("tests", "examples") for file in (ROOT / name).rglob("*.py")
)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

FILES = sorted(
    str(file.relative_to(ROOT))
    for file in (*ROOT.glob("*.py"), *(file for name in DIRECTORIES for file in (ROOT / name).rglob("*.py")))
)


def bad_docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings of a source text that are too short, or begin with a reference to another docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented):
            text = ast.get_docstring(node)
            if text is not None and (len(text.split()) < MIN_WORDS or REFERENCES.match(text)):
                yield text


def noun_phrases(source: str) -> Iterator[str]:
    """Yield the docstrings of functions in a source text that begin with a noun phrase instead of a verb."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            decorators = {ast.unparse(each).rpartition(".")[2] for each in node.decorator_list}
            if text is not None and NOUN_PHRASES.match(text) and not decorators & PROPERTIES:
                yield text


def idioms(source: str) -> Iterator[str]:
    """Yield the docstrings of a source text that contain an idiom."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and IDIOMS.search(text := ast.get_docstring(node) or ""):
            yield text


def riddles(source: str) -> Iterator[str]:
    """Yield the docstrings of a source text that contain a phrase with a plain term."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and RIDDLES.search(text := ast.get_docstring(node) or ""):
            yield text


def participles(source: str) -> Iterator[str]:
    """Yield the names of functions in a source text that are only a past participle."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and PARTICIPLES.fullmatch(node.name):
            yield node.name


def messages(source: str) -> Iterator[str]:
    """Yield the texts of a source text that people read: arguments of log calls and of exceptions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield from texts_in(node.exc)
        elif isinstance(node, ast.Call) and is_log_call(node):
            yield from texts_in(node)
        elif isinstance(node, ast.Assign | ast.Yield) and node.value is not None:
            yield from texts_in(node.value)  # error texts in constants and generators


def unclear_names(source: str) -> Iterator[str]:
    """Yield the names of tests and module constants of a source text that cannot be understood alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            if PRONOUNS.match(node.name) or UNCLEAR_WORDS.search(node.name):
                yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (each.id for each in targets if isinstance(each, ast.Name) and UNCLEAR_LIMITS.match(each.id))


def is_log_call(call: ast.Call) -> bool:
    """Return whether a call has the form `log.warning(…)`, on any object."""
    return isinstance(call.func, ast.Attribute) and call.func.attr in LOG_METHODS


def texts_in(node: ast.AST) -> Iterator[str]:
    """Yield the string constants in a part of the syntax tree, including those of f-strings."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def is_in(file: str, names: frozenset[str]) -> bool:
    """Return whether a file is one of these files, or in one of these directories."""
    return any(file == name or file.startswith(f"{name}/") for name in names)


def test_docstrings_that_are_short_or_refer_to_others_are_found() -> None:
    source = '''
def first() -> None:
    """Close it."""

def second() -> None:
    """The same for a Unix socket, with its permissions."""

def third() -> None:
    """Close the connection and release its buffers."""
'''
    assert list(bad_docstrings(source)) == ["Close it.", "The same for a Unix socket, with its permissions."]


def test_docstrings_of_functions_that_begin_with_a_noun_phrase_are_found() -> None:
    source = '''
def first() -> int:
    """The number of connections."""

def second() -> bool:
    """Return whether the connection is open."""

class Third:
    """One connection of a client."""

    @property
    def fourth(self) -> int:
        """The number of connections."""
'''
    assert list(noun_phrases(source)) == ["The number of connections."]


def test_docstrings_with_idioms_are_found() -> None:
    source = '''
def first() -> None:
    """Close the connection, and let the others go on."""

def second() -> None:
    """Continue with the next connection."""
'''
    assert list(idioms(source)) == ["Close the connection, and let the others go on."]


def test_riddles_and_participles_are_found() -> None:
    source = '''
def shown() -> None:
    """Close the connection without a word."""

def shown_options() -> None:
    """Return the options without secrets."""
'''
    assert list(riddles(source)) == ["Close the connection without a word."]
    assert list(participles(source)) == ["shown"]


def test_log_messages_and_error_texts_are_found() -> None:
    source = '''
LIMIT = "the limit in force"

def check(name: str) -> None:
    """A docstring is not a message: mend it."""
    log.warning("mend %s", name)
    raise ValueError(f"{name} is told to leave")
'''
    found = [text for text in messages(source) if PHRASES.search(text)]
    assert sorted(found) == [" is told to leave", "mend %s", "the limit in force"]


def test_all_directories_are_searched() -> None:
    assert {"app/cli.py", "engines/redis/engine.py", "admin/views.py", "testing.py", "scripts/site_hooks.py"} < set(
        FILES
    )


def test_every_exception_is_still_needed() -> None:
    bad = [file for file in FILES if list(bad_docstrings((ROOT / file).read_text(encoding="utf-8")))]
    assert {
        name for name in EXCEPTIONS if any(file == name or file.startswith(f"{name}/") for file in bad)
    } == EXCEPTIONS


@pytest.mark.parametrize("file", [file for file in FILES if not is_in(file, EXCEPTIONS)])
def test_docstrings_stand_alone(file: str) -> None:
    assert list(bad_docstrings((ROOT / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", FILES)
def test_docstrings_of_functions_begin_with_a_verb(file: str) -> None:
    assert list(noun_phrases((ROOT / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", FILES)
def test_docstrings_contain_no_idioms(file: str) -> None:
    assert list(idioms((ROOT / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", sorted({*FILES, *TEST_FILES}))
def test_docstrings_contain_no_riddles(file: str) -> None:
    assert list(riddles((ROOT / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", FILES)
def test_functions_are_not_named_with_a_participle_alone(file: str) -> None:
    assert list(participles((ROOT / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", FILES)
def test_messages_use_standard_terms(file: str) -> None:
    found = messages((ROOT / file).read_text(encoding="utf-8"))
    assert [text for text in found if PHRASES.search(text)] == []


@pytest.mark.parametrize("file", FILES)
def test_messages_say_what_is_invalid(file: str) -> None:
    found = messages((ROOT / file).read_text(encoding="utf-8"))
    assert [text for text in found if NEGATIONS.search(text)] == []


def test_unclear_names_are_found() -> None:
    source = """
MOST_KEYS = 3
MAX_KEYS = 3

def test_it_may_refuse() -> None: ...

def test_the_client_is_told() -> None: ...

def test_the_sign_is_tried_again() -> None: ...

def test_hook_can_refuse_a_client() -> None: ...
"""
    assert sorted(unclear_names(source)) == [
        "MOST_KEYS",
        "test_it_may_refuse",
        "test_the_client_is_told",
        "test_the_sign_is_tried_again",
    ]


@pytest.mark.parametrize("file", sorted({*FILES, *TEST_FILES}))
def test_names_can_be_understood_alone(file: str) -> None:
    assert list(unclear_names((ROOT / file).read_text(encoding="utf-8"))) == []
