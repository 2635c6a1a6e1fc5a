"""The OpenAPI document and docs/api-v4.md match the declared methods."""

from __future__ import annotations

import json
import runpy

from gentrifugo import __version__
from gentrifugo.app.api.methods import METHODS
from gentrifugo.app.api.openapi import document
from tests.docs.pages import ROOT, page

DOCUMENT = json.loads(document("/api"))


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def test_every_method_has_its_path() -> None:
    assert set(DOCUMENT["paths"]) == {f"/{method.name}" for method in METHODS}


def test_every_reference_has_its_schema() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert references(DOCUMENT) <= {f"#/components/schemas/{name}" for name in schemas}


def test_document_has_the_version_of_the_package() -> None:
    assert DOCUMENT["info"]["version"] == __version__
    assert DOCUMENT["openapi"].startswith("3.1")


def test_generated_page_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_api.py"))
    written = (ROOT / "docs" / "api-v4.md").read_text(encoding="utf-8")
    assert generator["page"]() == written, "run: python docs/generate_api.py"


def test_every_method_has_its_heading() -> None:
    assert {method.name for method in METHODS} <= set(page("api-v4.md").headings)
