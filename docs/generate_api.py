"""Writes docs/api-v4.md from the declared methods: `python docs/generate_api.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import msgspec

from gentrifugo.app.api.http_api import STATUSES
from gentrifugo.app.api.messages import Error
from gentrifugo.app.api.methods import BATCH, COMMANDS, ERROR_NOT_FOUND, METHODS, Method
from gentrifugo.app.protocol.v2.errors import ERROR_LIMIT_EXCEEDED

PAGE = Path(__file__).with_name("api-v4.md")
WIDTH = 120
ANYTHING = "any JSON"
RESULTS = {method.result.__name__: method.name for method in METHODS}
"""The results of methods have their tables in the sections of these."""
INLINE = ("BatchCommand", "BatchReply")
"""Types that the page describes in words: they have a field for each method."""


def page() -> str:
    """Return the whole page."""
    return INTRODUCTION + "".join(sections())


def sections() -> Iterator[str]:
    """Yield the table of methods, each method, the types that they share, and the errors."""
    yield "\n## Methods\n\n| Method | |\n|---|---|\n"
    yield from (f"| [`{method.name}`](#{method.name}) | {method.summary} |\n" for method in METHODS)
    types = {type_.__name__ for method in METHODS for type_ in (method.params, method.result)}
    components = schemas()
    for method in METHODS:
        yield method_section(method, components)
    yield "\n## Types\n"
    for name, schema in sorted(components.items()):
        if name not in types and name not in INLINE:
            yield f"\n### {name}\n\n{schema['description']}\n\n{fields(schema)}"
    yield ERRORS
    yield from (row([f"`{code}`", message, status]) for code, message, status in errors())


def schemas() -> Mapping[str, Any]:
    """Return the JSON schemas of all types by name."""
    types = [Error, *(type_ for method in METHODS for type_ in (method.params, method.result))]
    return msgspec.json.schema_components(types)[1]


def method_section(method: Method, components: Mapping[str, Any]) -> str:
    """Return the heading of a method, what it does, its parameters, result and errors."""
    text = f"\n### {method.name}\n\n{fill(f'{method.summary} {method.about}', WIDTH)}\n"
    params, result = components[method.params.__name__], components[method.result.__name__]
    if params["properties"]:
        text += f"\n{fields(params, 'Parameter')}"
    if result["properties"]:
        text += f"\n{fields(result, 'Reply' if method is BATCH else 'Result')}"
    else:
        text += "\nThe result is empty.\n"
    if method.errors:
        errors = ", ".join(f"`{error.code}` {error.message}" for error in method.errors)
        text += f"\n{fill(f'Errors: {errors}.', WIDTH)}\n"
    return text


def fields(schema: Mapping[str, Any], title: str = "Field") -> str:
    """Return the fields of a type as a table."""
    rows = [row([title, "Type", ""]), "|---|---|---|\n"]
    for name, field in sorted(schema["properties"].items(), key=lambda item: not item[0].startswith("channel")):
        rows.append(row([f"`{name}`", kind(field), field.get("description", "").replace("\\\\", "\\")]))
    return "".join(rows)


def kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a field in words, with its limits."""
    if "anyOf" in schema:
        return kind(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "object" if name in INLINE else f"[{name}](#{RESULTS.get(name, name.lower())})"
    if schema.get("type") == "array":
        return f"array of {kind(schema['items'])}"
    if schema.get("type") == "object":
        return f"object of {kind(schema['additionalProperties'])}"
    return f"{schema.get('type', ANYTHING)}{limits(schema)}"


def limits(schema: Mapping[str, Any]) -> str:
    """Return the smallest and the largest value, if a type has them."""
    if "maximum" not in schema:
        return ""
    largest = schema["maximum"]
    return f", {schema['minimum']} to {'2^63 - 1' if largest == 2**63 - 1 else largest}"


def errors() -> Iterable[tuple[int, str, str]]:
    """Code, text and status in the error mode `transport` of every error."""
    found = {error for method in COMMANDS for error in method.errors} | {ERROR_NOT_FOUND, ERROR_LIMIT_EXCEEDED}
    return [
        (error.code, error.message, str(STATUSES.get(error.code, "")))
        for error in sorted(found, key=lambda error: error.code)
    ]


def row(cells: Iterable[str]) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |\n"


def write_page() -> None:
    """Write the page if it has changed: tests that read it may run at the same time."""
    text = page()
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")


INTRODUCTION = """\
# The HTTP API of later versions

<!--
Written by docs/generate_api.py from the methods in app/api/methods.py: change those, then run it.
-->

Libraries for Centrifugo 4 to 6 use this API: `cent` 3 and later, `gocent` 4, `phpcent` 6, `cent.js` and others. Each
method has a path of its own, and requests have an API key in place of a signature. [The API of v1](api.md) is at
`/api/` itself. Both are on the same port, reach the same clients and channels, and can be used at the same time.

The examples use a server with this configuration:

<!-- server -->
```json
{
  "secret": "secret",
  "api_key": "put a long random text here",
  "namespaces": [
    {"name": "chat", "presence": true, "history_size": 10, "history_lifetime": 60}
  ]
}
```

## Requests

A request is a `POST` to `/api/` and the name of the method, behind the prefix of the option `http_prefix`. Its body is
a JSON object with the parameters. The key of the option `api_key` is in the header `X-API-Key`:

<!-- run -->
```sh
KEY=$(python3 -c 'import json; print(json.load(open("config.json"))["api_key"])')
curl -sS --fail-with-body -H "X-API-Key: $KEY" --data '{"channel": "news", "data": {"text": "Hello"}}' \\
    http://127.0.0.1:8000/api/publish
```

<!-- prints -->
```text
{"result":{}}
```

The key may also be in the header `Authorization: apikey KEY`, or in the parameter `api_key` of the address, which logs
may contain. `gentrifugo genconfig` writes a random key. Without the option `api_key` all requests get the status 401,
and the log says which option is missing. It also says if a key is wrong, because some libraries show only the status.
With the option [`insecure_api`](insecure.md#insecure_api) no key is needed.

In a channel with a history, the result is the position of the publication. Tags reach clients of later protocols, and
the idempotency key makes it safe to send the request again:

<!-- run -->
```python
import json
from urllib.request import Request, urlopen

key = json.load(open("config.json"))["api_key"]


def call(method, **params):
    headers = {"Content-Type": "application/json", "X-API-Key": key}
    body = json.dumps(params).encode()
    with urlopen(Request(f"http://127.0.0.1:8000/api/{method}", body, headers), timeout=5) as reply:
        return json.load(reply)


message = {"channel": "chat:lobby", "data": "Hello", "tags": {"lang": "en"}, "idempotency_key": "message-1"}
first, again = call("publish", **message), call("publish", **message)
print(first["result"]["offset"])
print(json.dumps(again == first))
history = call("history", channel="chat:lobby", limit=10)["result"]
print(json.dumps(history["publications"]))
print(json.dumps(call("publish", channel="chta:lobby", data=1)))
```

<!-- prints -->
```text
1
true
[{"data": "Hello", "offset": 1, "tags": {"lang": "en"}}]
{"error": {"code": 102, "message": "unknown channel"}}
```

Unknown parameters are ignored, and a parameter that is `null` counts as not given. Fields of a result that are zero or
empty are left out, except where the tables below say that they are always there.

## Replies and statuses

A reply has the status 200 and either `result` or `error`. With the header `X-Centrifugo-Error-Mode: transport`, an
[error](#errors) has a status of its own, and the body is the error alone. This does not apply to the replies inside
`broadcast` and `batch`.

The text of an error depends only on its code, as in Centrifugo. If a command is refused with `107` because a parameter
is missing, the log of the server says which one, as in `refused a command "publish" of a backend: data is missing`.
For `108` it names the options that the channel needs.

| Status | When |
|---|---|
| 200 | The method was carried out, or the reply says why not. |
| 400 | The body is not a JSON object, or a parameter has a wrong type. The text names the parameter. |
| 401 | There is no API key, or it is wrong. |
| 404 | There is no such method. If `/api` is missing before its name, as in `POST /publish`, the text says so. |
| 405 | The HTTP method is not POST. The header `Allow` and the text say so. |
| 413 | The body is larger than `api_request_max_size`. |
| 503 | The server is shutting down. |

## The description for programs

`GET /api/openapi.json` returns all of this as an [OpenAPI](https://spec.openapis.org/oas/v3.1.0) 3.1 document, without
a key. Generators make clients from it, and tools such as Swagger UI show it.

## Several commands in one request

[`batch`](#batch) is the usual way. Libraries for Centrifugo 2 to 4, such as `phpcent` 2 to 4 and `gocent` 2 and 3, and
`pipeline` of `cent.js`, send a line for each command to `/api` or `/api/`, with an API key. This works too:

<!-- run -->
```python
import json
from urllib.request import Request, urlopen

publish = {"method": "publish", "params": {"channel": "news", "data": 1}}
stats = {"method": "presence_stats", "params": {"channel": "chat:lobby"}}
body = "\\n".join(map(json.dumps, [publish, stats])).encode()
headers = {"Content-Type": "application/json", "X-API-Key": json.load(open("config.json"))["api_key"]}
with urlopen(Request("http://127.0.0.1:8000/api/", body, headers), timeout=5) as reply:
    print(reply.read().decode())
```

<!-- prints -->
```text
{"result":{}}
{"result":{"num_clients":0,"num_users":0}}
```
"""

ERRORS = """
## Errors

| Code | Text | Status in the error mode `transport` |
|---|---|---|
"""


if __name__ == "__main__":
    write_page()
