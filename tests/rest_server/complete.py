"""Something in every section of a checkpoint, as the product's own writers put it into the journal."""

from __future__ import annotations

from typing import Any

import msgspec

from journal.entry import ORDERS, POSITIONS, REGISTRY, Draft
from tests.rest_server.world import BTC, DAY, FUEL, HOUR, fill, position, resting
from validator import eliminated
from validator.assets import ASSET, AssetSelection
from validator.challenge import record as challenges
from validator.ledger.checkpoint import SPAN_MS, WINDOW_MS, Checkpoint
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of, through_draft
from validator.positions import identity, order_identity
from vanta_api.records import (
    AccountSizeMessage,
    AccountSizeRecord,
    OrderMessage,
    Position,
    PositionMessage,
    PriceSource,
    RestingOrder,
    encode,
)


def drafts(now: int, hotkeys: int = 3) -> list[Draft]:
    """Entries of every kind for ``hotkeys`` accounts ``hk0``, ``hk1``, ... at ``now`` (ms)."""
    found: list[Draft] = []
    for number in range(hotkeys):
        found += [position_draft(one) for one in positions(f"hk{number}", number, now)]
        found += [order_draft(one) for one in resting_orders(f"hk{number}", number, now)]
        found += facts(f"hk{number}", number, now)
        found += ledger(f"hk{number}", number, now)
    return [*found, through_draft(last_boundary(now), SPAN_MS, 1)]


def positions(hotkey: str, number: int, now: int) -> list[Position]:
    """A closed one, an open one and a short one, of Vanta's and of a venue's pairs."""
    start = now - (20 + number) * DAY
    sources = (PriceSource(source="Polygon_ws", open=2.0, start_ms=now - HOUR, websocket=True),)
    newest = msgspec.structs.replace(
        fill((hotkey, "n"), 1.5, 2.5, now - HOUR), price_sources=sources, slippage=0.0001
    )
    return [
        position(
            hotkey, [fill((hotkey, "a"), 1, 2.0, start), fill((hotkey, "b"), 0, 3.0, start + HOUR)], BTC
        ),
        position(hotkey, [fill((hotkey, "c"), -2, 5.0, start + DAY), newest], BTC, fees="0.5"),
        position(hotkey, [fill((hotkey, "d"), -1 - number, 0.1 + 0.2, start + 2 * DAY)], FUEL),
    ]


def resting_orders(hotkey: str, number: int, now: int) -> list[RestingOrder]:
    """One of a venue's pair, one of Vanta's, one that was cancelled."""
    btc = {"trade_pair_id": BTC[0], "trade_pair": BTC}
    return [
        resting(hotkey, (hotkey, 1), now - HOUR),
        resting(hotkey, (hotkey, 2), now - 2 * HOUR, limit_price=100.0 + number, **btc),
        resting(hotkey, (hotkey, 3), now - 3 * HOUR, src=7, **btc),
    ]


def facts(hotkey: str, number: int, now: int) -> list[Draft]:
    """What the registry says: a size for all, then by number an elimination, a bucket, a selection."""
    size = AccountSizeRecord(
        hotkey=hotkey, account_size=1e5 + number, update_time_ms=now, valid_date_timestamp=now + DAY
    )
    found = [(f"account_size|{hotkey}", encode(AccountSizeMessage(account_size=size)))]
    challenge = challenges.admitted(hotkey, "CHALLENGE", now - 9 * DAY)
    if number % 3 == 0:
        row = eliminated.Elimination(
            hotkey=hotkey, dd=10.5, reason="MAX_TOTAL_DRAWDOWN", elimination_initiated_time_ms=now - DAY
        )
        found.append((eliminated.key_of(hotkey), encode(eliminated.EliminationMessage(elimination=row))))
    if number % 3 == 1:
        challenge = challenges.moved(challenge, "MAINCOMP", now - DAY, now - DAY, "promoted")
        selection = AssetSelection(hotkey, "crypto", "5Cold", now - DAY)
        found.append((ASSET + hotkey, encode(selection)))
    if number % 3 != 0:
        found.append((challenges.key_of(hotkey), challenges.encode(challenge)))
    return [Draft(REGISTRY, key, body) for key, body in found]


def ledger(hotkey: str, number: int, now: int, spans: int = 3) -> list[Draft]:
    """The newest spans of a portfolio and two trade pairs."""
    return [draft_of(_span(hotkey, number, last_boundary(now) - back * SPAN_MS)) for back in range(spans)]


def last_boundary(now: int) -> int:
    """The newest span's end."""
    return now - now % SPAN_MS


def _span(hotkey: str, number: int, end_ms: int) -> PerfCheckpoint:
    checkpoint = Checkpoint(
        last_update_ms=end_ms,
        accum_ms=SPAN_MS,
        prev_portfolio_ret=1.01,
        open_ms=HOUR,
        n_updates=3 + number,
        gain=0.02,
        loss=-0.01,
        mdd=0.99,
        mpv=1.02,
        equity_ret=1.005,
    )
    record = LedgerRecord(checkpoint=checkpoint, initialization_time_ms=end_ms - 9 * SPAN_MS, max_return=1.03)
    return PerfCheckpoint(
        hotkey=hotkey,
        end_ms=end_ms,
        target_cp_duration_ms=SPAN_MS,
        target_ledger_window_ms=WINDOW_MS,
        ledgers=dict.fromkeys(("portfolio", BTC[0], FUEL[0]), record),
        last_known_prices={BTC[0]: (2.5, end_ms), FUEL[0]: (0.3, end_ms)},
    )


def position_draft(one: Position) -> Draft:
    """As a poller writes it."""
    body = encode(PositionMessage(position=one, miner_repo_version="8.8.9", repo_version="8.8.9"))
    return Draft(POSITIONS, f"{one.miner_hotkey}|{one.position_uuid}", body, identity(one))


def order_draft(one: RestingOrder) -> Draft:
    """As a poller writes it."""
    body = encode(OrderMessage(order=one))
    return Draft(ORDERS, f"{one.miner_hotkey}|{one.order_uuid}", body, order_identity(one))


def archived_draft(hotkey: str, pair: str, **figures: Any) -> Draft:
    """As a restore writes it."""
    return Draft(REGISTRY, f"archived|{hotkey}", msgspec.json.encode({"archived": {pair: figures}}))
