"""Spellings that Centrifugo v1 accepts have the same meaning here."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.spelling import with_separate_flags, with_usual_names

OPTIONS = options_of(Config)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Secret": "k", "PORT": 1}, {"secret": "k", "port": 1}),
        ({"secret": None, "port": None, "name": "n"}, {"name": "n"}),
        ({"Port": 1, "port": 2}, {"port": 2}),
        ({"Unknown": 1, "secrte": 2}, {"Unknown": 1, "secrte": 2}),
        ({"namespaces": [{"Name": "a", "Presence": None}, 7]}, {"namespaces": [{"name": "a"}, 7]}),
        ({"namespaces": None}, {}),
        ({"Namespaces": {"name": "a"}}, {"namespaces": {"name": "a"}}),
        ({"namespaces": [{7: 1, "NAME": "a"}]}, {"namespaces": [{"7": 1, "name": "a"}]}),
    ],
)
def test_names_in_any_case_and_null_values(values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert with_usual_names(OPTIONS, values) == expected


def test_options_of_a_namespace_do_not_change_other_namespaces() -> None:
    assert with_usual_names(options_of(Namespace), {"Port": 1, "Name": "a"}) == {"Port": 1, "name": "a"}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-wd"], ["-w", "-d"]),
        (["-dw", "--port", "1"], ["-d", "-w", "--port", "1"]),
        (["-wp8001"], ["-w", "-p8001"]),
        (["-wp", "8001"], ["-w", "-p", "8001"]),
        (["-p8001"], ["-p8001"]),
        (["-c", "dw.json"], ["-c", "dw.json"]),
        (["-w=false"], ["-w=false"]),
        (["-w-d"], ["-w-d"]),
        (["-wx"], ["-w", "-x"]),
        (["-"], ["-"]),
    ],
)
def test_short_flags_in_one_word_are_separated(argv: list[str], expected: list[str]) -> None:
    assert list(with_separate_flags(argv, OPTIONS)) == expected
