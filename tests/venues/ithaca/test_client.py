"""The client against the sandbox over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import AccountSettings, VenueSettings
from tests.venues.ithaca.exchange import EIGHT_MS, NOON_MS, Setup, folded, held, running
from tests.venues.ithaca.test_signing import rsa_pem
from venues.errors import Rejected
from venues.ithaca import signing
from venues.ithaca.client import IthacaClient
from venues.ithaca.normalise import normalise
from venues.ithaca.session import cookie_of
from venues.model import Fill, Payload, Snapshot

MINUTE_MS = 60_000


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    with running(tmp_path) as ready:
        yield ready


def payload_of(body: bytes) -> Any:
    return json.loads(body)["payload"]


def test_whole_history_adds_up_to_the_holdings(setup: Setup) -> None:
    """Fills and settlements of three weeks, folded, are exactly what each account holds."""
    for account in setup.accounts:
        snapshot = normalise(setup.client.fetch(account, None))
        assert snapshot.holdings_complete
        assert snapshot.holdings
        assert folded(snapshot.fills) == held(snapshot)
        assert {fill.kind for fill in snapshot.fills} == {"trade", "expiry"}
        assert {holding.instrument for holding in snapshot.holdings} <= {
            mark.instrument for mark in snapshot.marks
        }
        names = {instrument.name for instrument in snapshot.instruments}
        assert {fill.instrument for fill in snapshot.fills} <= names
        assert {order.instrument for order in snapshot.orders} <= names
        assert snapshot.equity_usd is not None
        assert snapshot.equity_usd > 10_000


def test_equity_is_what_the_venue_calls_the_net_asset_value(setup: Setup) -> None:
    """Up to the house's quotes being on other sides of the fair value than their middle."""
    for account in setup.accounts:
        snapshot = normalise(setup.client.fetch(account, None))
        value = payload_of(setup.client.net_asset_value(account))
        assert snapshot.equity_usd is not None
        assert abs(float(snapshot.equity_usd) - value) < 1


def polled(client: IthacaClient, account: AccountSettings, known: dict[str, Fill]) -> Snapshot:
    """One poll as the poller makes it: fills since the newest known, less an overlap."""
    newest = max((fill.time_ms for fill in known.values()), default=None)
    since_ms = None if newest is None else newest - 10 * MINUTE_MS
    snapshot = normalise(client.fetch(account, since_ms))
    for fill in snapshot.fills:
        known.setdefault(fill.fill_id, fill)
    return snapshot


@pytest.mark.parametrize("step_s", [3, 11, 61, 1800])
def test_polling_sees_every_fill_once_whatever_the_pace(setup: Setup, step_s: int) -> None:
    """At every poll the fills known so far fold to the holdings; slow polls miss partial reports."""
    account, known = setup.accounts[0], dict[str, Fill]()
    for _ in range(40 if step_s < 100 else 10):
        snapshot = polled(setup.client, account, known)
        assert folded(known.values()) == held(snapshot)
        setup.clock.advance(step_s)
    assert len(known) > 110


def test_a_new_client_goes_on_where_the_old_one_stopped(setup: Setup) -> None:
    """The trail is lost with the process; fills that are known keep their names."""
    account, known = setup.accounts[1], dict[str, Fill]()
    client = setup.client
    for _ in range(25):
        snapshot = polled(client, account, known)
        assert folded(known.values()) == held(snapshot)
        setup.clock.advance(7)
        client = setup.new_client()


def test_an_expiry_closes_what_was_held(tmp_path: Path) -> None:
    """Polls on both sides of 08:00: the same holdings, gone, each by one closing fill at its payoff."""
    with running(tmp_path, now_ms=EIGHT_MS - 30_000) as setup:
        closed = 0
        for account in setup.accounts:
            known: dict[str, Fill] = {}
            before = polled(setup.client, account, known)
            expiring = {name for name in held(before) if "-251121080-" in name}
            setup.clock.advance(40)
            after = polled(setup.client, account, known)
            setup.clock.advance(-40)
            assert folded(known.values()) == held(after)
            assert not expiring & held(after).keys()
            fresh = [fill for fill in known.values() if fill.kind == "expiry" and fill.time_ms >= EIGHT_MS]
            assert expiring <= {fill.instrument for fill in fresh}
            closed += len(fresh)
        assert closed >= 1


def test_orders_rest_fill_and_are_cancelled(setup: Setup) -> None:
    seen: dict[str, set[str]] = {}
    for _ in range(60):
        snapshot = normalise(setup.client.fetch(setup.accounts[0], setup.clock.now_ms() - 10 * MINUTE_MS))
        for order in snapshot.orders:
            seen.setdefault(order.order_id, set()).add(order.status)
        setup.clock.advance(5)
    assert {"open", "filled"} in seen.values()
    assert {"open", "cancelled"} in seen.values()


def test_long_histories_come_in_pages(setup: Setup) -> None:
    """Six hours of live trading are more than two pages of past orders."""
    setup.clock.advance(6 * 3600)
    payload = setup.client.fetch(setup.accounts[0], None)
    assert {"tradeHistory:0", "tradeHistory:1", "tradeHistory:2"} <= payload.parts.keys()
    snapshot = normalise(payload)
    assert folded(snapshot.fills) == held(snapshot)


def test_sessions_are_renewed_when_the_venue_forgets_them(setup: Setup) -> None:
    account = setup.accounts[0]
    setup.client.fetch(account, None)
    assert setup.sandbox.sessions.logins == 1
    setup.sandbox.sessions.end_all()
    assert normalise(setup.client.fetch(account, NOON_MS)).holdings
    assert setup.sandbox.sessions.logins == 2
    setup.clock.advance(3600)
    setup.client.fetch(account, NOON_MS)
    assert setup.sandbox.sessions.logins == 3


def test_a_venue_that_refuses_every_session_is_rejected_after_one_renewal(setup: Setup) -> None:
    setup.sandbox.sessions.ttl_ms = -1
    with pytest.raises(Rejected) as raised:
        setup.client.fetch(setup.accounts[0], None)
    assert raised.value.status == 401
    assert setup.sandbox.sessions.logins == 2


def test_many_threads_log_in_once(setup: Setup) -> None:
    """Sixteen threads find the session refused at once: one login, and all get their answer."""
    account = setup.accounts[0]
    setup.client.client_fund_lock_state(account)
    setup.sandbox.sessions.end_all()
    before = setup.sandbox.sessions.logins
    start = threading.Barrier(16)
    answers: list[Any] = []

    def ask() -> None:
        start.wait()
        answers.append(payload_of(setup.client.client_fund_lock_state(account)))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    assert setup.sandbox.sessions.logins == before + 1


def test_accounts_do_not_share_sessions_in_one_thread(setup: Setup) -> None:
    for account in (*setup.accounts, *setup.accounts):
        info = payload_of(setup.client.get_session_info(account))
        assert info["ethAddress"] == account.account
        assert info["authToken"] == setup.client.socket_token(account)
    assert setup.sandbox.sessions.logins == len(setup.accounts)


def test_accounts_are_fetched_in_parallel(setup: Setup) -> None:
    """Threads of one client, one account each, several rounds: every payload is its own account's."""
    found: dict[str, list[Payload]] = {account.account: [] for account in setup.accounts}

    def read(account: AccountSettings) -> None:
        for _ in range(5):
            found[account.account].append(setup.client.fetch(account, None))

    threads = [threading.Thread(target=read, args=(account,)) for account in setup.accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    holdings = {name: held(normalise(payloads[-1])) for name, payloads in found.items()}
    assert [len(payloads) for payloads in found.values()] == [5, 5, 5]
    for account in setup.sandbox.world.accounts:
        exact = {one.listing.id for one in account.positions.values()}
        assert len(holdings[account.address]) == len(exact)


def test_logout_ends_the_session_and_the_next_read_logs_in_again(setup: Setup) -> None:
    setup.client.logout(setup.accounts[0])
    setup.client.client_open_orders(setup.accounts[0])
    assert setup.sandbox.sessions.logins == 2


def with_key(setup: Setup, account: str, key: str, **options: Any) -> AccountSettings:
    """Account settings with this secret in a file of its own."""
    directory = Path(setup.accounts[0].secrets["private_key"].removeprefix("file:")).parent
    path = directory / "other.key"
    path.write_text(key)
    name = "rsa_private_key" if "RSA" in key or "PRIVATE" in key else "private_key"
    return AccountSettings(account=account, secrets={name: f"file:{path}"}, options=options)


def test_an_rsa_key_logs_in_alone(setup: Setup) -> None:
    """Once linked, the RSA key needs no Ethereum key beside it; another key is refused."""
    address = setup.accounts[0].account
    account = with_key(setup, address, rsa_pem())
    with pytest.raises(Rejected) as raised:
        setup.client.client_open_orders(account)
    assert raised.value.code == "INVALID_SIGNATURE"
    vectors = json.loads((Path(__file__).parent / "data" / "vectors.json").read_text())
    setup.sandbox.sessions.rsa_keys[address] = vectors["rsa_login"]["rsa_public_key_der_b64"]
    assert normalise(setup.client.fetch(account, None)).holdings


def test_a_managed_wallet_is_switched_to(setup: Setup) -> None:
    """The first account may act for the second; nobody may act for the third."""
    manager = setup.sandbox.world.accounts[0]
    second, third = setup.accounts[1].account, setup.accounts[2].account
    managed = with_key(setup, second, manager.private_key, managed=True)
    assert held(normalise(setup.new_client().fetch(managed, None))) == held(
        normalise(setup.client.fetch(setup.accounts[1], None))
    )
    with pytest.raises(Rejected, match="not managed"):
        setup.client.client_open_orders(with_key(setup, third, manager.private_key, managed=True))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("0x" + "11" * 32, "its private key belongs to 0x"),
        ("not a key at all", "not 32 bytes of hex"),
        ("-----BEGIN PRIVATE KEY-----\nnonsense\n", "not in PEM form"),
    ],
)
def test_wrong_keys_are_rejected_and_never_repeated(setup: Setup, key: str, words: str) -> None:
    with pytest.raises(Rejected, match=words) as raised:
        setup.client.fetch(with_key(setup, setup.accounts[0].account, key), None)
    assert key.strip() not in str(raised.value)
    assert "nonsense" not in str(raised.value)


def test_missing_secrets_are_rejected_naming_their_reference(setup: Setup) -> None:
    lost = AccountSettings(account="0xabc", secrets={"private_key": "file:/nowhere/at/all"})
    with pytest.raises(Rejected, match="/nowhere/at/all"):
        setup.client.fetch(lost, None)
    with pytest.raises(Rejected, match="no private_key or rsa_private_key"):
        setup.client.fetch(AccountSettings(account="0x" + "0" * 40), None)


def test_an_address_the_venue_does_not_know_is_rejected(setup: Setup) -> None:
    key = "0x" + "22" * 32
    with pytest.raises(Rejected) as raised:
        setup.client.fetch(with_key(setup, signing.address_of(key), key), None)
    assert (raised.value.status, raised.value.code) == (412, "UNKNOWN_ETH_ADDRESS")


@pytest.mark.parametrize(
    ("header", "cookie"),
    [
        ("SESSION=abc; Path=/; HttpOnly", "SESSION=abc"),
        ("a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/, b=2==; Secure", "a=1; b=2=="),
        ("", ""),
    ],
)
def test_cookies_of_joined_headers(header: str, cookie: str) -> None:
    assert cookie_of(header) == cookie


def test_services_that_are_not_configured_are_refused(setup: Setup) -> None:
    only = VenueSettings(urls={"rest": setup.settings.urls["rest"]}, accounts=setup.accounts)
    client = IthacaClient(only, setup.clock)
    with pytest.raises(Rejected, match="no calc URL"):
        client.price_list([])
    with pytest.raises(Rejected, match="no subgraph URL"):
        client.fundlock_history("0x")
    assert normalise(client.fetch(setup.accounts[0], None)).holdings
    with pytest.raises(ValueError, match="no URL configured"):
        IthacaClient(VenueSettings(), setup.clock)


def test_marks_come_from_all_three_sources(setup: Setup) -> None:
    """The sandbox has two-sided, one-sided and unquoted contracts; what is held is marked all the same."""
    sources: set[str] = set()
    for _ in range(30):
        for account in setup.accounts:
            payload = setup.client.fetch(account, setup.clock.now_ms())
            snapshot = normalise(payload)
            marks = {mark.instrument: mark for mark in snapshot.marks}
            for holding in snapshot.holdings:
                mark = marks[holding.instrument]
                assert mark.price > Decimal("-0.0001")
                sources.add("book" if mark.bid and mark.ask else "reference" if mark.ask else "list")
        setup.clock.advance(600)
    assert sources == {"book", "reference", "list"}
