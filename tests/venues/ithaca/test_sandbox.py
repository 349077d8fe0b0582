"""The sandbox's exchange: it tells one story, and its books always add up."""

from __future__ import annotations

import json
import stat
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_utils.crypto import keccak

from runtime.clock import FakeClock
from tests.venues.ithaca.exchange import EIGHT_MS, NOON_MS, Setup, running
from venues.ithaca import signing
from venues.ithaca.exchange import collateral, views, views_market
from venues.ithaca.exchange.engine import CANCELLED_BY_USER
from venues.ithaca.exchange.ledger import Account, Leg, Order
from venues.ithaca.exchange.market import PAIRS, Listing, Market, expiry_ms_of, expiry_number
from venues.ithaca.exchange.world import World
from venues.ithaca.sandbox import IthacaSandbox
from venues.world import DAY_MS, HISTORY_DAYS

ORIGIN_MS = NOON_MS - HISTORY_DAYS * DAY_MS
HOUR_MS = 3_600_000
D = Decimal


def story(world: World) -> list[Any]:
    """Everything an account can see of itself, for all accounts."""
    return [
        [
            views.orders(account, account.done, world.now_ms),
            views.orders(account, account.live.values(), world.now_ms),
            views.positions(account, views.SHOW_ORDERS, world.now_ms),
            views.historical_between(account, 0, world.now_ms, world.now_ms),
            views.fund_lock_state(account),
        ]
        for account in world.accounts
    ]


def sums(account: Account) -> dict[int, Decimal]:
    """Net quantities by contract from all fills less what was settled."""
    net: dict[int, Decimal] = {}
    for order in account.by_id.values():
        for leg in order.legs:
            if leg.listing.payoff != "Spot":
                net[leg.listing.id] = net.get(leg.listing.id, D(0)) + leg.sign * leg.filled
    for settled in account.history.values():
        for listing, quantity, _ in settled.positions:
            net[listing.id] -= quantity
    return {number: quantity for number, quantity in net.items() if quantity}


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_the_same_seed_tells_the_same_story_however_it_is_advanced(seed: int) -> None:
    """Once in one go, once in uneven steps, to the middle of live trading."""
    whole, steps = World(seed, 2, ORIGIN_MS), World(seed, 2, ORIGIN_MS)
    end_ms, at_ms, count = NOON_MS + HOUR_MS // 6, ORIGIN_MS, 0
    whole.advance(end_ms)
    while at_ms < end_ms:
        count += 1
        at_ms = min(end_ms, at_ms + (7_777_777 if at_ms < NOON_MS - DAY_MS // 3 else 1_237 + 41 * count))
        steps.advance(at_ms)
    assert story(whole) == story(steps)


def test_other_seeds_tell_other_stories() -> None:
    worlds = [World(seed, 1, ORIGIN_MS) for seed in (1, 2)]
    for world in worlds:
        world.advance(NOON_MS)
    assert story(worlds[0]) != story(worlds[1])


def test_three_weeks_are_caught_up_in_less_than_a_second() -> None:
    world = World(7, 3, ORIGIN_MS)
    started = time.perf_counter()
    world.advance(NOON_MS)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize("seed", range(6))
def test_books_add_up_at_every_moment(seed: int) -> None:
    """Fills less settlements are the positions; nobody is ever without a position, or with too many."""
    world = World(seed, 2, ORIGIN_MS)
    for hours in range(48, HISTORY_DAYS * 24, 5):
        world.advance(ORIGIN_MS + hours * HOUR_MS)
        for account in world.accounts:
            assert sums(account) == {one.listing.id: one.quantity for one in account.positions.values()}
            assert 1 <= len(account.positions) <= 12
    for second in range(0, 1200, 7):
        world.advance(NOON_MS + 1000 * second)
        for account in world.accounts:
            assert sums(account) == {one.listing.id: one.quantity for one in account.positions.values()}


def test_money_is_what_was_deposited_and_what_trading_brought() -> None:
    """Deposits, premiums, fees and payoffs explain every balance to the last digit."""
    world = World(7, 2, ORIGIN_MS)
    world.advance(NOON_MS)
    for account in world.accounts:
        expected: Counter[str] = Counter()
        for _, currency, amount in account.deposits:
            expected[currency] += amount  # type: ignore[assignment]
        for order in account.by_id.values():
            for leg in order.legs:
                expected["USDC"] -= leg.sign * leg.cost  # type: ignore[assignment]
                if leg.listing.payoff == "Spot":
                    expected[leg.listing.pair.coin] += leg.sign * leg.filled  # type: ignore[assignment]
        for settled in account.history.values():
            for listing, quantity, _ in settled.positions:
                expected["USDC"] += quantity * listing.pays(settled.prices[listing.pair.name])  # type: ignore[assignment]
        expected["USDC"] -= sum(account.fees.values())  # type: ignore[assignment]
        found = {name: fund.deposited + fund.pending for name, fund in account.funds.items()}
        for currency, amount in found.items():
            difference = amount - expected[currency]
            assert abs(difference) <= (spot_fees(account) if currency == "USDC" else 0)


def spot_fees(account: Account) -> Decimal:
    """Next-auction trades are charged too, but belong to no expiry."""
    spent = [
        leg.cost for order in account.by_id.values() for leg in order.legs if leg.listing.payoff == "Spot"
    ]
    return sum(spent, D(0)) * D("0.0001") + len(spent) * D("0.0001")


def test_every_kind_of_thing_happens() -> None:
    """Over a few seeds: every payoff, strategies, negative prices, partial fills, every way to end."""
    payoffs: set[str] = set()
    statuses: set[str | None] = set()
    seen: set[str] = set()
    for seed in range(4):
        world = World(seed, 3, ORIGIN_MS)
        world.advance(NOON_MS + HOUR_MS)
        for account in world.accounts:
            for order in account.done:
                payoffs |= {leg.listing.payoff for leg in order.legs}
                statuses |= {order.status, order.reason}
                seen.add(f"{len(order.legs)} legs")
                if any(leg.last_price is not None and leg.last_price < 0 for leg in order.legs):
                    seen.add("negative price")
                if any(leg.last is not None and leg.last < leg.filled for leg in order.legs):
                    seen.add("partial fills")
                if order.status == "CANCELED" and any(leg.filled for leg in order.legs):
                    seen.add("cancelled rest")
    assert payoffs == {"Call", "Put", "BinaryCall", "BinaryPut", "Forward", "Spot"}
    assert statuses >= {"FILLED", "CANCELED", CANCELLED_BY_USER, "TIME_IN_FORCE_EXPIRED"}
    assert seen >= {"1 legs", "2 legs", "3 legs", "negative price", "partial fills"}


def test_positions_were_closed_more_than_a_day_ago() -> None:
    """Every tier has closed positions to show from the first minute."""
    world = World(7, 3, ORIGIN_MS)
    world.advance(NOON_MS)
    for account in world.accounts:
        old = [order for order in account.done if order.rev_ms < NOON_MS - DAY_MS]
        traded = {leg.listing.id for order in old for leg in order.legs if leg.filled}
        assert len(traded - account.positions.keys()) >= 5


def test_legs_fill_in_the_same_proportion() -> None:
    world = World(3, 3, ORIGIN_MS)
    for second in range(0, 900, 5):
        world.advance(NOON_MS + 1000 * second)
        for account in world.accounts:
            for order in account.live.values():
                shares = [leg.filled / leg.original for leg in order.legs]
                assert max(shares) - min(shares) < D("0.001")


def market() -> Market:
    return Market(7)


def test_contract_ids_say_what_a_contract_is() -> None:
    """Ids are found again without being stored, and no two contracts share one."""
    one = market()
    listed = one.contracts(NOON_MS)
    assert len({listing.id for listing in listed}) == len(listed)
    again = market()
    assert all(again.listing(listing.id) == listing for listing in listed)
    assert again.listing(99) is None
    assert again.listing(10**9) is None


def test_expiries_are_daily_and_fridays_further_out() -> None:
    expiries = market().expiries(NOON_MS)
    assert expiries[0] == EIGHT_MS
    assert len(expiries) >= 6
    assert expiry_ms_of(expiry_number(EIGHT_MS)) == EIGHT_MS
    assert expiry_ms_of(250207080) == 1738915200000
    assert expiry_ms_of(250207081) is None
    assert expiry_ms_of(999999080) is None


def test_values_are_free_of_easy_arbitrage() -> None:
    """Call less put is the forward; binaries of one strike are worth one together; bids are below asks."""
    one = market()
    for expiry_ms in one.expiries(NOON_MS):
        by_kind = {(c.pair.name, c.payoff, c.strike): c for c in one.contracts_of(expiry_ms)}
        for (pair, payoff, strike), call in by_kind.items():
            quote = one.quote(call, NOON_MS)
            assert quote.bid is None or quote.bid < quote.ask
            if payoff != "Call" or strike is None:
                continue
            put = by_kind[pair, "Put", strike]
            forward = one.forward(call.pair, expiry_ms, NOON_MS)
            assert abs(one.value(call, NOON_MS) - one.value(put, NOON_MS) - (forward - float(strike))) < 1e-6
            up, down = by_kind[pair, "BinaryCall", strike], by_kind[pair, "BinaryPut", strike]
            assert abs(one.value(up, NOON_MS) + one.value(down, NOON_MS) - 1) < 1e-9


def listing(payoff: str, strike: int | None = None) -> Listing:
    return Listing(1, payoff, PAIRS[0], EIGHT_MS, None if strike is None else D(strike))


@pytest.mark.parametrize(
    ("holdings", "underlier", "numeraire"),
    [
        ([("Call", 3600, "-0.0007")], "0.0007", "0"),
        ([("Put", 3000, "-0.0008")], "0", "2.4"),
        ([("BinaryCall", 3600, "-5")], "0", "5"),
        ([("Call", 3600, "1")], "0", "0"),
        ([("Call", 3600, "-1"), ("Call", 3500, "1")], "0", "0"),
        ([("Call", 3500, "-1"), ("Call", 3600, "1")], "0", "100"),
        ([("Put", 3000, "1"), ("Put", 3200, "-1")], "0", "200"),
    ],
)
def test_collateral_of_the_documented_cases(
    holdings: list[tuple[str, int, str]], underlier: str, numeraire: str
) -> None:
    """A sold call locks the coin, a sold put its strike, a sold binary its payout, a spread its width."""
    lock = collateral.lock_of([(listing(kind, strike), D(quantity)) for kind, strike, quantity in holdings])
    assert lock == (D(underlier), D(numeraire))


def placed(world: World, legs: list[Leg], net: str, number: int = 1, **options: Any) -> Order:
    order = Order(
        id=number,
        legs=legs,
        net_price=D(net),
        created_ms=world.now_ms,
        spot=world.market.spot(PAIRS[0], world.now_ms),
        **options,
    )
    world.engines[world.accounts[0].address].place(order)
    return order


def test_an_order_from_outside_is_matched_like_any_other() -> None:
    """The engine's door for clients: fill within the limit, wait beyond it, cancel on request."""
    world = World(7, 1, ORIGIN_MS)
    world.advance(NOON_MS)
    call = next(c for c in world.market.contracts_of(EIGHT_MS + 7 * DAY_MS) if c.payoff == "Call")
    ask = world.market.quote(call, NOON_MS).ask
    generous = placed(world, [Leg(call, 1, D("0.5"))], str(ask))
    stingy = placed(world, [Leg(call, 1, D("0.5"))], "0.01", number=2)
    once = placed(world, [Leg(call, 1, D("0.5"))], "0.01", number=3, time_in_force="IMMEDIATE_OR_CANCEL")
    world.advance(NOON_MS + 30_000)
    assert generous.status == "FILLED"
    assert generous.legs[0].cost <= generous.net_price
    assert stingy.status == "NEW"
    assert (once.status, once.legs[0].cancelled) == ("CANCELED", D("0.5"))
    world.engines[world.accounts[0].address].cancel(stingy, world.now_ms)
    assert (stingy.status, stingy.reason) == ("CANCELED", CANCELLED_BY_USER)


def test_orders_in_an_expiring_contract_end_with_it() -> None:
    world = World(7, 1, ORIGIN_MS)
    world.advance(EIGHT_MS - 60_000)
    call = next(c for c in world.market.contracts_of(EIGHT_MS) if c.payoff == "Call")
    resting = placed(world, [Leg(call, -1, D("0.5"))], "-99999")
    world.advance(EIGHT_MS + 1_000)
    assert (resting.status, resting.reason) == ("CANCELED", "CONTRACT_EXPIRED")


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """Each account's key file opens the account it is named after; writing it again is no problem."""
    sandbox = IthacaSandbox(seed=1, accounts=2, origin_ms=ORIGIN_MS, clock=FakeClock(ORIGIN_MS))
    sandbox.settings("http://127.0.0.1:1", tmp_path)
    settings = sandbox.settings("http://127.0.0.1:1", tmp_path)
    assert settings.urls["ws"] == ["ws://127.0.0.1:1/wss"]
    for account in settings.accounts:
        path = Path(account.secrets["private_key"].removeprefix("file:"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert signing.address_of(path.read_text().strip()).lower() == account.account


def test_some_contracts_lack_bids_and_some_lack_all_prices() -> None:
    one = market()
    precise = views_market.best_bid_ask_precise(one, NOON_MS)
    reference = {
        row["contractId"]
        for pair in PAIRS
        for row in views_market.reference_prices(one, pair.name, 0, NOON_MS)
    }
    every = {c.id for c in one.contracts(NOON_MS)}
    assert reference < every
    assert {int(number) for number in precise} < every
    assert any("bestBid" not in row for row in precise.values())


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(tmp_path_factory.mktemp("secrets")) as ready:
        yield ready


def post(setup: Setup, path: str, body: Any = None, cookie: str | None = None) -> requests.Response:
    headers = {} if cookie is None else {"Cookie": f"SESSION={cookie}"}
    return requests.post(f"{setup.url}/api/v1{path}", json=body, headers=headers, timeout=10)


def logged_in(setup: Setup, index: int = 0) -> str:
    account = setup.sandbox.world.accounts[index]
    nonce = post(setup, "/auth/requestAuth", {"ethAddress": account.address}).json()["nonce"]
    signature = signing.sign(account.private_key, signing.login_message(nonce))
    answer = post(setup, "/auth/validateAuth", {"nonce": nonce, "signature": signature})
    return str(answer.cookies["SESSION"])


def test_a_nonce_is_good_for_one_login_by_its_own_address(setup: Setup) -> None:
    first, second = setup.sandbox.world.accounts[:2]

    def challenge() -> str:
        return str(post(setup, "/auth/requestAuth", {"ethAddress": first.address}).json()["nonce"])

    def answer(nonce: str, key: str) -> requests.Response:
        signature = signing.sign(key, signing.login_message(nonce))
        return post(setup, "/auth/validateAuth", {"nonce": nonce, "signature": signature})

    nonce = challenge()
    assert answer(nonce, first.private_key).status_code == 200
    again = answer(nonce, first.private_key)
    assert (again.status_code, again.json()["result"]) == (401, "INVALID_NONCE")
    foreign = answer(challenge(), second.private_key)
    assert (foreign.status_code, foreign.json()["result"]) == (401, "INVALID_SIGNATURE")
    old = challenge()
    setup.clock.advance(301)
    assert answer(old, first.private_key).json()["result"] == "INVALID_NONCE"


@pytest.mark.parametrize(
    "path", ["clientOpenOrders", "clientCurrentPositions", "orderbook", "estimateOrderFees"]
)
def test_private_routes_need_a_session(setup: Setup, path: str) -> None:
    for cookie in (None, "made-up"):
        answer = post(setup, f"/clientapi/{path}", {}, cookie)
        assert answer.status_code == 401
        assert answer.json()["result"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("path", "body", "status", "result"),
    [
        ("/clientapi/orderStatus", {"clientOrderId": 5}, 412, "INVALID_ORDER_ID"),
        ("/clientapi/orderStatus", {"clientOrderId": "5"}, 400, "INVALID_REQUEST_DATA"),
        ("/clientapi/clientCurrentPositions", {"filter": "ALL"}, 400, "INVALID_REQUEST_DATA"),
        ("/clientapi/tradeHistory", {"limit": 1001}, 400, "INVALID_REQUEST_DATA"),
        ("/clientapi/estimateOrderLock", {"legs": []}, 412, "INVALID_ORDER_LEGS"),
        ("/clientapi/estimateOrderLock", {"legs": [{"contractId": 5}]}, 412, "INVALID_CONTRACT_ID"),
        ("/clientapi/calcPortfolioCollateral?currencyPair=X", None, 400, "INVALID_REQUEST_DATA"),
        ("/auth/switch", {"addr": "0x" + "0" * 40}, 412, "INVALID_ACCOUNT"),
        ("/keys/confirmLinkRsaKey", {"nonce": "n", "signature": "s"}, 401, "INVALID_NONCE"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    setup: Setup, path: str, body: Any, status: int, result: str
) -> None:
    answer = post(setup, path, body, logged_in(setup))
    assert (answer.status_code, answer.json()["result"]) == (status, result)


def test_bodies_that_are_no_json_are_malformed(setup: Setup) -> None:
    answer = requests.post(f"{setup.url}/api/v1/clientapi/contractList", data=b"{", timeout=10)
    assert answer.status_code == 400


def test_only_the_market_maker_sees_the_book(setup: Setup) -> None:
    assert post(setup, "/clientapi/orderbook", None, logged_in(setup, 0)).status_code == 200
    assert post(setup, "/clientapi/orderbook", None, logged_in(setup, 1)).status_code == 412


def test_history_of_trades_is_filtered_and_paged(setup: Setup) -> None:
    """Newest first; pages join without hole or repeat; period and status are honoured."""
    cookie = logged_in(setup)

    def ask(**body: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = post(setup, "/clientapi/tradeHistory", body, cookie).json()["payload"]
        return rows

    every = ask(limit=1000)
    paged = [row for offset in range(0, len(every) + 7, 7) for row in ask(offset=offset, limit=7)]
    assert [row["orderId"] for row in paged] == [row["orderId"] for row in every]
    stamps = [row["revDate"] for row in every]
    assert stamps == sorted(stamps, reverse=True)
    middle = stamps[len(stamps) // 2]
    assert all(row["revDate"] >= middle for row in ask(**{"from": middle}))
    assert all(row["revDate"] <= middle for row in ask(to=middle))
    assert {row["orderStatus"] for row in ask(status="CANCELED")} == {"CANCELED"}


def test_an_rsa_key_is_linked_by_both_signatures(setup: Setup) -> None:
    """Link, read, refuse a second one, log in by it, unlink."""
    from tests.venues.ithaca.test_signing import VECTORS, rsa_pem

    account, cookie = setup.sandbox.world.accounts[2], logged_in(setup, 2)
    key = VECTORS["rsa_login"]["rsa_public_key_der_b64"]
    nonce = post(setup, "/keys/requestLinkRsaKey", {"rsaPublicKey": key}, cookie).json()["payload"]
    message = signing.login_message(nonce)
    body = {
        "nonce": nonce,
        "rsaSignature": signing.sign_rsa(rsa_pem(), message),
        "signature": signing.sign(account.private_key, message),
    }
    assert post(setup, "/keys/confirmLinkRsaKey", body, cookie).status_code == 200
    headers = {"Cookie": f"SESSION={cookie}"}
    shown = requests.get(f"{setup.url}/api/v1/keys/getRsaKey", headers=headers, timeout=10).json()
    assert shown["payload"] == key
    assert post(setup, "/keys/requestLinkRsaKey", {"rsaPublicKey": key}, cookie).status_code == 412
    nonce = post(setup, "/auth/requestAuth", {"ethAddress": account.address}).json()["nonce"]
    signature = signing.sign_rsa(rsa_pem(), signing.login_message(nonce))
    login = post(setup, "/auth/validateAuth", {"nonce": nonce, "signature": signature})
    assert login.json()["payload"]["ethAddress"] == account.address
    assert post(setup, "/keys/unlink", None, cookie).status_code == 200


def test_wallets_are_linked_acted_for_and_unlinked(setup: Setup) -> None:
    owner, wallet = setup.sandbox.world.accounts[1], setup.sandbox.world.accounts[2].address
    cookie = logged_in(setup, 1)
    nonce = post(setup, "/linked_wallets/request_link", {"addr": wallet}, cookie).json()["payload"]
    signature = signing.sign(owner.private_key, signing.login_message(nonce))
    assert post(setup, "/linked_wallets/confirm_link", {"nonce": nonce, "signature": signature}, cookie).ok
    switched = post(setup, "/auth/switch", {"addr": wallet}, cookie).json()["payload"]
    assert (switched["ethAddress"], switched["origAddr"]) == (wallet, owner.address)
    assert post(setup, "/auth/switch", {"addr": owner.address}, cookie).ok
    assert post(setup, "/linked_wallets/unlink", {"addr": wallet}, cookie).ok
    assert post(setup, "/auth/switch", {"addr": wallet}, cookie).status_code == 412


def test_statistics_say_no_content_where_there_is_nothing(setup: Setup) -> None:
    path = "/analytics/WETH/USDC/trades"
    span = {"dateRange": {"from": "2001-01-01", "to": "2001-02-01"}}
    assert post(setup, path, span).status_code == 204
    assert post(setup, path, {"dateRange": {"from": "x", "to": "y"}}).status_code == 400
    assert post(setup, "/analytics/DOGE/USDC/trades", span).status_code == 404
    span["dateRange"]["to"] = "2026-01-01"
    counts = post(setup, path, span).json()["response"]
    assert all(day.endswith("T00:00") and count > 0 for day, count in counts.items())


def test_lock_totals_of_open_orders_and_positions(setup: Setup) -> None:
    """Locked collateral is keyed by the expiry's epoch ms and agrees with the portfolio's."""
    cookie = logged_in(setup)
    rows = post(setup, "/clientapi/getLockedCollateral", None, cookie).json()["payload"]
    for key, locks in rows.items():
        assert int(key) % DAY_MS == 8 * HOUR_MS
        assert all(expiry_ms_of(lock["expiry"]) == int(key) for lock in locks)
    total = sum(
        lock["locked"]["numeraireAmount"]
        for locks in rows.values()
        for lock in locks
        if lock["locked"]["currencyPair"] == "WETH/USDC"
    )
    answer = post(setup, "/clientapi/calcPortfolioCollateral?currencyPair=WETH/USDC", None, cookie).json()
    assert abs(answer["payload"]["actual"]["numeraireAmount"] - total) < 0.01


def test_the_node_answers_reads_and_refuses_the_rest(setup: Setup) -> None:
    def rpc(method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return requests.post(f"{setup.url}/rpc", json=body, timeout=10).json()

    account = setup.sandbox.world.accounts[0]
    assert int(rpc("eth_chainId")["result"], 16) == 421614
    data = "0x" + keccak(text="balanceSheet(address,address)")[:4].hex()
    data += "0" * 24 + account.address[2:] + "0" * 24 + views_market.TOKENS["USDC"][2:]
    answer = rpc("eth_call", {"to": views_market.FUND_LOCK_ADDRESS, "data": data}, "latest")
    assert int(answer["result"], 16) == int(account.fund("USDC").deposited * 10**6)
    assert rpc("eth_sendRawTransaction", "0x")["error"]["code"] == -32601
    assert "error" in rpc("eth_call", {"to": "0x", "data": "0x12345678"}, "latest")


def test_the_subgraph_knows_lower_case_addresses_only(setup: Setup) -> None:
    def deposits(address: str) -> Any:
        body = {"query": "...", "variables": {"account": address}}
        return requests.post(f"{setup.url}/subgraph", json=body, timeout=10).json()["data"]["account"]

    account = setup.sandbox.world.accounts[0]
    found = deposits(account.address)["deposits"]
    assert {row["token"] for row in found} == set(views_market.TOKENS.values())
    assert deposits(signing.address_of(account.private_key)) is None


def test_answers_are_written_as_the_venue_writes_them(setup: Setup) -> None:
    """Success has details and a payload; amounts are JSON numbers, some with dust of floats."""
    body = post(setup, "/clientapi/clientCurrentPositions", {"filter": None}, logged_in(setup)).json()
    assert (body["result"], body["details"]) == ("OK", "")
    assert set(body["payload"][0]) == {"contractId", "positionsAvgPrice", "positionsQty"}
    assert all(isinstance(row["positionsQty"], float) for row in body["payload"])
    assert json.dumps(body)
