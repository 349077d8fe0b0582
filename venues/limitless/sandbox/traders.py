"""What the sandbox's traders do: one small decision every few hours (the past) or seconds (live).

Invariant: a decision depends only on the seed, the account, its number and the state, so that the same
story is told on every run. A trader keeps at least one position that stays open beyond its next decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from venues.limitless.sandbox import tokens, trading
from venues.limitless.sandbox.accounts import Account, Key
from venues.limitless.sandbox.book import LOT, touch
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import MILLI, MINUTE_MS, Market
from venues.limitless.sandbox.trading import Fate, Kind
from venues.world import HOUR_MS, draw, slots

PAST_S: Final = 6 * 3600.0
LIVE_S: Final = 15.0
CORE_LEFT_MS: Final = 12 * HOUR_MS  # longer than any gap between two decisions of the past
LOW_CASH: Final = 1_000_000_000
TOP_UP: Final = 5_000_000_000
MAX_POSITIONS: Final = 8
MAX_RESTING: Final = 4
FOR_EVER: Final = 10**15


def start(engine: Engine) -> None:
    """Let every account act at its times, for ever."""
    for account in engine.accounts:
        name = f"limitless/{account.number}"
        times = slots(engine.seed, name, engine.origin_ms, FOR_EVER, past_s=PAST_S, live_s=LIVE_S)
        _next_turn(engine, account, times)


def _next_turn(engine: Engine, account: Account, times: Iterator[int]) -> None:
    def act(at_ms: int) -> None:
        Turn(engine, account, at_ms).play()
        _next_turn(engine, account, times)

    engine.at(next(times), act)


class Turn:
    """One decision of one account."""

    def __init__(self, engine: Engine, account: Account, at_ms: int) -> None:
        self._engine, self._account, self._at_ms = engine, account, at_ms
        self._number = account.acts
        account.acts += 1

    def play(self) -> None:
        """Fill what the market reached, then do one thing."""
        account = self._account
        trading.fill_crossed(self._engine, account, self._at_ms)
        if account.cash < LOW_CASH:
            account.cash += TOP_UP
        if not self._core():
            self._buy(self._choose(CORE_LEFT_MS), fate="mined")
            return
        roll = self._roll("what")
        for share, action in self._menu():
            roll -= share
            if roll < 0 and action():
                return
        if not self._open():
            self._close()

    def _menu(self) -> tuple[tuple[float, Callable[[], bool]], ...]:
        return (
            (0.16, self._open),
            (0.10, self._add),
            (0.12, self._reduce),
            (0.16, self._close),
            (0.06, self._reverse),
            (0.05, self._hedge),
            (0.05, self._merge),
            (0.03, self._split),
            (0.04, self._convert),
            (0.12, self._rest),
            (0.05, self._cancel),
            (0.06, self._amm),
        )

    # --- the menu: each returns whether it found something to do ------------------------------------

    def _open(self) -> bool:
        return not self._is_crowded() and self._buy(self._choose(10 * MINUTE_MS), fate=self._fate())

    def _add(self) -> bool:
        key = self._pick(self._held(clob=True))
        return key is not None and self._buy(key, fate=self._fate())

    def _reduce(self) -> bool:
        key = self._pick(self._held(clob=True))
        return key is not None and self._sell(key, self._account.free_shares(key) // 2)

    def _close(self) -> bool:
        key = self._pick([key for key in self._held() if self._is_spare(key)])
        if key is None:
            return False
        market = self._account.markets[key[0]]
        if market.is_amm:
            shares = self._account.stakes[key].shares
            tokens.amm(self._engine, self._account, market, key[1], shares, self._at_ms, is_buy=False)
            return True
        return self._sell(key, self._account.free_shares(key))

    def _reverse(self) -> bool:
        """Out of one outcome and into the other."""
        key = self._pick(self._held(clob=True))
        other = None if key is None else (key[0], 1 - key[1])
        if key is None or other is None or not self._is_free(other):
            return False
        return self._sell(key, self._account.free_shares(key)) and self._buy(other, fate="mined")

    def _hedge(self) -> bool:
        key = self._pick(self._held(clob=True))
        if key is None or self._is_crowded() or not self._is_free((key[0], 1 - key[1])):
            return False
        return self._buy((key[0], 1 - key[1]))

    def _merge(self) -> bool:
        account = self._account
        hedged = [key for key in self._held(clob=True) if key[1] == 0 and self._is_free((key[0], 1))]
        for slug, _ in hedged:
            pairs = min(account.free_shares((slug, 0)), account.free_shares((slug, 1)))
            if pairs > LOT and (self._is_spare((slug, 0)) or self._is_spare((slug, 1))):
                tokens.merge(self._engine, account, account.markets[slug], pairs, self._at_ms)
                return True
        return False

    def _split(self) -> bool:
        key = self._choose(HOUR_MS)
        market = None if key is None else self._market(key[0])
        if key is None or market is None or self._is_crowded() or not self._is_free((key[0], 1 - key[1])):
            return False
        tokens.split(self._engine, self._account, market, self._usd() // 4, self._at_ms)
        return True

    def _convert(self) -> bool:
        for key in self._held(clob=True):
            market = self._account.markets[key[0]]
            if market.group is not None and key[1] == 1 and self._is_spare(key):
                shares = self._account.free_shares(key) // 2 // LOT * LOT
                if shares:
                    tokens.convert(self._engine, self._account, market, shares, self._at_ms)
                return bool(shares)
        return False

    def _rest(self) -> bool:
        """A bid some ticks below the market, or an ask above it for something held."""
        account, held = self._account, self._pick(self._held(clob=True))
        if len(account.live) >= MAX_RESTING:
            return False
        is_buy = held is None or self._roll("rest") < 0.6
        key = self._choose(HOUR_MS) if is_buy else held
        market = None if key is None else self._market(key[0])
        if key is None or market is None:
            return False
        bid, ask = touch(self._engine.universe, market, key[1], self._at_ms)
        if bid is None or ask is None:
            return False
        away = 1 + int(12 * self._roll("away"))
        price = bid - away if is_buy else ask + away
        shares = self._usd() * MILLI // max(price, 1) if is_buy else account.free_shares(key) // 2
        order = trading.rest(self._engine, account, market, key[1], shares, price, self._at_ms, is_buy=is_buy)
        return order is not None

    def _cancel(self) -> bool:
        resting = list(self._account.live.values())
        if not resting:
            return False
        order = resting[int(self._roll("cancel") * len(resting))]
        trading.cancel(self._engine, self._account, order, self._at_ms)
        return True

    def _amm(self) -> bool:
        pools = [m for m in self._engine.universe.tradeable(self._at_ms, min_left_ms=HOUR_MS) if m.is_amm]
        if not pools or self._is_crowded():
            return False
        market = pools[int(self._roll("pool") * len(pools))]
        outcome = int(self._roll("side") < 0.5)
        tokens.amm(self._engine, self._account, market, outcome, self._usd(), self._at_ms, is_buy=True)
        return True

    # --- helpers ----------------------------------------------------------------------------------

    def _roll(self, name: str) -> float:
        return draw(self._engine.seed, "limitless", self._account.number, self._number, name)

    def _usd(self) -> int:
        """What to spend: 20 to 150 USDC."""
        return 20_000_000 + int(130_000_000 * self._roll("usd"))

    def _fate(self) -> Fate:
        roll = self._roll("fate")
        return (
            "reverted" if roll < 0.05 else "failed" if roll < 0.09 else "retried" if roll < 0.2 else "mined"
        )

    def _held(self, *, clob: bool = False) -> list[Key]:
        """Outcomes that can be traded now: held, open for a minute more, nothing of them unsettled."""
        keys = self._engine.open_keys(self._account, self._at_ms, min_left_ms=MINUTE_MS)
        return [k for k in keys if self._is_free(k) and not (clob and self._account.markets[k[0]].is_amm)]

    def _is_crowded(self) -> bool:
        return len(self._held()) >= MAX_POSITIONS

    def _is_free(self, key: Key) -> bool:
        return key not in self._account.busy

    def _core(self) -> list[Key]:
        """Positions that stay open until the next decision, whatever fails meanwhile."""
        return self._engine.open_keys(self._account, self._at_ms, min_left_ms=CORE_LEFT_MS)

    def _is_spare(self, key: Key) -> bool:
        return any(other != key and self._is_free(other) for other in self._core())

    def _pick(self, keys: list[Key]) -> Key | None:
        return keys[int(self._roll("which") * len(keys))] if keys else None

    def _market(self, slug: str) -> Market | None:
        found = self._engine.universe.find(slug)
        return found[0] if len(found) == 1 else None

    def _choose(self, min_left_ms: int) -> Key | None:
        """An order-book market and a side that is neither nearly certain nor nearly lost."""
        markets = self._engine.universe.tradeable(self._at_ms, min_left_ms=min_left_ms)
        keys = [
            (market.slug, outcome)
            for market in markets
            for outcome in (0, 1)
            if not market.is_amm and self._is_free((market.slug, outcome)) and self._is_fair(market, outcome)
        ]
        return keys[int(self._roll("choose") * len(keys))] if keys else None

    def _is_fair(self, market: Market, outcome: int) -> bool:
        yes = self._engine.universe.yes(market, self._at_ms)
        return 100 <= (MILLI - yes if outcome else yes) <= 900

    def _buy(self, key: Key | None, *, fate: Fate = "mined") -> bool:
        market = None if key is None else self._market(key[0])
        if key is None or market is None:
            return False
        ask = touch(self._engine.universe, market, key[1], self._at_ms)[1]
        if ask is None or not self._is_fair(market, key[1]):
            return False
        kind: Kind = "FOK" if self._roll("kind") < 0.3 else "FAK"
        order = trading.take(
            self._engine,
            self._account,
            market,
            key[1],
            self._usd() * MILLI // ask,
            self._at_ms,
            is_buy=True,
            kind=kind,
            fate=fate,
        )
        return order is not None

    def _sell(self, key: Key, shares: int) -> bool:
        if shares <= LOT or not self._is_spare(key):
            return False
        market = self._account.markets[key[0]]
        order = trading.take(
            self._engine, self._account, market, key[1], shares, self._at_ms, is_buy=False, fate=self._fate()
        )
        return order is not None
