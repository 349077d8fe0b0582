"""``/validator-checkpoint``: every section filled, its options and its digests."""

from __future__ import annotations

import base64
import gzip
import hashlib
from typing import Any

import pytest
import zstandard

from journal.entry import REGISTRY, Draft
from journal.restore.shape import MAPS
from rest_server.http_server import HttpServer
from tests.rest_server import strict_vanta
from tests.rest_server.complete import archived_draft, drafts
from tests.rest_server.live import Connection
from tests.rest_server.world import BTC, DAY, FUEL, World, bearer, fill, position, strict_json

PATH = "/validator-checkpoint"


@pytest.fixture(autouse=True)
def _filled(world: World) -> None:
    world.journal.append(drafts(world.now))


def body_of(world: World, query: str = "", key: str = "k200") -> dict[str, Any]:
    answer = world.get(f"{PATH}{query}", key)
    assert answer.status_code == 200, answer.data
    found: dict[str, Any] = strict_json(answer.data)
    return found


def test_registered_facts_fill_their_sections(world: World) -> None:
    body = body_of(world)

    assert [row["hotkey"] for row in body["eliminations"]] == ["hk0"]
    assert set(body["eliminations"][0]) == {
        *("hotkey", "dd", "reason", "elimination_initiated_time_ms", "price_info", "return_info")
    }
    assert body["challengeperiod"] == {
        "hk1": {
            "bucket": "MAINCOMP",
            "bucket_start_time": world.now - DAY,
            "previous_bucket": "CHALLENGE",
            "previous_bucket_start_time": world.now - 9 * DAY,
        },
        "hk2": {
            "bucket": "CHALLENGE",
            "bucket_start_time": world.now - 9 * DAY,
            "previous_bucket": None,
            "previous_bucket_start_time": None,
        },
    }
    assert body["asset_selections"] == {"hk1": "crypto"}
    assert [rows[0]["account_size"] for rows in body["miner_account_sizes"].values()] == [1e5, 100001, 100002]


def test_a_fact_that_cannot_be_read_does_not_hide_the_others(world: World) -> None:
    world.journal.append([Draft(REGISTRY, f"{kind}|odd", b"[1]") for kind in ("elimination", "challenge")])
    body = body_of(world)

    assert [row["hotkey"] for row in body["eliminations"]] == ["hk0"]
    assert set(body["challengeperiod"]) == {"hk1", "hk2"}


def test_ledgers_are_flat_unless_a_bundle_is_asked_for(world: World) -> None:
    flat, bundle = body_of(world)["perf_ledgers"], body_of(world, "?perf_ledgers=bundle")["perf_ledgers"]

    assert set(flat) == set(bundle) == {"hk0", "hk1", "hk2"}
    assert flat["hk0"] == bundle["hk0"]["portfolio"]
    assert [one["n_updates"] for one in flat["hk1"]["cps"]] == [4, 4, 4]
    assert set(bundle["hk0"]) == {"portfolio", BTC[0], FUEL[0]}


def test_limit_orders_come_as_written_or_as_read(world: World) -> None:
    by_pair, by_hotkey = body_of(world), body_of(world, "?limit_orders=by_hotkey")

    assert set(by_pair["limit_orders"]) == {BTC[0], FUEL[0]}
    assert set(by_hotkey["limit_orders"]) == {"hk0", "hk1", "hk2"}
    flat = [one for hotkeys in by_pair["limit_orders"].values() for rows in hotkeys.values() for one in rows]
    rows = [one for orders in by_hotkey["limit_orders"].values() for one in orders]
    assert sorted(flat, key=str) == sorted(rows, key=str)
    assert len(rows) == 6


def test_vantas_pairs_alone_satisfy_a_reader_that_refuses_all_that_vantas_does(world: World) -> None:
    query = f"{PATH}?trade_pairs=vanta&limit_orders=by_hotkey&perf_ledgers="
    for shape, ledgers in (("flat", 3), ("bundle", 6)):
        text = world.get(query + shape, "k100").data
        assert FUEL[0].encode() not in text
        assert strict_vanta.read(text) == {
            "positions": 6,
            "orders": 12,
            "limit_orders": 3,
            "ledgers": ledgers,
        }


def test_that_reader_refuses_what_vantas_does(world: World) -> None:
    whole = world.get(f"{PATH}?limit_orders=by_hotkey", "k100").data
    vanta = world.get(f"{PATH}?trade_pairs=vanta&limit_orders=by_hotkey", "k100").data
    lost = world.get(f"{PATH}?trade_pairs=vanta", "k100").data
    for text in (whole, lost, vanta.replace(b'"price":2.0', b'"price":-2.0'), b'{"x":Infinity}', b"{}"):
        with pytest.raises(strict_vanta.Refused):
            strict_vanta.read(text)


def test_an_empty_checkpoint_satisfies_it_too(make_world: Any) -> None:
    assert strict_vanta.read(make_world().get(f"{PATH}?limit_orders=by_hotkey").data)["positions"] == 0


def test_facts_are_for_operators_and_complete(world: World) -> None:
    world.journal.append([Draft(REGISTRY, "nonce|a::b", b'{"floor_ms": 1}')])
    facts = body_of(world, "?facts=all")["facts"]

    assert facts["registry"]["nonce|a::b"] == {"floor_ms": 1}
    assert len(facts["registry"]) == 8
    assert set(facts["ledger"]) == {key for key in facts["ledger"] if key.startswith("perf")}
    assert b'{"floor_ms": 1}' in world.get(f"{PATH}?facts=all", "k200").data, "bodies stay as they are"
    refused = world.get(f"{PATH}?facts=all", "k100")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "insufficient_tier")
    assert world.get(f"{PATH}?facts=all&trade_pairs=vanta", "k200").status_code == 400
    assert "facts" not in body_of(world)


@pytest.mark.parametrize("name", ["limit_orders", "perf_ledgers", "trade_pairs", "facts"])
def test_an_unknown_option_is_a_clear_400(world: World, name: str) -> None:
    answer = world.get(f"{PATH}?{name}=x", "k200")

    assert (answer.status_code, answer.get_json()["code"]) == (400, f"invalid_{name}")


def test_archived_figures_join_those_of_kept_positions(world: World) -> None:
    before = body_of(world)["positions"]["hk1"]
    figures = {"positions": 2, "lasted": 2, "profitable": 1, "growth": 1.5, "zeros": 0}
    world.journal.append([archived_draft("hk1", BTC[0], **figures)])
    body = body_of(world)
    after = body["positions"]["hk1"]

    assert body["archived"] == {"hk1": {BTC[0]: figures}}
    assert after["n_positions"] == before["n_positions"] + 2
    assert after["all_time_returns"] == pytest.approx(before["all_time_returns"] * 1.5)
    assert after["positions"] == before["positions"]


def test_each_section_has_a_digest_that_changes_with_it_alone(world: World) -> None:
    before = body_of(world)["digests"]
    world.put(position("new", [fill("new", 1, 2.0, world.now - 2 * DAY)]))
    after = body_of(world)["digests"]

    assert set(before) == {"head", "eliminations", *MAPS}
    assert {name for name in before if before[name] != after[name]} == {"head", "positions"}


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_the_digest_is_of_the_bytes_that_are_sent(live: HttpServer, coding: str) -> None:
    headers = {**bearer("k100"), "Accept-Encoding": coding}
    with Connection(live.port) as connection:
        full = connection.ask("GET", PATH, headers)
        head = connection.ask("HEAD", PATH, headers)
        other = connection.ask("GET", "/miner-positions", headers)
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(full.body).digest()).decode()}:"

    assert full.headers["repr-digest"] == full.headers["content-digest"] == digest
    assert head.headers["repr-digest"] == digest
    assert "content-digest" not in head.headers, "that message has no content"
    assert "repr-digest" not in other.headers
    assert full.headers.get("content-encoding", "identity") == coding
    text = {"gzip": gzip.decompress, "zstd": zstandard.decompress, "identity": bytes}[coding](full.body)
    assert strict_json(text)["sequences"]["positions"] == int(full.headers["x-sequence"])
