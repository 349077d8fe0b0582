"""The JSON object that a request carries.

Rule 1: a signature covers numbers as they were sent, so ``5`` stays an int and ``5.0`` a float; they are
not converted here or anywhere before the signature was checked.
Rule 2: only strict JSON passes: no NaN, no Infinity, no lone surrogates, no endless nesting. Whatever passes
can be written back into an answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from flask import request

from rest_server.errors import Problem

NOT_JSON: Final = "Content-Type must be application/json"
BAD_JSON: Final = "Invalid JSON body"
MISSING: Final = "Missing required field: {name}"
CLIENT_MINIMUM: Final = (1, 0, 5)  # older command-line clients sign and send other bodies
OLD_CLIENT: Final = (
    "Your vanta-cli version {version} is outdated and no longer supported. Please upgrade to vanta-cli >= "
    "{minimum}: pip install --upgrade git+https://github.com/taoshidev/vanta-cli.git"
)
UNKNOWN_CLIENT: Final = (
    "Invalid vanta-cli version format: {version}. Please reinstall vanta-cli: "
    "pip install --upgrade git+https://github.com/taoshidev/vanta-cli.git"
)
_ECHO_CHARACTERS: Final = 64  # of what a client sent, when it is repeated in an error


def json_object() -> dict[str, Any]:
    """The request's body: a JSON object that is not empty. Raises Problem 400 or 413."""
    if not request.is_json:
        raise Problem(400, NOT_JSON, "invalid_content_type")
    content = request.get_data()
    try:
        orjson.loads(content)  # strict, and as deep as is safe
        found = json.loads(content)  # exact: whole numbers of any length stay whole
    except (ValueError, RecursionError):
        raise Problem(400, BAD_JSON, "invalid_json") from None
    if not isinstance(found, dict) or not found:
        raise Problem(400, BAD_JSON, "invalid_json")
    return found


def require(body: Mapping[str, Any], names: Sequence[str]) -> None:
    """Name the first field that is not there. Raises Problem 400."""
    for name in names:
        if name not in body:
            raise Problem(400, MISSING.format(name=name), "missing_field")


def check_client(body: Mapping[str, Any]) -> None:
    """Refuse a command-line client that says it is too old; one that says nothing is welcome.

    Raises Problem 400.
    """
    version = next((body[name] for name in ("version", "ptncli_version") if body.get(name) is not None), None)
    if version is None:
        return
    parts = str(version)[:_ECHO_CHARACTERS].split(".")[:3] if isinstance(version, str) else [""]
    shown = str(version)[:_ECHO_CHARACTERS]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise Problem(400, UNKNOWN_CLIENT.format(version=shown), "invalid_client_version")
    if tuple(map(int, parts)) < CLIENT_MINIMUM:
        minimum = ".".join(map(str, CLIENT_MINIMUM))
        raise Problem(400, OLD_CLIENT.format(version=shown, minimum=minimum), "outdated_client")
