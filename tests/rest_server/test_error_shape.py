"""Everything that goes wrong has one shape."""

from __future__ import annotations

import re
from typing import Any

import pytest
import structlog

from tests.rest_server.world import World, bearer, strict_json


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = strict_json(answer.data)
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    assert body["code"] == code
    assert isinstance(body["error"], str)
    assert body["error"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/miner-positions/", "/orders/", "/v1", "/static/x", "//orders//a"]
)
def test_an_unknown_address_is_not_found(world: World, path: str) -> None:
    assert assert_problem(world.get(path), 404, "not_found")["error"] == "Resource not found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/miner-positions", "/trade-pairs", "/v1/events", "/miner-positions/a"])
def test_a_wrong_method_is_405_with_the_allowed_ones(world: World, method: str, path: str) -> None:
    answer = world.client.open(path, method=method, headers=bearer("k100"))

    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_crash_tells_the_client_only_the_requests_id(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        raise RuntimeError("the secret is k100")

    monkeypatch.setattr(world.source, "current", crash)
    body = assert_problem(world.get("/miner-positions"), 500, "internal_error")

    assert set(body) == {"error", "code", "request_id"}
    assert "secret" not in str(body)


def test_a_harmless_request_id_is_taken_over(world: World) -> None:
    answer = world.get("/trade-pairs", X_Request_ID="My-id_1.2")

    assert answer.headers["X-Request-ID"] == "My-id_1.2"


@pytest.mark.parametrize("offered", ["", "a b", "a" * 65, "a\tb", "é", "a/b", '"', "a\x00"])
def test_any_other_request_id_is_replaced(world: World, offered: str) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = world.client.get("/nothing", headers={"X-Request-ID": offered})

    request_id = answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{16}", request_id)
    assert answer.get_json()["request_id"] == request_id
    assert lines[-1]["request_id"] == request_id


def test_request_ids_differ(world: World) -> None:
    assert (
        world.get("/trade-pairs").headers["X-Request-ID"] != world.get("/trade-pairs").headers["X-Request-ID"]
    )


def test_a_get_with_a_body_is_fine(world: World) -> None:
    """The request proxy of the network sends ``{}`` with every GET."""
    for body in (b"{}", b"not json", b"\xff" * 1000):
        answer = world.client.get("/miner-positions", data=body, headers=bearer("k100"))
        assert answer.status_code == 200


def test_options_lists_the_methods(world: World) -> None:
    answer = world.client.open("/miner-positions", method="OPTIONS")

    assert answer.status_code == 200
    assert "GET" in answer.headers["Allow"]


def test_every_answer_says_how_it_may_be_cached(world: World) -> None:
    for path in ("/miner-positions", "/nothing", "/trade-pairs", "/docs", "/miner-positions?tier=x"):
        headers = world.get(path).headers
        assert headers["Vary"] == "Authorization, Accept-Encoding"
        assert headers["Cache-Control"] == "private, no-cache"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_one_log_line_per_request_without_key_or_query(world: World) -> None:
    with structlog.testing.capture_logs() as lines:
        world.get("/miner-positions?tier=100&api_key=k200", "k100")
        world.get("/nothing/k200", None)

    first, second = [line for line in lines if line["event"] == "request"]
    assert (first["route"], first["status"], first["method"]) == ("/miner-positions", 200, "GET")
    assert first["key_id"] is not None
    assert first["bytes"] == 2
    assert first["ms"] >= 0
    assert (second["route"], second["status"], second["key_id"]) == ("(none)", 404, None)
    assert "k100" not in str(lines)
    assert "k200" not in str(lines)
