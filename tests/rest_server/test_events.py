"""``/v1/events``: the history page by page, without a hole, or the reason why not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from journal.entry import ORDERS, POSITIONS, REGISTRY, Draft
from rest_server.models import Gone
from tests.rest_server.world import BTC, World, bearer, fill, position, resting, strict_json
from vanta_api.messages import data_frame, filtered_frame, stream_frame


@pytest.fixture
def filled(world: World) -> World:
    """Ten positions, every second one of Vanta's own pair, and two orders."""
    for n in range(10):
        world.clock.sleep(1)
        world.put(position("a", [fill(n, 1, 2.0, world.now)], BTC if n % 2 else ("O2:X", "X", 0.0, 0.0, 1.0)))
    world.put_orders(resting("a", 1, world.now), resting("a", 2, world.now))
    return world


def entries(world: World, stream: str = POSITIONS) -> Any:
    return world.journal.read(stream, 0).entries


def test_the_frames_are_the_websockets_bytes(filled: World) -> None:
    lines = filled.get("/v1/events?format=ndjson").data.splitlines()
    assert lines == [data_frame(e.sequence, e.time_ms, e.body) for e in entries(filled)]

    lines = filled.get("/v1/events?stream=orders&format=ndjson").data.splitlines()
    assert lines == [stream_frame(ORDERS, e.sequence, e.time_ms, e.body) for e in entries(filled, ORDERS)]


def test_the_json_form_holds_the_same_bytes(filled: World) -> None:
    answer = filled.get("/v1/events")
    body = strict_json(answer.data)

    assert b",".join(data_frame(e.sequence, e.time_ms, e.body) for e in entries(filled)) in answer.data
    assert body | {"events": []} == {
        "events": [],
        "epoch": filled.journal.epoch().id,
        "stream": "positions",
        "after": 0,
        "last": 10,
        "head": 10,
        "oldest": 1,
        "has_more": False,
    }


def test_pages_follow_each_other(filled: World) -> None:
    seen: list[int] = []
    after, has_more = 0, True
    while has_more:
        body = filled.get(f"/v1/events?after={after}&limit=3").get_json()
        seen += [frame["sequence"] for frame in body["events"]]
        after, has_more = body["last"], body["has_more"]
    assert seen == list(range(1, 11))


def test_at_the_head_there_is_nothing(filled: World) -> None:
    body = filled.get("/v1/events?after=10").get_json()
    assert (body["events"], body["last"], body["has_more"]) == ([], 10, False)


def test_ndjson_by_accept_header_tells_where_it_ended(filled: World) -> None:
    answer = filled.get("/v1/events?limit=4", Accept="application/x-ndjson")

    assert answer.mimetype == "application/x-ndjson"
    assert len(answer.data.splitlines()) == 4
    assert answer.headers["X-Last-Sequence"] == "4"
    assert answer.headers["X-Head-Sequence"] == "10"
    assert answer.headers["X-Has-More"] == "true"
    assert answer.headers["X-Epoch"] == filled.journal.epoch().id


def assert_gone(answer: Any, reason: str, oldest: int, head: int) -> None:
    body = strict_json(answer.data)
    assert answer.status_code == 410
    assert set(body) == set(Gone.__struct_fields__)
    assert (body["reason"], body["code"], body["oldest"], body["head"]) == (reason, reason, oldest, head)
    assert body["snapshot_url"] == "/validator-checkpoint"


def test_trimmed_entries_are_gone_and_zero_means_what_is_kept(filled: World) -> None:
    filled.journal.trim(POSITIONS, 4)

    assert_gone(filled.get("/v1/events?after=3"), "trimmed", 5, 10)
    assert filled.get("/v1/events?after=4").get_json()["events"][0]["sequence"] == 5
    body = filled.get("/v1/events").get_json()
    assert (body["after"], body["oldest"], body["events"][0]["sequence"]) == (4, 5, 5)


def test_everything_trimmed_is_an_empty_page(filled: World) -> None:
    filled.journal.trim(POSITIONS, 10)

    body = filled.get("/v1/events").get_json()
    assert (body["events"], body["after"], body["last"], body["oldest"]) == ([], 10, 10, 11)


def test_a_number_not_given_yet_is_refused(filled: World) -> None:
    assert_gone(filled.get("/v1/events?after=11"), "future_sequence", 1, 10)


def test_another_epoch_is_refused_whether_or_not_it_is_named(filled: World) -> None:
    old = filled.journal.epoch().id
    assert filled.get(f"/v1/events?after=5&epoch={old}").status_code == 200
    new = filled.journal.new_epoch("restore")
    first = new.first[POSITIONS]

    assert_gone(filled.get(f"/v1/events?after=5&epoch={old}"), "epoch_changed", first, first - 1)
    assert_gone(filled.get("/v1/events?after=5"), "epoch_changed", first, first - 1)
    assert_gone(filled.get("/v1/events?after=10&epoch=nonsense"), "epoch_changed", first, first - 1)
    filled.put(position("a", [fill("new", 1, 2.0, filled.now)]))
    body = filled.get(f"/v1/events?after={first - 1}&epoch={new.id}").get_json()
    assert [frame["sequence"] for frame in body["events"]] == [first]
    assert [frame["sequence"] for frame in filled.get("/v1/events").get_json()["events"]] == [first]
    assert filled.get("/miner-positions").headers["X-Epoch"] == new.id
    assert filled.get("/miner-positions").headers["X-Sequence"] == str(first)


def test_a_key_limited_to_vanta_gets_a_stream_it_can_still_check(filled: World) -> None:
    body = filled.get("/v1/events?after=2&limit=5", "kvanta").get_json()

    assert [(frame["sequence"], frame["prev_sequence"]) for frame in body["events"]] == [(4, 2), (6, 4)]
    assert (body["last"], body["has_more"]) == (7, True)
    (first, *_) = filled.get("/v1/events?format=ndjson", "kvanta").data.splitlines()
    entry = entries(filled)[1]
    assert first == filtered_frame(entry.sequence, entry.time_ms, entry.body, 0)
    assert filled.get("/v1/events?stream=orders", "kvanta").get_json()["events"] == []


def test_an_unreadable_entry_is_withheld_from_a_limited_key_only(world: World) -> None:
    world.journal.append([Draft(POSITIONS, "x|1", b'{"position":{"trade_pair":[]}}')])

    assert len(world.get("/v1/events").get_json()["events"]) == 1
    assert world.get("/v1/events", "kvanta").get_json()["events"] == []


def test_the_registry_needs_an_operator(world: World) -> None:
    world.put_size("a", 1.0)

    answer = world.get("/v1/events?stream=registry", "k100")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "insufficient_tier")
    (frame,) = world.get("/v1/events?stream=registry", "k200").get_json()["events"]
    assert (frame["stream"], frame["stream_sequence"]) == (REGISTRY, 1)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=-1", "invalid_after"),
        ("after=x", "invalid_after"),
        ("after=", "invalid_after"),
        ("after=1.5", "invalid_after"),
        ("after=99999999999999999999", "invalid_after"),
        ("after=٣", "invalid_after"),
        ("limit=0", "invalid_limit"),
        ("limit=501", "invalid_limit"),
        ("limit=all", "invalid_limit"),
        ("stream=actions", "invalid_stream"),
        ("stream=", "invalid_stream"),
        ("format=xml", "invalid_format"),
    ],
)
def test_a_bad_parameter_is_named(world: World, query: str, code: str) -> None:
    answer = world.get(f"/v1/events?{query}", "k200")

    assert (answer.status_code, answer.get_json()["code"]) == (400, code)


def test_the_largest_number_is_just_the_future(world: World) -> None:
    assert world.get(f"/v1/events?after={2**63 - 1}").status_code == 410


def test_a_page_is_bounded_by_bytes_too(world: World) -> None:
    for n in range(4):
        body = json.dumps({"position": "x" * 100_000, "n": n}).encode()
        world.journal.append([Draft(POSITIONS, f"x|{n}", body)])
    body = world.client.get("/v1/events", headers=bearer("k100")).get_json()

    assert 1 <= len(body["events"]) < 4
    assert body["has_more"]
