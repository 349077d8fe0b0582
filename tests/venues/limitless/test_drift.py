"""Whatever a venue answers, the normaliser gives a Snapshot or names the field that is wrong."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.venues.limitless.payloads import (
    SLUG,
    YES_TOKEN,
    book,
    clob,
    history,
    loaded,
    market,
    page,
    payload,
    portfolio,
    sample,
    settlement,
    snapshot,
    status,
    statuses,
    trade,
    user_order,
)
from venues.errors import Broken
from venues.limitless.normalise import normalise
from venues.model import Snapshot


def parts() -> dict[str, Any]:
    """One of everything."""
    documented = loaded("positions.json")
    held = clob("3000000", "2000000")
    done = clob("1000000", of=market("done", closed=True, winningOutcomeIndex=0))
    return {
        "positions": portfolio(*documented["clob"], held, done, amm=documented["amm"]),
        "profile": {"id": 1, "account": "0xme", "rank": {"id": 1, "name": "x", "feeRateBps": 250}},
        "history:0": history(trade(), settlement("loss", 1), trade("Split", "3", "3", transactionHash="0x3")),
        f"market:{SLUG}": page(),
        f"book:{SLUG}": book([(0.1, 5)], [(0.2, 5)], last=0.15),
        f"orders:{SLUG}": [user_order(), user_order(id="order-2", status="MATCHED", remainingSize="0")],
        "status:0": statuses(status(fee=1000), status("FAILED", order_id="order-3", tx="0x9")),
        "cash": {"jsonrpc": "2.0", "id": 1, "result": "0x10"},
    }


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every value inside nested lists and objects."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(spot for key, child in children for spot in spots(child, (*path, key)))]


WHOLE = parts()
SPOTS = [spot for spot in spots(WHOLE) if spot]
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "NaN", "Infinity", "-0", "1e999999", "1e-999999", "0x10", "2026-01-01", YES_TOKEN, "BUY"]
    ),
    st.text(max_size=6),
    st.just([]),
    st.just({}),
    st.just([[]]),
)


def replaced(value: Any, spot: tuple[Any, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in spot[:-1]:
        inner = inner[key]
    if new is ...:
        del inner[spot[-1]]
    else:
        inner[spot[-1]] = new
    return changed


def survives(changed: dict[str, Any]) -> None:
    got, problem = outcome(changed)
    if problem is not None:
        assert problem.path
        assert problem.expected
    else:
        assert isinstance(got, Snapshot)
        assert all(fill.quantity.is_finite() and fill.price.is_finite() for fill in got.fills)
        assert all(0 <= mark.price <= 1 for mark in got.marks)


def outcome(changed: dict[str, Any]) -> tuple[Snapshot | None, Broken | None]:
    try:
        return snapshot(changed), None
    except Broken as error:
        return None, error


def test_the_whole_payload_is_understood() -> None:
    got = snapshot(WHOLE)

    assert got.fills
    assert got.holdings
    assert got.orders
    assert got.equity_usd is not None


@settings(max_examples=400)
@given(st.sampled_from(SPOTS), STRANGE)
def test_a_strange_value_anywhere_is_named_or_harmless(spot: tuple[Any, ...], new: Any) -> None:
    survives(replaced(WHOLE, spot, new))


@pytest.mark.parametrize("spot", SPOTS, ids=lambda spot: ".".join(map(str, spot)))
def test_a_missing_value_is_named_or_harmless(spot: tuple[Any, ...]) -> None:
    survives(replaced(WHOLE, spot, ...))


@given(st.dictionaries(st.sampled_from([*WHOLE, "history:x", "status:", "other"]), st.binary(max_size=40)))
def test_any_bytes_are_named_or_harmless(bodies: dict[str, bytes]) -> None:
    survives({**WHOLE, **bodies})


def test_a_new_field_is_ignored() -> None:
    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return {"brandNew": {"x": 1}, **{key: grown(item) for key, item in value.items()}}
        return [grown(item) for item in value] if isinstance(value, list) else value

    assert snapshot({name: grown(part) for name, part in WHOLE.items()}) == snapshot(WHOLE)


def test_renamed_fields_are_named_with_their_path() -> None:
    body = sample("positions.json").replace(b'"tokensBalance"', b'"tokens_balance"')

    with pytest.raises(Broken) as caught:
        normalise(payload({"positions": body}))

    assert caught.value.path == "positions.clob[0]"
    assert "tokensBalance" in caught.value.expected


def test_a_payload_without_a_portfolio_is_broken() -> None:
    asked = payload({})

    with pytest.raises(Broken, match="positions"):
        normalise(msgspec.structs.replace(asked, parts={}))


def test_numbers_never_pass_through_a_float() -> None:
    """0.1 written as a JSON number is the decimal 0.1."""
    body = msgspec.json.encode(portfolio(clob("3000000"))).replace(
        b'"latestYesPrice":0.4', b'"latestYesPrice":0.1000000000000000055'
    )

    (mark,) = normalise(payload({"positions": body})).marks

    assert mark.price == Decimal("0.1000000000000000055")
