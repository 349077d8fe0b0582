"""The OpenAPI document: it is the route table, and the server does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rest_server.errors import TEXTS
from rest_server.http_server import HttpServer
from rest_server.openapi import HEADERS, path_of, routes
from tests.rest_server.world import DAY, World, fill, position, resting, strict_json

SEED = "20250615"
EXAMPLES = os.environ.get("VANTA_SOAK_API_EXAMPLES", "5")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = strict_json(world.get("/openapi.json", None).data)
    return found


def test_every_route_is_in_the_document_and_nothing_else(world: World, document: dict[str, Any]) -> None:
    documented = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    served = {
        (path_of(rule), method)
        for rule in world.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS"}
    }
    assert documented == served


def test_every_operation_says_who_may_use_it_and_what_may_happen(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method} {path}"
            assert operation["summary"].endswith("."), name
            assert {"200", "400", "413", "429", "431", "500"} <= set(operation["responses"]), name
            assert operation["security"] in ([{"key": []}], [{}, {"key": []}]), name
            assert "401" in operation["responses"], name
            if "304" in operation["responses"]:
                assert {"ETag", "X-Sequence", "X-Epoch"} <= set(operation["responses"]["200"]["headers"]), (
                    name
                )


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_every_route_is_a_documented_decorated_view(world: World) -> None:
    for rule, operation, text in routes(world.app):
        assert operation.successes, rule.rule
        assert operation.key in ("needed", "optional"), rule.rule
        assert text, rule.rule


def test_every_header_and_status_text_is_described() -> None:
    assert all(text for text, _ in HEADERS.values())
    assert all(code and text for code, text in TEXTS.values())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("key", ["k200", "k0"])
def test_generated_requests_get_only_documented_answers(
    world: World, live: HttpServer, key: str, tmp_path: Path
) -> None:
    """Valid and invalid requests of every operation: no 5xx, no undocumented status, header or body."""
    old = world.now - 3 * DAY
    world.put(
        position("a", [fill("a1", 1, 2.0, old)]),
        position("o2:0xabc", [fill("b1", 1, 2.0, old), fill("b2", 0, 3.0, old + DAY)]),
    )
    world.put_orders(resting("a", 1, old), resting("o2:0xabc", 2, old))
    world.put_size("a", 5.0)
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"),
        *(f"http://127.0.0.1:{live.port}/openapi.json", "-H", f"Authorization: Bearer {key}"),
        *("--max-examples", EXAMPLES, "--seed", SEED, "--checks", "all", "--no-color"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=3000, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    generated = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert generated is not None
    assert int(generated.group(1)) == int(generated.group(2)) > 300
