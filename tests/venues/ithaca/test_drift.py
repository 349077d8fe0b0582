"""Whatever the venue sends, the normaliser answers with a Snapshot or with Broken."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.venues.ithaca.payloads import (
    BINARY,
    CALL,
    FORWARD,
    PUT,
    SPOT,
    history,
    leg,
    ok,
    order,
    payload,
    position,
    sample,
)
from venues.errors import Broken
from venues.ithaca.normalise import normalise
from venues.model import Payload, Snapshot

PARTIAL = order(
    7, 25.0, leg(CALL, "BUY", 1.0, 0.7, average=20.4286, last=0.3, last_price=21.0), status="PARTIALLY_FILLED"
)
SPREAD = order(8, -5.0, leg(CALL, "BUY", 1.0), leg(PUT, "SELL", 2.0))
FULL = payload(
    positions=ok([position(30919, 0.7, 20.4, orders=[PARTIAL]), position(30940, -5.0, 0.4)]),
    openOrders=ok([PARTIAL, SPREAD]),
    trail=ok([order(7, 25.0, leg(CALL, "BUY", 1.0))]),
    tradeHistory__0=json.dumps(sample("trade_history_two_leg.json")).encode(),
    orderStatus__1=json.dumps(sample("order_status_cancelled.json")).encode(),
    historical__0=ok(history(250131080, {"WETH/USDC": 3300.0}, position(30901, 1.0, 3200.0))),
    fundLock=json.dumps(sample("client_fund_lock_state.json")).encode(),
    bestBidAskPrecise=ok({"30919": {"bestAsk": 21.0, "bestBid": 19.0}}),
    referencePrices__x=json.dumps(sample("reference_prices.json")).encode(),
    priceList=b'[{"contractId": 30940, "price": 0.38}]',
    contracts=ok([CALL, PUT, BINARY, FORWARD, SPOT]),
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "NaN", "sNaN", "Infinity", "-1", "1e400", "1e-400", "BUY", "Call", "250207080"]),
    st.sampled_from([[], {}, [{}], {"0": []}, 10**40, -(10**40), 1e-320, 251332080]),
)


def paths(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a decoded JSON document."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [here, *(path for key, value in inside for path in paths(value, (*here, key)))]


def changed(document: Any, path: tuple[Any, ...], action: str, value: Any) -> Any:
    """The document with one place replaced, removed, or renamed."""
    if not path:
        return value
    document = copy.deepcopy(document)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if action == "replace" or isinstance(parent, list):
        parent[path[-1]] = value
    elif action == "remove":
        del parent[path[-1]]
    else:
        parent[f"{path[-1]}New"] = parent.pop(path[-1])
    return document


def outcome(body: Payload) -> Snapshot | Broken:
    """What the normaliser says; any other exception is the failure these tests look for."""
    try:
        return normalise(body)
    except Broken as error:
        return error


@settings(max_examples=600)
@given(data=st.data(), part=st.sampled_from(sorted(FULL.parts)))
def test_one_changed_place_gives_a_snapshot_or_broken(data: st.DataObject, part: str) -> None:
    document = json.loads(FULL.parts[part])
    path = data.draw(st.sampled_from(paths(document)))
    action = data.draw(st.sampled_from(["replace", "remove", "rename"]))
    drifted = changed(document, path, action, data.draw(ODD))
    parts = {**FULL.parts, part: json.dumps(drifted).encode()}
    body = Payload(venue="ithaca", account="a", observed_ms=FULL.observed_ms, parts=parts)
    found = outcome(body)
    roots = (*FULL.parts, "contract[", "order[", "prices[")  # a lost contract shows where it is missed
    assert isinstance(found, Snapshot) or found.path.startswith(roots)


@given(part=st.sampled_from(sorted(FULL.parts)), body=st.binary(max_size=60), cut=st.integers(0, 400))
def test_any_bytes_give_a_snapshot_or_broken(part: str, body: bytes, cut: int) -> None:
    for junk in (body, FULL.parts[part][:cut]):
        parts = {**FULL.parts, part: junk}
        found = outcome(Payload(venue="ithaca", account="a", observed_ms=FULL.observed_ms, parts=parts))
        assert isinstance(found, Snapshot) or found.path.startswith(part)


def test_unknown_extra_fields_are_ignored() -> None:
    def with_extras(node: Any) -> Any:
        if isinstance(node, list):
            return [with_extras(item) for item in node]
        if isinstance(node, dict) and not all(key.isdigit() or "/" in key for key in node):
            return {**{key: with_extras(value) for key, value in node.items()}, "addedByVenue": {"x": [1]}}
        return node

    parts = {
        name: body if name == "systemInfo" else json.dumps(with_extras(json.loads(body))).encode()
        for name, body in FULL.parts.items()
        if name != "historical:0"
    }
    parts["historical:0"] = FULL.parts["historical:0"]
    plain = normalise(FULL)
    assert (
        normalise(Payload(venue="ithaca", account=FULL.account, observed_ms=FULL.observed_ms, parts=parts))
        == plain
    )
