"""A payload decoded and indexed: what ``fetch`` brought, before anything is concluded from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import msgspec

from venues.errors import Broken
from venues.limitless import schemas
from venues.limitless.signing import parse_iso_ms
from venues.limitless.units import ONE, ZERO, amount, moment, price, seconds
from venues.model import Payload
from venues.numbers import decode, scaled

T = TypeVar("T")


@dataclass(slots=True)
class MarketFacts:
    """What is known of one market from all the places it appears in.

    ``payout`` is USD per YES and per NO share, None until resolved. Times are ms, None when unknown.
    """

    slug: str
    title: str = ""
    tokens: dict[str, int] = field(default_factory=dict)
    payout: tuple[Decimal, Decimal] | None = None
    resolved_ms: int | None = None
    deadline_ms: int | None = None
    is_expired: bool = False
    is_amm: bool = False
    prices: tuple[Decimal, Decimal] | None = None


@dataclass(slots=True)
class Reading:
    """One account's payload in typed form."""

    observed_ms: int
    since_ms: int | None
    portfolio: schemas.Portfolio
    clob: list[schemas.ClobRow]
    profile: schemas.Profile | None
    history: list[tuple[str, schemas.HistoryRow]]  # field path, row; newest first
    orders: dict[str, list[schemas.UserOrder]]  # by slug, where they were asked for
    results: list[schemas.StatusData]
    books: dict[str, schemas.OrderBook]
    markets: dict[str, MarketFacts]
    cash: Decimal | None


def read(payload: Payload) -> Reading:
    """Decode every part. Raises Broken with part and field path."""
    parts = payload.parts
    if "positions" not in parts:
        raise Broken("positions", "a portfolio", "nothing")
    portfolio = decode("positions", parts["positions"], schemas.portfolio)
    clob = [*portfolio.clob, *_group_rows(portfolio)]
    reading = Reading(
        observed_ms=payload.observed_ms,
        since_ms=payload.since_ms,
        portfolio=portfolio,
        clob=clob,
        profile=decode("profile", parts["profile"], schemas.profile) if "profile" in parts else None,
        history=_history(payload),
        orders=_each(parts, "orders:", _orders),
        results=[data for part in _each(parts, "status:", _results).values() for data in part],
        books=_each(parts, "book:", lambda part, body: decode(part, body, schemas.order_book)),
        markets={},
        cash=_cash(parts.get("cash")),
    )
    _learn_markets(reading, parts)
    return reading


def _each(parts: dict[str, bytes], prefix: str, reader: Callable[[str, bytes], T]) -> dict[str, T]:
    return {
        name.removeprefix(prefix): reader(name, body)
        for name, body in parts.items()
        if name.startswith(prefix)
    }


def _group_rows(portfolio: schemas.Portfolio) -> list[schemas.ClobRow]:
    """Group entries that look like order-book rows and are not listed there already."""
    known = {row.market.slug for row in portfolio.clob}
    rows = []
    for body in portfolio.group:
        try:
            row = schemas.clob_row.decode(body)
        except msgspec.ValidationError:
            continue  # the element shape is undocumented: children are also listed as markets of their own
        if row.market.slug not in known:
            rows.append(row)
    return rows


def _history(payload: Payload) -> list[tuple[str, schemas.HistoryRow]]:
    """Rows of all pages, newest first, without repeats and without what is older than was asked for."""
    rows: list[tuple[str, schemas.HistoryRow]] = []
    seen: set[bytes] = set()
    pages = sorted((n for n in payload.parts if n.startswith("history:")), key=_page_number)
    for part in pages:
        page = decode(part, payload.parts[part], schemas.history_page)
        for index, row in enumerate(page.data):
            path, same = f"{part}.data[{index}]", msgspec.json.encode(row)
            is_old = (
                payload.since_ms is not None
                and seconds(f"{path}.blockTimestamp", row.block_timestamp) + 999 < payload.since_ms
            )
            if same not in seen and not is_old:
                rows.append((path, row))
            seen.add(same)  # a row that comes twice is one fact: pages may shift while they are read
    return rows


def _page_number(part: str) -> int:
    number = part.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def _orders(part: str, body: bytes) -> list[schemas.UserOrder]:
    answer = decode(part, body, schemas.user_orders)
    rows = answer.orders if isinstance(answer, schemas.UserOrders) else answer
    return list({row.id: row for row in rows}.values())


def _results(part: str, body: bytes) -> list[schemas.StatusData]:
    answer = decode(part, body, schemas.status_answer)
    return [result.data for result in answer.results if result.data is not None]


def _cash(body: bytes | None) -> Decimal | None:
    """Wallet balance in USDC; None when the node did not say (it is not the venue's fault)."""
    if body is None:
        return None
    try:
        answer = schemas.rpc_answer.decode(body)
        return scaled(int(answer.result or "", 16), 6)
    except (msgspec.DecodeError, ValueError):
        return None


def _learn_markets(reading: Reading, parts: dict[str, bytes]) -> None:
    for _, row in reading.history:
        if row.market is not None:
            _facts(reading, row.market.slug, row.market.title)
    for index, clob in enumerate(reading.clob):
        _from_portfolio(reading, f"positions.clob[{index}].market", clob.market)
    for index, amm in enumerate(reading.portfolio.amm):
        _from_portfolio(reading, f"positions.amm[{index}].market", amm.market).is_amm = True
    for slug, market in _each(parts, "market:", lambda p, b: decode(p, b, schemas.market)).items():
        _from_page(reading, f"market:{slug}", slug, market)


def _facts(reading: Reading, slug: str, title: str) -> MarketFacts:
    facts = reading.markets.setdefault(slug, MarketFacts(slug))
    facts.title = facts.title or title
    return facts


def _from_portfolio(reading: Reading, path: str, market: schemas.PositionMarket) -> MarketFacts:
    facts = _facts(reading, market.slug, market.title)
    for outcome, token in enumerate((market.yes_position_id, market.no_position_id)):
        if token:
            facts.tokens[token] = outcome
    deadline = market.deadline or market.expiration_date
    if deadline is not None:
        facts.deadline_ms = moment(f"{path}.deadline", deadline)
    facts.is_expired |= market.closed or (
        facts.deadline_ms is not None and facts.deadline_ms <= reading.observed_ms
    )
    facts.payout = facts.payout or _payout(path, market)
    return facts


def _payout(path: str, market: schemas.PositionMarket) -> tuple[Decimal, Decimal] | None:
    """USD per share of each outcome once resolved: the winner 1, or what the numerators say."""
    numerators = market.payout_numerators or market.old_payout_numerators
    if numerators and len(numerators) == 2:
        yes, no = (amount(f"{path}.payoutNumerators", n) for n in numerators)
        if yes >= 0 and no >= 0 and yes + no > 0:
            return yes / (yes + no), no / (yes + no)
    if market.winning_outcome_index is None:
        return None
    return (ONE, ZERO) if market.winning_outcome_index == 0 else (ZERO, ONE)


def _from_page(reading: Reading, path: str, slug: str, market: schemas.Market) -> None:
    facts = _facts(reading, slug, market.title)
    if market.tokens is not None:
        facts.tokens |= {market.tokens.yes: 0, market.tokens.no: 1}
    facts.is_expired |= market.expired
    facts.is_amm |= market.trade_type == "amm"
    if market.expiration_timestamp is not None:
        facts.deadline_ms = int(amount(f"{path}.expirationTimestamp", market.expiration_timestamp))
    if market.prices and len(market.prices) == 2:
        yes, no = (amount(f"{path}.prices", quoted) for quoted in market.prices)
        percent = 100 if yes + no > 2 else 1  # AMM pages quote [42.8, 57.2], order-book pages [0.428, 0.572]
        facts.prices = price(f"{path}.prices", yes / percent), price(f"{path}.prices", no / percent)
    if market.winning_outcome_index is not None:
        facts.payout = facts.payout or ((ONE, ZERO) if market.winning_outcome_index == 0 else (ZERO, ONE))
        facts.resolved_ms = _when(market.resolution_date) or _when(market.updated_at)


def _when(text: str | None) -> int | None:
    """Milliseconds of a time that market pages write in more than one way; None when unreadable."""
    try:
        return parse_iso_ms(text) if text else None
    except (ValueError, OverflowError):
        return None
