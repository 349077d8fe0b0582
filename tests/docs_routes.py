"""The routes as a table and as a reference, read from the application's own OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast
from unittest.mock import MagicMock

from rest_server.app import create_app
from rest_server.openapi import COMMON_STATUSES, document
from rest_server.services import Services
from runtime.settings import Settings
from tests.docs_markdown import slug, table

Json = dict[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
HOST: Final = "http://127.0.0.1:48888"
TYPES: Final = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null"}


def openapi() -> Json:
    """The document of an application; its routes and settings are all that it is made of."""
    services = cast(Services, MagicMock(settings=Settings()))  # nothing of it is called, only kept
    found: Json = json.loads(json.dumps(document(create_app(services))))
    return found


def operations(made: Json) -> Iterator[tuple[str, str, Json]]:
    """``(method, path, operation)``; HEAD is the twin of GET and left out."""
    for path, methods in made["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method.upper(), path, methods[method]


def routes_table() -> str:
    """One row a route."""
    rows = []
    for method, path, operation in operations(openapi()):
        link = f"[`{method} {path}`](routes.md#{anchor_of(method, path)})"
        rows.append((link, key_of(operation), _parameters_line(operation), operation["summary"]))
    return table(("route", "key", "parameters", "what"), rows)


def reference() -> str:
    """Every route: who may use it, what it takes, what it answers, how to ask."""
    made = openapi()
    return "\n\n".join(_route(made, *found) for found in operations(made))


def shapes() -> str:
    """Every named object with its keys; ``?`` marks a key that may be absent."""
    found = openapi()["components"]["schemas"]
    return "\n\n".join(_described(name, found[name]) for name in sorted(found) if "properties" in found[name])


def anchor_of(method: str, path: str) -> str:
    """The anchor of a route's heading."""
    return slug(f"{method} {path}")


def key_of(operation: Json) -> str:
    """Who may use it."""
    if tier := re.match(r"Needs tier (\d+)\.", operation.get("description", "")):
        return f"tier {tier.group(1)}"
    return "any" if operation["security"] == [{"key": []}] else "none"


def _parameters_line(operation: Json) -> str:
    names = [f"`{one['name']}`" for one in operation["parameters"] if one["in"] == "query"]
    return ", ".join(names + (["a JSON body"] if "requestBody" in operation else []))


def _route(made: Json, method: str, path: str, operation: Json) -> str:
    description = re.sub(r"^Needs tier \d+\.\s*", "", operation.get("description", ""))
    parts = [f"## {method} {path}", operation["summary"], description, _who(operation)]
    if operation["parameters"]:
        parts.append(_parameters(operation))
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append(f"Body: {_shape(schema)}")
    parts += [_statuses(made, operation), _example(made, method, path, operation)]
    return "\n\n".join(part for part in parts if part)


def _who(operation: Json) -> str:
    key = key_of(operation)
    if key == "none":
        return "A key is optional; one that is sent must be good."
    return "Needs a key." if key == "any" else f"Needs a key of {key} or higher."


def _parameters(operation: Json) -> str:
    rows = []
    for one in operation["parameters"]:
        schema = one["schema"]
        meaning = one.get("description", f"For example `{one['example']}`." if "example" in one else "")
        rows.append((f"`{one['name']}`", one["in"], _allowed(schema), meaning))
    return table(("parameter", "in", "allowed", "meaning"), rows)


def _allowed(schema: Json) -> str:
    if "enum" in schema:
        text = ", ".join(f"`{value}`" for value in schema["enum"])
    elif schema.get("type") == "array":
        text = "some of " + _allowed(schema["items"]) if "enum" in schema["items"] else "a list"
    elif "minimum" in schema and schema.get("maximum", 2**63) < 2**53:
        text = f"{schema['minimum']} to {schema['maximum']}"
    elif "minimum" in schema:
        text = f"from {schema['minimum']}"
    else:
        text = {"integer": "a whole number", "number": "a number", "boolean": "`true`, `false`"}.get(
            schema.get("type", ""), "text"
        )
    return f"{text}; default `{schema['default']}`" if "default" in schema else text


def _statuses(made: Json, operation: Json) -> str:
    rows = []
    for status, response in sorted(operation["responses"].items()):
        if "$ref" in response:
            if int(status) in COMMON_STATUSES:
                continue
            response = _resolved(made, response)
        rows.append((status, _said(int(status), response)))
    return table(("status", "answer"), rows)


def _said(status: int, response: Json) -> str:
    if status == 304 or status >= 400:
        return str(response["description"]).replace(" / ", "<br>")
    shapes = []
    for media_type, content in response.get("content", {}).items():
        is_json = media_type == "application/json"
        shapes.append(_shape(content["schema"]) if is_json else f"`{media_type}`")
    return " or ".join(shapes) or str(response["description"])


def _described(name: str, schema: Json) -> str:
    needed = set(schema.get("required", ()))
    told = " ".join(schema.get("description", "").split()).replace("``", "`")
    rows = [
        (f"`{key}`" if key in needed else f"`{key}`?", _shape(value))
        for key, value in schema["properties"].items()
    ]
    return f"### {name}\n\n" + (f"{told}\n\n" if told else "") + table(("key", "holds"), rows)


def _shape(schema: Json) -> str:
    """A schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name.rpartition('.')[2]}](#{slug(name)})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_shape, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return "list: " + ", ".join(map(_shape, schema["prefixItems"]))
    if schema.get("type") == "array":
        inner = schema.get("items")
        return f"list of {_shape(inner)}" if isinstance(inner, dict) and inner else "list"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_shape(inner)}" if isinstance(inner, dict) and inner else "object"
    kind = str(schema.get("type", "anything"))
    return TYPES.get(kind, kind)


def _resolved(made: Json, node: Json) -> Json:
    found: Any = made
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return cast(Json, found)


def _example(made: Json, method: str, path: str, operation: Json) -> str:
    for one in operation["parameters"]:
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", str(one.get("example", one["name"].upper())))
    key = "" if key_of(operation) == "none" else '-H "Authorization: Bearer $KEY" '
    if method != "GET":
        send = f"-X {method} -H 'Content-Type: application/json' -d '{_body(made, operation)}' "
        return f"```bash\ncurl -s {key}{send}{HOST}{path}\n```"
    asked = f"```bash\ncurl -s --compressed {key}{HOST}{path}\n```"
    is_json = "application/json" in operation["responses"]["200"].get("content", {})
    return f'{asked}\n\n```python\nclient.get("{path}")\n```' if is_json else asked


def _body(made: Json, operation: Json) -> str:
    """A body with the keys that it must have."""
    if "requestBody" not in operation:
        return "{}"
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    found = _resolved(made, schema) if "$ref" in schema else schema
    values: Json = {"integer": 0, "number": 1.5, "boolean": True, "array": [], "object": {}}
    needed = {
        name: values.get(found["properties"][name].get("type", ""), "...")
        for name in found.get("required", ())
    }
    return json.dumps(needed)
