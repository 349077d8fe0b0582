"""Portfolio rows become holdings, prices and equity."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.venues.limitless.payloads import (
    NO,
    OBSERVED_MS,
    SLUG,
    YES,
    amm,
    book,
    clob,
    history,
    market,
    page,
    payload,
    portfolio,
    sample,
    snapshot,
    trade,
)
from venues.errors import Broken
from venues.limitless.normalise import normalise
from venues.model import Holding, Mark

D = Decimal


def held(*rows: dict[str, Any], **options: Any) -> dict[str, Holding]:
    return {h.instrument: h for h in snapshot({"positions": portfolio(*rows, **options)}).holdings}


def marks(parts: dict[str, Any]) -> dict[str, Mark]:
    return {m.instrument: m for m in snapshot(parts).marks}


def test_the_documented_portfolio_is_read_exactly() -> None:
    (holding,) = normalise(payload({"positions": sample("positions.json")})).holdings

    assert holding.instrument == "btc-above-dollar7982448-on-may-11-1000-utc-1777888806248:YES"
    assert (holding.quantity, holding.average_entry_price) == (D("1.004763"), D("0.991"))
    assert (holding.realized_pnl, holding.status) == (D(0), "open")


def test_the_venues_unrealised_figure_is_not_used() -> None:
    """It says 0 while value and cost differ; profit follows from quantity, entry and mark."""
    got = normalise(payload({"positions": sample("positions.json")}))

    assert got.marks[0].price == D("0.991")
    assert not hasattr(got.holdings[0], "unrealized_pnl")


def test_holding_both_outcomes_is_two_positions_that_hedge() -> None:
    found = held(clob("3000000", "2000000"))

    assert {name: h.quantity for name, h in found.items()} == {YES: D(3), NO: D(2)}
    assert {h.status for h in found.values()} == {"hedged"}


def test_dust_beside_a_position_is_listed_but_does_not_hedge() -> None:
    found = held(clob("3000000", "999"))

    assert found[YES].status == "open"
    assert found[NO].quantity == D("0.000999")


def test_dust_counts_as_flat() -> None:
    (instrument,) = snapshot({"positions": portfolio(clob("999"))}).instruments

    assert max(instrument.lot, instrument.dust) == D("0.001")


def test_an_average_that_is_missing_comes_from_the_cost() -> None:
    row = clob("2000000", price="0")
    row["positions"]["yes"] = {**row["positions"]["yes"], "cost": "900000"}
    row["positions"]["no"] = {**row["positions"]["no"], "cost": "0"}

    assert held(row)[YES].average_entry_price == D("0.45")
    assert held(clob("2000000", price="0"))[YES].average_entry_price is None


@pytest.mark.parametrize(
    "of",
    [
        market(closed=True),
        market(deadline="2026-05-01T00:00:00.000Z"),
        market(expirationDate="2026-05-01", deadline=None),
    ],
)
def test_expired_but_unresolved_waits_at_its_last_price(of: dict[str, Any]) -> None:
    parts = {
        "positions": portfolio(clob("3000000", of=of)),
        f"book:{SLUG}": book([], [], last=0.93),
    }

    got = snapshot(parts)

    assert got.fills == ()
    assert got.holdings[0].status == "pending_resolution"
    assert [(m.instrument, m.price) for m in got.marks] == [(YES, D("0.93"))]


def test_a_page_that_says_expired_is_believed() -> None:
    parts = {"positions": portfolio(clob("3000000")), f"market:{SLUG}": page(expired=True)}

    assert snapshot(parts).holdings[0].status == "pending_resolution"


def test_amm_rows_stand_beside_order_book_rows() -> None:
    found = held(clob("3000000"), amm=[amm(0), amm(1, "2", "0.4")])

    assert {name: h.quantity for name, h in found.items()} == {
        YES: D(3),
        "pool:YES": D("9.5"),
        "pool:NO": D(2),
    }
    assert found["pool:YES"].average_entry_price == D("0.5")
    assert found["pool:YES"].realized_pnl == D("0.25")


def test_amm_rows_in_raw_units_are_recognised() -> None:
    """An older version wrote AMM amounts in millionths, as order-book rows still do."""
    raw = amm(0, "9071313", "551136", totalBuysCost="4999525", realizedPnl="250000")

    holding = held(amm=[raw])["pool:YES"]

    assert (holding.quantity, holding.average_entry_price) == (D("9.071313"), D("0.551136"))
    assert holding.realized_pnl == D("0.25")


@pytest.mark.parametrize(
    ("row", "shares"),
    [
        (amm(0, "10", "1", totalBuysCost="10"), D(10)),
        (amm(0, "50250000", averageFillPrice=None, totalBuysCost=None), D("50.25")),
        (amm(0, "50.25", averageFillPrice=None, totalBuysCost=None), D("50.25")),
        ({**amm(0, averageFillPrice=None), "outcomeTokenAmount": 50.25}, D("50.25")),
        (amm(0, "2000000", "0.5"), D(2_000_000)),
        (amm(0, "7", "0", totalBuysCost="0"), D(7)),
    ],
)
def test_units_of_amm_rows(row: dict[str, Any], shares: Decimal) -> None:
    assert held(amm=[row])["pool:YES"].quantity == shares


def test_an_empty_amm_row_is_nothing() -> None:
    assert held(amm=[amm(0, "0")]) == {}


def test_a_group_entry_that_looks_like_a_market_is_read_and_others_are_not() -> None:
    child = clob("1000000", of=market("child"))

    found = held(clob("3000000"), group=[child, clob("9000000"), {"slug": "group", "markets": []}, 5])

    assert {name: h.quantity for name, h in found.items()} == {YES: D(3), "child:YES": D(1)}


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (clob("1.004763"), "positions.clob[0].tokensBalance.yes"),  # decimals where raw units were
        (clob("-5"), "positions.clob[0].tokensBalance"),
        (clob("1", price="0.991"), "positions.clob[0].positions.fillPrice"),
        (clob("1000000", price="99100000"), "positions.clob[0].positions.fillPrice"),
        (clob("1", latestTrade={"latestYesPrice": 99.1}), "positions.clob[0].latestTrade"),
        (clob("NaN"), "positions.clob[0].tokensBalance"),
        (clob("1", of=market(deadline="soon")), "positions.clob[0].market.deadline"),
        (clob("1", of=market(winningOutcomeIndex=2)), "positions.clob[0].market.winningOutcomeIndex"),
    ],
)
def test_figures_in_other_units_or_shapes_are_broken(row: dict[str, Any], path: str) -> None:
    with pytest.raises(Broken) as caught:
        held(row)
    assert caught.value.path.startswith(path.removesuffix(".yes"))


def test_a_negative_amm_amount_is_broken() -> None:
    with pytest.raises(Broken):
        held(amm=[amm(0, "-1")])


def test_another_collateral_has_its_own_decimals() -> None:
    row = clob(str(3 * 10**18), price=str(4 * 10**17), of=market(collateralToken={"decimals": 18}))

    assert held(row)[YES].quantity == D(3)
    assert held(row)[YES].average_entry_price == D("0.4")


# --- marks ------------------------------------------------------------------------------------------


def test_an_open_market_is_worth_the_middle_of_its_book_and_no_is_the_mirror() -> None:
    found = marks(
        {
            "positions": portfolio(clob("3000000", "2000000")),
            f"book:{SLUG}": book([(0.13, 5), (0.14, 5)], [(0.17, 5), (0.16, 5)], last=0.9),
        }
    )

    assert (found[YES].bid, found[YES].price, found[YES].ask) == (D("0.14"), D("0.15"), D("0.16"))
    assert (found[NO].bid, found[NO].price, found[NO].ask) == (D("0.84"), D("0.85"), D("0.86"))
    assert found[YES].time_ms == OBSERVED_MS


@pytest.mark.parametrize(
    ("parts", "price"),
    [
        ({f"book:{SLUG}": book([(0.1, 5)], [], last=0.3)}, "0.3"),
        ({f"book:{SLUG}": book([], [], last=None)}, "0.4"),  # the portfolio's latest trade
        ({}, "0.4"),
    ],
)
def test_without_two_sides_the_last_trade_counts(parts: dict[str, Any], price: str) -> None:
    found = marks({"positions": portfolio(clob("3000000", "1000000")), **parts})

    assert found[YES].price == D(price)
    assert found[NO].price == 1 - D(price)


def test_a_market_without_any_trade_is_worth_its_page_then_its_entry() -> None:
    untraded = clob("3000000", latestTrade=None)

    assert marks({"positions": portfolio(untraded), f"market:{SLUG}": page(prices=[0.7, 0.3])})[
        YES
    ].price == D("0.7")
    assert marks({"positions": portfolio(untraded)})[YES].price == D("0.4")
    assert marks({"positions": portfolio({**untraded, **_no_cost(untraded)})}) == {}


def _no_cost(row: dict[str, Any]) -> dict[str, Any]:
    side = {**row["positions"]["yes"], "fillPrice": "0"}
    return {"positions": {"yes": side, "no": side}}


def test_amm_prices_in_percent_are_read_as_such() -> None:
    row = amm(1, latestTrade=None, market=market("pool"))
    parts = {
        "positions": portfolio(amm=[row]),
        "market:pool": page("pool", tradeType="amm", prices=[42.8, 57.2]),
    }

    assert marks(parts)["pool:NO"].price == D("0.572")
    assert {i.fee for i in snapshot(parts).instruments} == {D(0)}


def test_an_amm_rows_own_last_trade_is_its_outcomes() -> None:
    assert marks({"positions": portfolio(amm=[amm(1)])})["pool:NO"].price == D("0.572")


def test_resolved_shares_are_marked_with_their_payout() -> None:
    row = clob("3000000", "1000000", of=market(closed=True, winningOutcomeIndex=1))

    found = marks({"positions": portfolio(row), f"book:{SLUG}": book([(0.5, 1)], [(0.6, 1)])})

    assert (found[YES].price, found[NO].price) == (D(0), D(1))


# --- instruments and equity -------------------------------------------------------------------------


def test_instruments_carry_title_side_and_the_accounts_fee_ceiling() -> None:
    parts = {
        "positions": portfolio(clob("3000000")),
        "profile": {"id": 1, "account": "0xme", "rank": {"id": 1, "name": "x", "feeRateBps": 250}},
    }

    (known,) = snapshot(parts).instruments
    (unknown,) = snapshot({"positions": portfolio(clob("3000000"))}).instruments

    assert (known.name, known.display, known.quote) == (YES, "BTC up (YES)", "USDC")
    assert (known.fee, unknown.fee) == (D("0.025"), D("0.03"))


def test_a_profile_without_a_rank_is_fine() -> None:
    parts = {
        "positions": portfolio(clob("3000000")),
        "profile": {"id": 1, "account": "0xme", "rank": None},
    }

    assert snapshot(parts).instruments[0].fee == D("0.03")


def test_everything_traded_has_an_instrument() -> None:
    got = snapshot({"history:0": history(trade())})

    assert [i.name for i in got.instruments] == [YES]


def test_equity_is_wallet_plus_shares_plus_unredeemed_winnings() -> None:
    won = clob("7000000", "1000000", of=market("done", closed=True, winningOutcomeIndex=0))
    parts = {"positions": portfolio(clob("3000000"), won), "cash": {"result": hex(5_000_000)}}

    assert snapshot(parts).equity_usd == D(5) + 3 * D("0.4") + D(7)


@pytest.mark.parametrize(
    "cash",
    [{}, {"cash": b""}, {"cash": {"error": {"code": 1, "message": "busy"}}}, {"cash": {"result": "0x"}}],
)
def test_without_the_wallet_equity_is_unknown(cash: dict[str, Any]) -> None:
    """A node that fails is not the venue's fault and never quarantines an account."""
    assert snapshot({"positions": portfolio(clob("3000000")), **cash}).equity_usd is None
