"""Routes that need no session: the system, contracts, prices, statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from venues.ithaca.exchange import statistics, views_market
from venues.ithaca.exchange.failure import Failure, malformed
from venues.ithaca.exchange.wire import Call, NoContent, Route


def system_info(call: Call) -> Any:
    return views_market.system_info()


def next_auction(call: Call) -> Any:
    engine = next(iter(call.world.engines.values()))
    return engine.auction_ms(call.now_ms)


def contract_list(call: Call) -> Any:
    return views_market.contracts(call.world.market.contracts(call.now_ms), call.now_ms)


def contract_list_by_ids(call: Call) -> Any:
    ids = call.field("ids", list)
    if not all(isinstance(one, int) for one in ids):
        malformed("ids: expected numbers")
    return views_market.contracts((call.world.market.listing(one) for one in ids), call.now_ms)


def historical_contracts(call: Call) -> Any:
    return views_market.historical_contracts(call.world.market, call.field("expiry", int), call.now_ms)


def reference_prices(call: Call) -> Any:
    pair, expiry = call.field("currencyPair", str), call.field("expiry", int, optional=True)
    return views_market.reference_prices(call.world.market, pair, expiry or 0, call.now_ms)


def spot_prices(call: Call) -> Any:
    return views_market.spot_prices(call.world.market, call.now_ms)


def best_bid_ask(call: Call) -> Any:
    return views_market.best_bid_ask(call.world.market, call.now_ms)


def best_bid_ask_precise(call: Call) -> Any:
    return views_market.best_bid_ask_precise(call.world.market, call.now_ms)


ROUTES: Final[dict[str, Route]] = {
    "POST /clientapi/systemInfo": system_info,
    "POST /clientapi/nextAuction": next_auction,
    "POST /clientapi/contractList": contract_list,
    "POST /clientapi/contractListByIds": contract_list_by_ids,
    "POST /clientapi/historicalContracts": historical_contracts,
    "POST /clientapi/referencePrices": reference_prices,
    "POST /clientapi/spotPrices": spot_prices,
    "POST /clientapi/bestBidAsk": best_bid_ask,
    "POST /clientapi/bestBidAskPrecise": best_bid_ask_precise,
}


def _statistic(compute: Callable[..., Any]) -> Route:
    def route(call: Call) -> Any:
        pair = statistics.pair_of(call.path["underlier"], call.path["numeraire"])
        if pair is None:
            raise Failure(404, "NOT_FOUND", "no such pair")
        try:
            result = compute(call.world, pair, call.body)
        except (ValueError, KeyError, TypeError) as error:
            malformed(f"unreadable range: {error}")
        if result is None:
            raise NoContent
        return {"response": result}

    return route


STATISTICS: Final[dict[str, Route]] = {
    **{
        f"GET /analytics/{{underlier}}/{{numeraire}}/{name}": _statistic(compute)
        for name, compute in statistics.GET.items()
    },
    **{
        f"POST /analytics/{{underlier}}/{{numeraire}}/{name}": _statistic(compute)
        for name, compute in statistics.POST.items()
    },
}
