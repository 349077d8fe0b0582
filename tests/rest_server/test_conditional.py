"""ETag, 304 and HEAD on a real socket."""

from __future__ import annotations

import pytest

from rest_server.http_server import HttpServer
from tests.rest_server.live import Connection
from tests.rest_server.world import HOUR, World, bearer, fill, position, resting

STATE_PATHS = [
    "/miner-positions",
    "/miner-positions/a",
    "/validator-checkpoint",
    "/limit-orders/a",
    "/orders/a",
]
ALL_PATHS = [
    *STATE_PATHS,
    "/miner-hotkeys",
    "/v1/events",
    "/trade-pairs",
    "/api/health",
    "/docs",
    "/openapi.json",
]


@pytest.fixture(autouse=True)
def _filled(world: World) -> None:
    orders = [fill(n, 1, 2.0, world.now - HOUR) for n in range(90)]
    world.put(position("a", orders))
    world.put_orders(resting("a", 1, world.now - HOUR))


@pytest.mark.parametrize("path", STATE_PATHS)
@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_a_known_answer_is_304_in_every_coding(live: HttpServer, path: str, coding: str) -> None:
    headers = {**bearer("k100"), "Accept-Encoding": coding}
    with Connection(live.port) as connection:
        full = connection.ask("GET", path, headers)
        etag = full.headers["etag"]
        again = connection.ask("GET", path, {**headers, "If-None-Match": etag})
        assert again.status == 304
        assert etag.startswith('W/"')
        for name in ("etag", "vary", "cache-control", "x-sequence", "x-epoch"):
            assert again.headers[name] == full.headers[name]
        assert "content-length" not in again.headers
        assert not connection.has_more()


def test_the_tag_is_the_same_in_every_coding(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        tags = {
            connection.ask("GET", "/miner-positions", {**bearer("k100"), "Accept-Encoding": coding}).headers[
                "etag"
            ]
            for coding in ("identity", "gzip", "zstd")
        }
    assert len(tags) == 1


@pytest.mark.parametrize("form", ["{etag}", '"x", {etag}', "{etag}, *", "*", " {etag} ", "{strong}"])
def test_every_form_of_if_none_match_is_understood(live: HttpServer, form: str) -> None:
    with Connection(live.port) as connection:
        etag = connection.ask("GET", "/miner-positions", bearer("k100")).headers["etag"]
        sent = form.format(etag=etag, strong=etag.removeprefix("W/"))
        assert (
            connection.ask("GET", "/miner-positions", {**bearer("k100"), "If-None-Match": sent}).status == 304
        )


@pytest.mark.parametrize("sent", ['"x"', "x", "", 'W/"x"', ","])
def test_any_other_tag_gets_the_body(live: HttpServer, sent: str) -> None:
    with Connection(live.port) as connection:
        answer = connection.ask("GET", "/miner-positions", {**bearer("k100"), "If-None-Match": sent})
    assert answer.status == 200


def test_a_date_alone_is_never_enough(live: HttpServer) -> None:
    """Content may change twice within the second that a date can express."""
    with Connection(live.port) as connection:
        first = connection.ask("GET", "/miner-positions", bearer("k100"))
        headers = {**bearer("k100"), "If-Modified-Since": first.headers["last-modified"]}
        assert connection.ask("GET", "/miner-positions", headers).status == 200


def test_a_key_is_checked_before_the_tag(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        etag = connection.ask("GET", "/miner-positions", bearer("k100")).headers["etag"]
        for headers, status in ((bearer("nobody"), 401), ({}, 401), (bearer("k30"), 403)):
            assert (
                connection.ask("GET", "/miner-positions", {**headers, "If-None-Match": etag}).status == status
            )


def test_any_change_ends_the_304(world: World, live: HttpServer) -> None:
    with Connection(live.port) as connection:
        for change in (
            lambda: world.mark(3.0),
            lambda: world.mark(4.0),
            lambda: world.mark(3.0),
            lambda: world.put(position("b", [fill("b1", 1, 2.0, world.now)])),
            lambda: world.put(position("b", [fill("b1", 1, 2.0, world.now), fill("b2", 1, 2.0, world.now)])),
        ):
            etag = connection.ask("GET", "/miner-positions", bearer("k100")).headers["etag"]
            world.clock.sleep(1)
            change()
            answer = connection.ask("GET", "/miner-positions", {**bearer("k100"), "If-None-Match": etag})
            assert answer.status == 200
            assert answer.headers["etag"] != etag


def test_a_price_that_comes_back_brings_the_old_answer_back(world: World) -> None:
    """Equal content, equal tag: also where it changed in between."""
    world.mark(3.0, at_ms=world.now)
    first = world.get("/miner-positions")
    world.mark(4.0, at_ms=world.now)
    second = world.get("/miner-positions")
    world.mark(3.0, at_ms=world.now)
    third = world.get("/miner-positions")

    assert first.data == third.data != second.data
    assert first.headers["ETag"] == third.headers["ETag"] != second.headers["ETag"]


@pytest.mark.parametrize("path", ALL_PATHS)
@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_head_has_the_headers_of_get_and_no_body(live: HttpServer, path: str, coding: str) -> None:
    headers = {**bearer("k100"), "Accept-Encoding": coding}
    with Connection(live.port) as connection:
        full = connection.ask("GET", path, headers)
        head = connection.ask("HEAD", path, headers)
        assert head.status == full.status == 200
        assert not connection.has_more(0.05), "a body after HEAD would be taken for the next answer"
        changing = {"date", "x-request-id", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"}
        if path == "/api/health":
            changing.add("content-length")
        for name in full.headers.keys() - changing:
            assert head.headers[name] == full.headers[name], name
        assert connection.ask("GET", path, headers).status == 200


def test_head_of_an_error_has_no_body_either(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        assert connection.ask("HEAD", "/miner-positions").status == 401
        assert connection.ask("HEAD", "/nothing").status == 404
        assert connection.ask("GET", "/readyz").status == 200


def test_a_304_keeps_the_connection_open(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        etag = connection.ask("GET", "/miner-positions", bearer("k100")).headers["etag"]
        for _ in range(3):
            answer = connection.ask("GET", "/miner-positions", {**bearer("k100"), "If-None-Match": etag})
            assert answer.status == 304
            assert not answer.is_closed


def test_ranges_are_not_offered_and_not_served(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        answer = connection.ask("GET", "/miner-positions", {**bearer("k100"), "Range": "bytes=0-10"})
    assert (answer.status, answer.headers["accept-ranges"]) == (200, "none")
