"""``/hl-traders/...`` and ``/hl-leaderboard``: open to everybody, a day late to who has no key."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from runtime.settings import EntitySettings
from tests.rest_server.entities import ENTITY, SUBACCOUNT
from tests.rest_server.ruled import (
    NO_SCOPE,
    Ask,
    Case,
    check,
    eliminate,
    get,
    not_booted,
    put_bucket,
    spans,
    undemonstrated,
)
from tests.rest_server.world import BTC, DAY, HOUR, PLENTY, Make, World, fill, new_uuid, position, resting
from tests.validator.entities.people import creation, entity
from validator.challenge.record import admitted, moved
from validator.tiers import is_realtime

ADDRESS: Final = "0x5b38da6a701c568545dcfcb03fcb875f56beddc4"
NOBODY: Final = "0x" + "1" * 40
PATH: Final = f"/hl-traders/{ADDRESS}"
ROUTES: Final = {
    "hyperliquid.hl_trader": PATH,
    "hyperliquid.hl_trader_limits": f"{PATH}/limits",
    "hyperliquid.hl_leaderboard": "/hl-leaderboard",
}


def register(world: World, hl_address: str = ADDRESS, hotkey: str = ENTITY, **fields: Any) -> str:
    """A subaccount with this address; its hotkey."""
    if world.desk.entities.entity(hotkey) is None:
        world.desk.clerk.register(entity(hotkey))
    made = world.desk.clerk.create(creation(hotkey, hl_address=hl_address, **fields))
    return made.record.synthetic_hotkey


def with_trader(path: str, key: str | None = None) -> Ask:
    return get(path, key, given=register)


def trade(world: World, hotkey: str = SUBACCOUNT, opened_ms: int | None = None, gain: float = 5.0) -> None:
    """A closed position that gained, an open one and a resting order."""
    start = world.now - 3 * DAY if opened_ms is None else opened_ms
    orders = [fill((hotkey, "c1"), 2, 10.0, start), fill((hotkey, "c2"), 0, 10.0 + gain / 2, start + HOUR)]
    world.put(
        position(hotkey, orders, BTC), position(hotkey, [fill((hotkey, "o1"), 4, 5.0, start + 2 * HOUR)])
    )
    world.put_orders(resting(hotkey, (hotkey, 1), start))


def broken(world: World) -> None:
    def crash() -> None:
        raise RuntimeError("inside")

    register(world)
    world.source.current = crash  # type: ignore[method-assign, assignment]


def starting(world: World) -> None:
    register(world)
    not_booted(world)


def refusals() -> list[Case]:
    found = []
    for route, path in ROUTES.items():
        found += [
            Case(route, 401, "Unauthorized access", with_trader(path, "nobody")),
            Case(route, 403, NO_SCOPE, with_trader(path, "kws")),
            Case(route, 500, "Internal error", get(path, None, given=broken)),
            Case(route, 503, "The server is not ready yet", get(path, None, given=starting)),
        ]
    for address in (NOBODY, "0x", "nobody", SUBACCOUNT, ADDRESS.replace("5b", "5c")):
        found += [
            Case("hyperliquid.hl_trader", 404, "HL address not found", with_trader(f"/hl-traders/{address}")),
            Case(
                "hyperliquid.hl_trader_limits",
                404,
                "HL address not found",
                with_trader(f"/hl-traders/{address}/limits"),
            ),
        ]
    return [
        *found,
        *(
            Case(
                "hyperliquid.hl_trader",
                400,
                f"{name} must be a time in ms",
                with_trader(f"{PATH}?{name}={value}"),
            )
            for name in ("positions_time_ms", "limit_orders_time_ms")
            for value in ("", "-1", "x", "1.5", "9" * 17)
        ),
    ]


CASES = refusals()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence(world: World, case: Case) -> None:
    check(world, case)


@pytest.mark.parametrize("path", ROUTES.values())
def test_without_entities_nothing_is_there(make_world: Make, path: str) -> None:
    world = make_world(settings_changes={"entities": EntitySettings(enabled=False)})
    answer = world.get(path, None)

    assert (answer.status_code, answer.get_json()["error"]) == (503, "Entity management not available")


def test_every_declared_refusal_is_shown(world: World) -> None:
    told = {text for _, _, text in undemonstrated(world, "hyperliquid", CASES)}
    assert told <= {"Entity management not available", "{name} must be a time in ms"}


def test_an_unknown_address_is_said_twice_as_vanta_does(world: World) -> None:
    body = world.get(f"/hl-traders/{NOBODY}", None).get_json()

    assert (body["status"], body["message"]) == ("error", "HL address not found")


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS.upper().replace("0X", "0x")])
def test_a_trader_has_its_subaccount_and_no_ledger(world: World, address: str) -> None:
    register(world, asset_class="crypto", account_size=50_000.0)
    trade(world)
    spans(world, SUBACCOUNT, 20)
    answer = world.get(f"/hl-traders/{address}?checkpoints_time_ms=0", "k100")

    assert answer.status_code == 200
    told = answer.get_json()["dashboard"]
    info = told["subaccount_info"]
    assert (info["synthetic_hotkey"], info["entity_hotkey"], info["hl_address"]) == (
        SUBACCOUNT,
        ENTITY,
        ADDRESS,
    )
    assert (info["account_size"], info["status"], info["eliminated_at_ms"]) == (50_000.0, "active", None)
    assert set(told["positions"]["positions"]) == {new_uuid((SUBACCOUNT, n)) for n in ("c1", "o1")}
    assert "total_leverage" in told["positions"]
    assert not {"ledger", "statistics"} & set(told)
    for name in ("intraday_drawdown_pct", "intraday_drawdown_threshold", "eod_drawdown_pct"):
        assert isinstance(told["drawdown"][name], float)


@pytest.mark.parametrize(
    ("open_tier", "key", "tier"),
    [
        (0, None, 0),
        (0, "k0", 0),
        (0, "k30", 30),
        (0, "k50", 50),
        (0, "k100", 100),
        (0, "k200", 100),
        (30, None, 30),
        (50, "k30", 50),
        (100, None, 100),
        (100, "k0", 100),
    ],
)
def test_below_the_real_time_tier_everything_is_a_day_late(
    make_world: Make, open_tier: int, key: str | None, tier: int
) -> None:
    """Everything but the positions that a tier sees in real time."""
    world = make_world(rest=msgspec.structs.replace(PLENTY, open_tier=open_tier))
    register(world)
    trade(world, opened_ms=world.now - 3 * HOUR)
    eliminate(world, SUBACCOUNT, at_ms=world.now - HOUR)
    told = world.get(PATH, key).get_json()["dashboard"]
    board = world.get("/hl-leaderboard", key).get_json()

    is_live = tier == 100
    uuids = {new_uuid((SUBACCOUNT, seed)) for seed in ("c1", "o1")}
    seen = set(told.get("positions", {"positions": {}})["positions"])
    assert seen == {one for one in uuids if is_realtime(one, tier)}
    assert ("limit_orders" in told) is is_live
    assert ("elimination" in told) is is_live
    assert told["subaccount_info"]["status"] == ("eliminated" if is_live else "active")
    assert (told["subaccount_info"]["eliminated_at_ms"] is not None) is is_live
    assert board["summary"]["eliminated"] == (1 if is_live else 0)

    world.clock.sleep(DAY / 1000 + 1)
    later = world.get(PATH, key).get_json()["dashboard"]
    assert {"positions", "limit_orders", "elimination"} <= set(later)
    assert later["subaccount_info"]["status"] == "eliminated"


def test_a_trader_has_the_same_tag_until_something_changes(world: World) -> None:
    register(world)
    trade(world)
    tag = world.get(PATH, None).headers["ETag"]
    world.clock.sleep(1)

    assert world.get(PATH, None, If_None_Match=tag).status_code == 304
    world.mark(6.0, at_ms=world.now - 2 * DAY)
    world.put_orders(resting(SUBACCOUNT, 9, world.now - 2 * DAY))
    assert world.get(PATH, None, If_None_Match=tag).status_code == 200


@pytest.mark.parametrize(
    ("bucket", "size", "tier", "pair", "portfolio"),
    [
        (None, 50_000.0, 1, 25_000.0, 200_000.0),
        ("SUBACCOUNT_CHALLENGE", 2_000_000.0, 1, 1_000_000.0, 8_000_000.0),
        ("SUBACCOUNT_FUNDED", 50_000.0, 2, 50_000.0, 350_000.0),
        ("SUBACCOUNT_FUNDED", 199_999.0, 2, 199_999.0, 1_399_993.0),
        ("SUBACCOUNT_FUNDED", 200_000.0, 3, 300_000.0, 2_000_000.0),
        ("SUBACCOUNT_ALPHA", 1_000_000.0, 4, 2_000_000.0, 12_000_000.0),
    ],
)
def test_limits_grow_with_tier_and_size(
    world: World, bucket: str | None, size: float, tier: int, pair: float, portfolio: float
) -> None:
    register(world, account_size=size)
    if bucket is not None:
        start = world.now - 3 * DAY
        first = admitted(SUBACCOUNT, "SUBACCOUNT_CHALLENGE", start)
        is_first = bucket == "SUBACCOUNT_CHALLENGE"
        put_bucket(world, first if is_first else moved(first, bucket, start, start, "promoted"))

    assert world.get(f"{PATH}/limits", None).get_json() == {
        "status": "success",
        "hl_address": ADDRESS,
        "account_size": size,
        "tier": tier,
        "asset_class": "hl_all",
        "max_position_per_pair_usd": pair,
        "max_portfolio_usd": portfolio,
        "in_challenge_period": tier == 1,
        "timestamp": world.now,
    }


def test_the_newest_subaccount_of_an_address_counts(world: World) -> None:
    register(world, account_size=1_000.0)
    world.desk.put_out(SUBACCOUNT, "ZOMBIE")
    world.clock.sleep(1)
    register(world, account_size=2_000.0)

    assert world.get(f"{PATH}/limits", None).get_json()["account_size"] == 2_000.0


def test_the_leaderboard_ranks_who_passed_and_orders_the_others(world: World) -> None:
    start = world.now - 3 * DAY
    rich, poor = (register(world, f"0x{n:040x}") for n in (1, 2))
    better, worse, idle = (register(world, f"0x{n:040x}") for n in (3, 4, 5))
    out = register(world, f"0x{6:040x}")
    for hotkey in (rich, poor):
        first = admitted(hotkey, "SUBACCOUNT_CHALLENGE", start)
        put_bucket(world, moved(first, "SUBACCOUNT_FUNDED", start, start, "promoted"))
    for hotkey, gain in ((rich, 500.0), (poor, 50.0), (better, 1_200.0), (worse, -100.0), (out, 5.0)):
        trade(world, hotkey, gain=gain)
    eliminate(world, out, at_ms=start)
    board = world.get("/hl-leaderboard", "k100").get_json()

    assert set(board) == {"summary", "fundedTraders", "challengeTraders", "timestamp"}
    assert board["summary"] == {
        "totalPaidOut": 0.0,
        "totalTraders": 6,
        "fundedTraders": 2,
        "inChallenge": 3,
        "eliminated": 1,
        "totalVolume": pytest.approx(sum(row["volume"] for name in BOARDS for row in board[name])),
    }
    funded, others = board["fundedTraders"], board["challengeTraders"]
    assert [(row["rank"], row["address"][-1], row["pnl"]) for row in funded] == [
        (1, "1", 500.0),
        (2, "2", 50.0),
    ]
    assert {row["funding"] for row in funded} == {100_000.0}
    assert [(row["address"][-1], row["pnl"], row["progress"]) for row in others] == [
        ("3", 1_200.0, 40.0),
        ("4", -100.0, 0.0),
        ("5", None, None),
    ]
    assert [row.get("noTrades") for row in others] == [None, None, True]
    assert others[1]["drawdown"] == 0.1
    assert idle.endswith("_4")
    assert all(row["sharpe"] is None for row in (*funded, *others))  # no seven days yet
    assert (funded[0]["trades"], funded[0]["winRate"], funded[0]["payouts"]) == (2, 100.0, 0.0)


BOARDS: Final = ("fundedTraders", "challengeTraders")


def test_the_leaderboard_of_one_entity(world: World) -> None:
    register(world, f"0x{1:040x}")
    register(world, f"0x{2:040x}", "5Other")

    def addresses(query: str) -> set[str]:
        found = world.get(f"/hl-leaderboard{query}", None).get_json()
        return {row["address"][-1] for row in found["challengeTraders"]}

    assert addresses("") == addresses("?entity_hotkey=") == {"1", "2"}
    assert addresses(f"?entity_hotkey={ENTITY}") == {"1"}
    assert addresses("?entity_hotkey=5Other") == {"2"}
    assert addresses("?entity_hotkey=5Nobody") == set()


def test_a_new_trader_is_on_the_board_at_once(world: World) -> None:
    tag = world.get("/hl-leaderboard", None).headers["ETag"]
    register(world)
    answer = world.get("/hl-leaderboard", None, If_None_Match=tag)

    assert answer.status_code == 200
    assert answer.get_json()["summary"]["totalTraders"] == 1


def test_subaccounts_without_an_address_are_not_on_the_board(world: World) -> None:
    register(world)
    world.desk.clerk.create(creation(ENTITY))

    assert world.get("/hl-leaderboard", None).get_json()["summary"]["totalTraders"] == 1
