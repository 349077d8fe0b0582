"""The OpenAPI 3.1 document, made from the routes' own operations and the types of their bodies.

Rule: nothing is written here by hand that a route could contradict; a test compares the document with the
route table, another sends generated requests and allows only what is documented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson
from flask import Flask
from werkzeug.routing import Rule

from rest_server import models
from rest_server.errors import TEXTS
from rest_server.operation import Operation, Success, operation_of
from rest_server.services import EXTENSION, Services

MADE: Final = "vanta-rest-openapi"  # where an application keeps its document
REFERENCE: Final = "#/components/schemas/{name}"
COMMON_STATUSES: Final = (400, 413, 431, 500)  # any request can end so: refused by the parser, or our fault
PROBLEM_OF: Final[dict[int, Any]] = {410: models.Gone}

DESCRIPTION: Final = """Vanta-compatible positions, orders and history of all tracked accounts.

Stability: routes, status codes and the keys documented here stay; new keys may appear at any time, so ignore
what you do not know. `error` is a sentence for people, `code` a stable word for programs.

Freshness: a key's tier decides how much is in real time; the rest is shown as it was 24 hours ago. Below
tier 100 nothing in an answer, its headers included, depends on anything newer that the tier may not see.

Stitching: `/validator-checkpoint` holds everything up to `sequences`. Apply only entries with higher numbers,
from the WebSocket or `/v1/events`; the first one must be the next number.

Polling: state answers carry a weak `ETag`; send it back in `If-None-Match` and get 304 until something
changes."""

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}
HEADERS: Final[dict[str, tuple[str, Mapping[str, Any]]]] = {
    "X-Request-ID": (
        "The request's id, also in the server's log; yours is taken over if you send one.",
        _TEXT,
    ),
    "Vary": ("What the answer depends on.", _TEXT),
    "Cache-Control": ("Answers belong to one key and must be revalidated.", _TEXT),
    "Content-Encoding": ("gzip or zstd, where the client accepts it and it pays.", _TEXT),
    "ETag": ("Weak validator of this answer at this tier; the same in every coding.", _TEXT),
    "Last-Modified": ("Time of the newest fact this tier may know.", _TEXT),
    "X-Epoch": ("The numbering that sequences belong to.", _TEXT),
    "X-Sequence": (
        "Number of the newest positions entry in the answer (24 hours behind below tier 100).",
        _NUMBER,
    ),
    "X-Last-Sequence": ("Number to continue from.", _NUMBER),
    "X-Head-Sequence": ("Newest number given.", _NUMBER),
    "X-Has-More": ("`true` while there are more entries.", {"enum": ["true", "false"]}),
    "RateLimit": ("What is left of the limit that was counted.", _TEXT),
    "RateLimit-Policy": ("The limit that was counted.", _TEXT),
    "X-RateLimit-Limit": ("Requests a minute.", _NUMBER),
    "X-RateLimit-Remaining": ("Requests left in this minute.", _NUMBER),
    "X-RateLimit-Reset": ("Seconds until the window is over.", _NUMBER),
    "Retry-After": ("Seconds to wait before trying again.", _NUMBER),
    "WWW-Authenticate": ("How to authenticate.", _TEXT),
    "Allow": ("Methods this address has.", _TEXT),
}
_EVERY: Final = ("X-Request-ID", "Vary", "Cache-Control", "Content-Encoding")
_RATE: Final = (
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
_STATE: Final = ("ETag", "Last-Modified", "X-Epoch", "X-Sequence")
_EVENTS: Final = ("X-Epoch", "X-Last-Sequence", "X-Head-Sequence", "X-Has-More")
_OF_STATUS: Final = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def routes(app: Flask) -> Iterator[tuple[Rule, Operation, str]]:
    """Every route with its operation and docstring."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        yield rule, operation_of(view), view.__doc__ or ""


def document_bytes(app: Flask) -> bytes:
    """The document's bytes, made once: the routes of an application do not change."""
    made: bytes | None = app.extensions.get(MADE)
    if made is None:
        made = app.extensions[MADE] = orjson.dumps(document(app))
    return made


def document(app: Flask) -> dict[str, Any]:
    """The document."""
    services: Services = app.extensions[EXTENSION]
    found = list(routes(app))
    schemas = _components([operation for _, operation, _ in found])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vanta gateway",
            "version": services.settings.repo_version,
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": _paths(found),
        "components": {
            "schemas": schemas,
            "responses": {
                code: _failure(status, [text], models.Problem) for status, (code, text) in TEXTS.items()
            },
            "headers": {
                name: {"description": text, "schema": dict(schema)}
                for name, (text, schema) in HEADERS.items()
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def path_of(rule: Rule) -> str:
    """``/orders/<minerid>`` → ``/orders/{minerid}``."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _paths(found: list[tuple[Rule, Operation, str]]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for rule, operation, text in sorted(found, key=_by_path):
        items.setdefault(path_of(rule), {}).update(_path_item(rule, operation, text))
    return items


def _by_path(found: tuple[Rule, Operation, str]) -> str:
    return found[0].rule


def _path_item(rule: Rule, operation: Operation, text: str) -> dict[str, Any]:
    item = _operation(rule, operation, text)
    if operation.body is not None:
        (method,) = (rule.methods or set()) - {"OPTIONS"}
        return {method.lower(): item}
    head = {**item, "operationId": f"head_{item['operationId']}", "summary": "Headers of the GET."}
    head["responses"] = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in item["responses"].items()
    }
    return {"get": item, "head": head}


def _operation(rule: Rule, operation: Operation, text: str) -> dict[str, Any]:
    summary, _, rest = text.partition("\n")
    description = "\n".join(line.strip() for line in rest.splitlines()).strip()
    if operation.tier is not None:
        description = f"Needs tier {operation.tier}.\n\n{description}".strip()
    item: dict[str, Any] = {
        "operationId": rule.endpoint.rpartition(".")[2],
        "tags": [rule.endpoint.partition(".")[0]],
        "summary": summary,
        "parameters": list(_parameters(rule, operation)),
        "responses": dict(_responses(operation)),
        "security": {"needed": [{"key": []}], "optional": [{}, {"key": []}]}.get(operation.key, []),
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _schema(operation.body)}}
        item["requestBody"] = {"required": True, "content": content}
    return {**item, "description": description} if description else item


def _parameters(rule: Rule, operation: Operation) -> Iterator[dict[str, Any]]:
    for name in sorted(rule.arguments):
        found: dict[str, Any] = {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {**_TEXT, "minLength": 1},
        }
        yield {**found, "example": operation.examples[name]} if name in operation.examples else found
    for parameter in operation.parameters:
        described = {
            "name": parameter.name,
            "in": "query",
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        is_list = parameter.schema.get("type") == "array"
        yield {**described, "style": "form", "explode": False} if is_list else described


def _responses(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, success in operation.successes.items():
        yield str(status), _success(success, operation)
        if success.of_state:
            names = ("X-Request-ID", "Vary", "Cache-Control", *_RATE, "ETag", "X-Epoch", "X-Sequence")
            yield "304", {"description": "Nothing changed since that ETag.", "headers": _headers(names)}
    failures = {status: [TEXTS[status][1]] for status in COMMON_STATUSES} | operation.failures
    for status, texts in sorted(failures.items()):
        body = _problem_of(status, operation)
        if texts == [TEXTS[status][1]] and body is models.Problem:
            yield str(status), {"$ref": f"#/components/responses/{TEXTS[status][0]}"}
        else:
            yield str(status), _failure(status, texts, body)


def _failure(status: int, texts: Sequence[str], body: Any) -> dict[str, Any]:
    return {
        "description": " / ".join(texts),
        "headers": _headers((*_EVERY, *_RATE, *_OF_STATUS.get(status, ()))),
        "content": {"application/json": {"schema": _schema(body)}},
    }


def _problem_of(status: int, operation: Operation) -> Any:
    if status == 404 and any("Miner ID" in text for text in operation.failures.get(404, ())):
        return models.MinerNotFound
    return PROBLEM_OF.get(status, models.Problem)


def _success(success: Success, operation: Operation) -> dict[str, Any]:
    names = [*_EVERY, *_RATE, *(_STATE if success.of_state else ())]
    if success.body is models.Events:
        names += _EVENTS
    content = {
        media_type: {"schema": _schema(success.body) if media_type == "application/json" else dict(_TEXT)}
        for media_type in success.media_types
    }
    return {"description": "The answer.", "headers": _headers(names), "content": content}


def _headers(names: Any) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _types(operations: list[Operation]) -> list[Any]:
    found: list[Any] = [models.Problem, models.MinerNotFound, models.Gone]
    for operation in operations:
        found += [success.body for success in operation.successes.values()]
        found += [operation.body] if operation.body is not None else []
    return found


def _components(operations: list[Operation]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(_types(operations), ref_template=REFERENCE)
    return components


def _schema(body: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([body], ref_template=REFERENCE)
    return schema
