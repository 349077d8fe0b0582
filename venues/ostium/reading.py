"""A payload's parts as one typed account, with pages joined and repeats dropped.

Parts: ``account`` (one consistent read), ``trades.N``/``limits.N``/``pending.N``/``settled.N`` (further
pages), ``chain.N`` (earlier orders of trades that were closed lately), ``pairs``, ``prices``, and
``balance`` and ``block`` where a chain node is configured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

from venues.errors import Broken
from venues.model import Payload
from venues.numbers import decode, scaled
from venues.ostium import schemas, symbols
from venues.ostium.schemas import Limit, Order, Pair, PairRef, Tick, Trade

PRICE_DECIMALS: Final = 18
USDC_DECIMALS: Final = 6
HUNDREDTHS: Final = 2
HIGHEST_PRICE: Final = Decimal(10) ** 15  # more than this is a scale mistake, not a price
HIGHEST_QUANTITY: Final = Decimal(10) ** 20

T = TypeVar("T", Trade, Limit, Order)


@dataclass(frozen=True, slots=True)
class Account:
    """What the venue said about one account, raw units, each row once."""

    trader: str
    observed_ms: int
    trades: tuple[Trade, ...]
    limits: tuple[Limit, ...]
    ended: tuple[Limit, ...]
    pending: tuple[Order, ...]
    settled: tuple[Order, ...]  # oldest first, with the earlier orders of the trades they closed
    pairs: dict[str, Pair]
    ticks: dict[str, Tick]  # by instrument
    balance: Decimal | None  # USDC in the wallet
    block: int | None


def read(payload: Payload) -> Account:
    """Raises Broken with part and field path for whatever is not as documented."""
    parts = payload.parts
    main = decode("account", _part(parts, "account"), schemas.account_reply).data
    trades, limits, pending, settled = [main.trades], [main.limits], [main.pending], [main.settled]
    for name in sorted(parts, key=_page_number):
        kind = name.partition(".")[0]
        if name == "account" or "." not in name:
            continue
        if kind == "trades":
            trades.append(decode(name, parts[name], schemas.trades_reply).data.trades)
        elif kind == "limits":
            limits.append(decode(name, parts[name], schemas.limits_reply).data.limits)
        elif kind in ("pending", "settled"):
            rows = decode(name, parts[name], schemas.orders_reply).data.orders
            (pending if kind == "pending" else settled).append(rows)
    trader = payload.account.lower()
    recent = _unique("settled", settled, trader)
    return Account(
        trader=trader,
        observed_ms=payload.observed_ms,
        trades=_unique("trades", trades, trader),
        limits=_unique("limits", limits, trader),
        ended=_unique("ended", [main.ended], trader),
        pending=_unique("pending", pending, trader),
        settled=_with_chain(recent, parts, trader),
        pairs=_pairs(parts),
        ticks=_ticks(parts),
        balance=_balance(parts),
        block=_block(parts),
    )


def price(amount: int | str | None, path: str) -> Decimal | None:
    """A price in quote currency; None for none (0 at the venue)."""
    value = scaled(amount, PRICE_DECIMALS) if amount is not None else Decimal(0)
    if value >= HIGHEST_PRICE:
        raise Broken(path, "a price scaled by 1e18", str(amount))
    return value or None


def usdc(amount: int | str | None) -> Decimal:
    """USDC of an amount scaled by 1e6; 0 when the venue says nothing."""
    return scaled(amount, USDC_DECIMALS) if amount is not None else Decimal(0)


def quantity(row: Trade | Limit | Order, at_price: Decimal | None) -> Decimal | None:
    """Unsigned base units; from collateral, leverage and price where the row names none; None: unknown."""
    if row.trade_notional is not None and int(row.trade_notional) > 0:
        return scaled(row.trade_notional, PRICE_DECIMALS)
    if row.collateral is None or row.leverage is None or at_price is None:
        return None
    size = usdc(row.collateral) * scaled(row.leverage, HUNDREDTHS) / at_price
    if size >= HIGHEST_QUANTITY:
        raise Broken("collateral", "USDC scaled by 1e6", str(row.collateral))
    return size.quantize(Decimal(1).scaleb(-PRICE_DECIMALS)) or None


def instrument(pair: PairRef) -> str:
    """``BTC-USD``, by the subgraph's names."""
    return symbols.instrument(symbols.original(pair.base), pair.quote)


def milliseconds(seconds: int | str) -> int:
    """The venue's times are whole seconds."""
    return int(seconds) * 1000


def settled_ms(order: Order) -> int:
    """When the order was settled, ms."""
    return milliseconds(order.executed_at if order.executed_at is not None else order.initiated_at)


def order_rank(order: Order) -> tuple[int, int, str]:
    """Sorts orders by time; order ids grow, which decides inside a second."""
    number = int(order.id) if order.id.isascii() and order.id.isdigit() else 0
    return settled_ms(order), number, order.id


def _part(parts: dict[str, bytes], name: str) -> bytes:
    if name not in parts:
        raise Broken(name, "a part of the payload", "nothing")
    return parts[name]


def _page_number(name: str) -> tuple[str, int]:
    kind, _, number = name.partition(".")
    return kind, int(number) if number.isascii() and number.isdigit() else 0


def _unique(part: str, pages: Iterable[list[T]], trader: str) -> tuple[T, ...]:
    """The rows of all pages, the first of equals; another trader's row is drift."""
    rows: dict[str, T] = {}
    for row in (row for page in pages for row in page):
        if row.trader.lower() != trader:
            raise Broken(f"{part}[].trader", trader, row.trader)
        rows.setdefault(row.trade_id if isinstance(row, Trade) else row.id, row)
    return tuple(rows.values())


def _with_chain(recent: tuple[Order, ...], parts: dict[str, bytes], trader: str) -> tuple[Order, ...]:
    """Adds the earlier orders of closed trades. What a chain lists beyond the recent orders' own window
    was settled after the account was read, and belongs to the next payload."""
    rows = {order.id: order for order in recent}
    if recent:
        oldest = min(settled_ms(order) for order in recent)
        chains = [
            decode(name, parts[name], schemas.orders_reply).data.orders
            for name in sorted(parts, key=_page_number)
            if name.startswith("chain.")
        ]
        for order in _unique("chain", chains, trader):
            if not order.is_pending and settled_ms(order) <= oldest:
                rows.setdefault(order.id, order)
    return tuple(sorted(rows.values(), key=order_rank))


def _pairs(parts: dict[str, bytes]) -> dict[str, Pair]:
    return {pair.id: pair for pair in decode("pairs", _part(parts, "pairs"), schemas.pairs_reply).data.pairs}


def _ticks(parts: dict[str, bytes]) -> dict[str, Tick]:
    answer = decode("prices", _part(parts, "prices"), schemas.ticks)
    rows = answer if isinstance(answer, list) else answer.prices
    ticks: dict[str, Tick] = {}
    for index, tick in enumerate(rows):
        for name in ("mid", "bid", "ask"):
            value = getattr(tick, name)
            if value is not None and not (value.is_finite() and 0 <= value < HIGHEST_PRICE):
                raise Broken(f"prices[{index}].{name}", "a price", str(value))
        if tick.mid > 0:  # a closed market may be quoted as 0: that is no price
            ticks[symbols.instrument(symbols.original(tick.base), tick.quote)] = tick
    return ticks


def _rpc(parts: dict[str, bytes], name: str) -> str | None:
    if name not in parts:
        return None
    answer = decode(name, parts[name], schemas.rpc_reply)
    if not answer.result or answer.result == "0x":
        raise Broken(f"{name}.result", "a hex number", str(answer.result))
    return answer.result


def _balance(parts: dict[str, bytes]) -> Decimal | None:
    word = _rpc(parts, "balance")
    if word is not None and len(word) > 66:
        raise Broken("balance.result", "one 32-byte word", f"{len(word)} characters")
    return None if word is None else usdc(int(word, 16))


def _block(parts: dict[str, bytes]) -> int | None:
    word = _rpc(parts, "block")
    if word is not None and len(word) > 18:
        raise Broken("block.result", "a block number", f"{len(word)} characters")
    return None if word is None else int(word, 16)
