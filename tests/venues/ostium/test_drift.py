"""Whatever a venue's bug or change of mind puts into a payload: a Snapshot or Broken, nothing else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.venues.ostium.payloads import SAMPLES, account_rows, bare, close, limit, order, payload, trade
from venues.errors import Broken
from venues.model import Snapshot
from venues.ostium.normalise import normalise

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "0", "-1", "NaN", "Infinity", "1e9", "0x", "9" * 38, "1" * 80, "Open", "\u0664\u0662"]
    ),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
)
BODIES: dict[str, Any] = {
    "account": {
        "data": {
            "trades": [trade(takeProfitPrice="45" + "0" * 21, stopLossPrice="41" + "0" * 21)],
            "limits": [limit()],
            "ended": [limit(isActive=False, orderId="777")],
            "pending": [order(5, isPending=True), close(6, 777, isPending=True, closePercent="5000")],
            "settled": account_rows("settled"),
        }
    },
    **{
        name: json.loads((SAMPLES / f"{name}.json").read_text())
        for name in ("pairs", "prices", "block", "balance")
    },
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += leaves(child, (*path, key))
    return found


PLACES = [(name, path) for name, body in BODIES.items() for path in leaves(body)]


def changed(body: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """A copy with one place replaced; ``...`` removes it."""
    copy = json.loads(json.dumps(body))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    if junk is ...:
        del inside[path[-1]]
    else:
        inside[path[-1]] = junk
    return copy


def outcome(parts: dict[str, bytes]) -> Snapshot | Broken:
    try:
        return normalise(payload(parts=parts))
    except Broken as broken:
        return broken


@settings(max_examples=1500)
@given(place=st.sampled_from(PLACES), junk=st.one_of(st.just(...), JUNK))
def test_any_single_change_gives_a_snapshot_or_broken(place: tuple[str, tuple[Any, ...]], junk: Any) -> None:
    name, path = place
    bodies = BODIES | {name: changed(BODIES[name], path, junk)}

    found = outcome({key: json.dumps(body).encode() for key, body in bodies.items()})

    if isinstance(found, Broken):
        assert found.path
        assert found.expected
    else:
        amounts = (
            [f.quantity for f in found.fills] + [f.price for f in found.fills] + [f.fee for f in found.fills]
        )
        assert all(amount.is_finite() for amount in amounts)
        assert all(fill.price > 0 and fill.quantity != 0 for fill in found.fills)
        assert all(holding.quantity != 0 for holding in found.holdings)


@given(name=st.sampled_from(sorted(BODIES)), body=st.binary(max_size=60))
def test_any_bytes_give_broken(name: str, body: bytes) -> None:
    found = outcome({name: body})

    assert isinstance(found, Broken)
    assert found.path.startswith(name)


@given(name=st.sampled_from(sorted(BODIES)), cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_part_is_broken(name: str, cut: float) -> None:
    whole = json.dumps(BODIES[name]).encode()

    assert isinstance(outcome({name: whole[: int(len(whole) * cut)]}), Broken)


def test_fields_nobody_knows_are_ignored() -> None:
    bodies = json.loads(json.dumps(BODIES))
    for name, path in PLACES:
        inside = bodies[name]
        for key in path[:-1]:
            inside = inside[key]
        if isinstance(inside, dict):
            inside["brandNewField"] = {"deep": [1, 2, 3]}
    parts = {key: json.dumps(body).encode() for key, body in bodies.items()}

    assert outcome(parts) == outcome({key: json.dumps(body).encode() for key, body in BODIES.items()})


@given(
    shares=st.lists(st.integers(1, 9999), max_size=12),
    size=st.integers(1, 10**24),
    is_buy=st.booleans(),
    reports=st.sampled_from(["part", "whole", "nothing"]),
)
def test_fills_of_a_trade_add_up_whatever_its_closes(
    shares: list[int], size: int, is_buy: bool, reports: str
) -> None:
    """Chains of partial closes leave what the venue's own integer arithmetic leaves."""
    rows = [order(1, tradeNotional=str(size), isBuy=is_buy)]
    left = size
    for number, share in enumerate(shares, start=2):
        part = left * share // 10_000
        notional = {"part": part, "whole": left, "nothing": 0}[reports]
        rows.append(close(number, 1, closePercent=str(share), tradeNotional=str(notional), isBuy=is_buy))
        left -= part
    fills = normalise(bare(settled=rows)).fills
    total = sum((fill.quantity for fill in fills), Decimal(0))

    assert abs(abs(total) - Decimal(left).scaleb(-18)) <= Decimal(len(shares)).scaleb(-18)
