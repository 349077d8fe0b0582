"""The calculation server: a separate service without sessions that values contracts it is told of."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from venues.ithaca.exchange.failure import Failure, malformed
from venues.ithaca.exchange.market import (
    OPTION_PAYOFFS,
    PAIR_BY_NAME,
    YEAR_MS,
    Pair,
    black,
    expiry_number,
    quote_time,
)
from venues.ithaca.exchange.wire import Call, Route

BUMP: Final = 0.001


@dataclass(frozen=True, slots=True)
class Row:
    """One position as a caller describes it. ``strike`` is None for forwards."""

    contract_id: Any
    payoff: str
    expiry: str
    expiry_ms: int
    strike: float | None
    position: float


def price_list(call: Call) -> Any:
    """Value per unit of each contract."""
    pair = _pair(call)
    return [
        {
            "contractId": row.contract_id,
            "payoff": row.payoff,
            "expiry": row.expiry,
            "strike": row.strike,
            "price": _value(call, pair, row),
        }
        for row in _rows(call, call.body)
    ]


def calc_mtm(call: Call) -> Any:
    """Value of each position and of all."""
    pair = _pair(call)
    rows = [
        {"contractId": row.contract_id, "mtm": _value(call, pair, row) * row.position}
        for row in _rows(call, call.body)
    ]
    return {"positions": rows, "total": sum(row["mtm"] for row in rows)}


def position_risk(call: Call) -> Any:
    """Value and sensitivities per unit of each contract."""
    pair = _pair(call)
    return [_risk(call, pair, row) for row in _rows(call, call.body)]


def risk_spot_ladder(call: Call) -> Any:
    """Value of all positions when the spot price moves by each fraction of ``spot_range``."""
    if not isinstance(call.body, Mapping):
        malformed("expected positions and spot_range")
    pair, rows = _pair(call), _rows(call, call.body.get("positions"))
    steps = call.body.get("spot_range")
    if not isinstance(steps, list) or not all(isinstance(step, int | float) for step in steps):
        malformed("spot_range: expected numbers")
    return [
        {"spot_move": step, "value": sum(_value(call, pair, row, 1 + step) * row.position for row in rows)}
        for step in steps
    ]


def market_snapshot(call: Call) -> Any:
    """Spot, forwards and volatilities."""
    pair, market = _pair(call), call.world.market
    at_ms = quote_time(call.now_ms)
    return {
        "currency": call.query.get("currency", "ETH"),
        "spot": float(market.spot(pair, at_ms)),
        "forwards": {
            str(expiry_number(expiry)): market.forward(pair, expiry, at_ms)
            for expiry in market.expiries(at_ms)
        },
        "volatility": pair.volatility,
    }


def price(call: Call) -> Any:
    """Value of one unit of one contract, a bare number."""
    query = call.query
    row = {"payoff": query.get("payoff"), "expiry": query.get("date"), "strike": query.get("strike")}
    return _value(call, _pair(call), _row(row))


def vol_surface_date(call: Call) -> Any:
    """When the volatility surface was made."""
    return datetime.fromtimestamp(quote_time(call.now_ms) / 1000, UTC).isoformat()


def vol_surface(call: Call) -> Any:
    """The surface as the venue ships it. A reader must never unpickle this."""
    return pickle.dumps({"currency": call.query.get("currency", "ETH"), "volatility": _pair(call).volatility})


def trade_pricer(call: Call) -> Any:
    """Value of whole orders."""
    if not isinstance(call.body, list):
        malformed("expected a list of orders")
    return [{"orderId": one.get("orderId"), "price": _order_value(call, one)} for one in call.body]


def _order_value(call: Call, order: Any) -> float:
    total = 0.0
    for leg in order.get("details", []):
        pair = PAIR_BY_NAME.get(leg.get("currencyPair", "WETH/USDC"))
        if pair is None:
            malformed("currencyPair: unknown")
        row = _row(leg)
        total += _value(call, pair, row) * row.position
    return total


def _risk(call: Call, pair: Pair, row: Row) -> dict[str, Any]:
    spot = float(call.world.market.spot(pair, quote_time(call.now_ms)))
    here, step = _value(call, pair, row), spot * BUMP
    up, down = _value(call, pair, row, 1 + BUMP), _value(call, pair, row, 1 - BUMP)
    vega = _value(call, pair, row, volatility=pair.volatility + 0.01) - here
    days_left = max(1.0, (row.expiry_ms - call.now_ms) / (YEAR_MS / 365))
    return {
        "contractId": row.contract_id,
        "OptionID": row.contract_id,
        "payoff": row.payoff,
        "expiry": row.expiry,
        "strike": row.strike,
        "position": row.position,
        "ref_Spot": spot,
        "ref_Forward": call.world.market.forward(pair, row.expiry_ms, call.now_ms),
        "ref_Vol": pair.volatility,
        "Price": here,
        "Delta": (up - down) / (2 * step),
        "Gamma": (up - 2 * here + down) / step**2,
        "Vega": vega,
        "WeightedVega": vega * (30 / days_left) ** 0.5,
        "Theta": _value(call, pair, row, later_ms=YEAR_MS // 365) - here,
    }


def _value(
    call: Call,
    pair: Pair,
    row: Row,
    factor: float = 1.0,
    *,
    volatility: float | None = None,
    later_ms: int = 0,
) -> float:
    at_ms = quote_time(call.now_ms)
    forward = call.world.market.forward(pair, row.expiry_ms, at_ms) * factor
    if row.strike is None:
        return forward
    years = max(60_000, row.expiry_ms - at_ms - later_ms) / YEAR_MS
    return black(row.payoff, forward, row.strike, years, volatility or pair.volatility)


def _rows(call: Call, body: Any) -> list[Row]:
    if not isinstance(body, list):
        malformed("expected a list of positions")
    return [_row(row) for row in body]


def _row(body: Any) -> Row:
    try:
        payoff, expiry = str(body["payoff"]), str(body["expiry"])
        expiry_ms = int(datetime.fromisoformat(f"{expiry}T08:00:00+00:00").timestamp() * 1000)
        strike = None if payoff == "Forward" else float(body["strike"])
        position = float(body.get("position") or 1.0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        malformed(f"unreadable position: {error}")
    if strike is not None and (payoff not in OPTION_PAYOFFS or strike <= 0):
        malformed("unknown payoff or strike")
    return Row(body.get("contractId"), payoff, expiry, expiry_ms, strike, position)


def _pair(call: Call) -> Pair:
    coin = call.query.get("currency", "ETH")
    pair = PAIR_BY_NAME.get(f"W{coin.removeprefix('W')}/USDC")
    if pair is None:
        raise Failure(404, "NOT_FOUND", "no such currency")
    return pair


ROUTES: Final[dict[str, Route]] = {
    "POST /price_list": price_list,
    "POST /calc_mtm": calc_mtm,
    "POST /position_risk": position_risk,
    "POST /risk_spot_ladder": risk_spot_ladder,
    "GET /market_snapshot": market_snapshot,
    "GET /price": price,
    "GET /vol_surface/date": vol_surface_date,
    "GET /volsurface_pickle": vol_surface,
    "GET /historical_volsurface_pickle": vol_surface,
    "POST /trade_pricer": trade_pricer,
}
