"""Generates the OpenAPI document of the API from the declared methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ..._version import __version__
from .messages import Error
from .methods import BATCH, METHODS, Method

SCHEMA = "#/components/schemas/{name}"
_KEYS = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "authorization": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The word `apikey`, a space, and the key.",
    },
    "parameter": {"type": "apiKey", "in": "query", "name": "api_key"},
}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_REFUSALS = {
    "400": "The body is not JSON, or a parameter has the wrong type.",
    "401": "The API key is missing or invalid.",
    "413": "The body is larger than the option `api_request_max_size` allows.",
    "503": "The server is shutting down.",
}


@lru_cache(maxsize=8)
def document(root: str) -> bytes:
    """Return the document as JSON. `root` is the path of the API for its users, such as /api."""
    types: list[type] = [Error, *(type_ for method in METHODS for type_ in (method.params, method.result))]
    schemas, components = msgspec.json.schema_components(types, ref_template=SCHEMA)
    references = dict(zip(types, schemas, strict=True))
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Gentrifugo",
                "version": __version__,
                "description": "The HTTP API for backends. It works with libraries for Centrifugo 4 to 6.",
            },
            "servers": [{"url": root}],
            "security": [{name: []} for name in _KEYS],
            "paths": {f"/{method.name}": {"post": _operation(method, references)} for method in METHODS},
            "components": {"schemas": components, "securitySchemes": _KEYS},
        }
    )


def _operation(method: Method, references: Mapping[type, Any]) -> dict[str, Any]:
    refusals = {status: {"description": text, "content": _TEXT} for status, text in _REFUSALS.items()}
    return {
        "operationId": method.name,
        "summary": method.summary,
        "description": method.about,
        "requestBody": {"required": True, "content": _json(references[method.params])},
        "responses": {"200": _reply(method, references), **refusals},
    }


def _reply(method: Method, references: Mapping[type, Any]) -> dict[str, Any]:
    result = references[method.result]
    if method is BATCH:
        return {"description": "The replies.", "content": _json(result)}
    outcomes: Sequence[Any] = [_object("result", result), _object("error", references[Error])]
    codes = ", ".join(f"{error.code} {error.message}" for error in method.errors)
    return {"description": f"The result, or one of the errors {codes}.", "content": _json({"oneOf": outcomes})}


def _object(name: str, schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
