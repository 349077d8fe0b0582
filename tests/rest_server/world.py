"""A small world for REST tests: a journal in memory, a clock that obeys, positions made of orders."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Flask
from flask.testing import FlaskClient

from journal.entry import ORDERS, POSITIONS, REGISTRY, Appended, Draft
from journal.marks import MarkStore
from journal.memory import MemoryJournal
from journal.state import State
from rest_server.addresses import Addresses
from rest_server.app import create_app
from rest_server.follower import Follower
from rest_server.limits import Limiter
from rest_server.metagraph import Metagraph
from rest_server.published import Published
from rest_server.services import Services
from runtime.api_key_file import KeyTable, parse
from runtime.clock import Clock, FakeClock
from runtime.settings import RestSettings, Settings
from runtime.usage import Usage
from validator.positions import identity, order_identity, rebuild
from validator.registry import Registry
from vanta_api.records import (
    AccountSizeMessage,
    AccountSizeRecord,
    MarkMessage,
    Order,
    OrderMessage,
    OrderType,
    Position,
    PositionMessage,
    RestingOrder,
    TradePairTuple,
    VenueFacts,
    encode,
)

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
FUEL: Final[TradePairTuple] = ("O2:FUEL/USDC", "FUEL/USDC", 0.001, 0.0, 1.0)
BTC: Final[TradePairTuple] = ("BTCUSD", "BTC/USD", 0.003, 0.01, 0.5)
ACCOUNT_SIZE: Final = 100_000.0

KEYS: Final[dict[str, Any]] = {
    "zero": {"key": "k0", "tier": 0},
    "thirty": {"key": "k30", "tier": 30},
    "fifty": {"key": "k50", "tier": 50},
    "hundred": {"key": "k100", "tier": 100},
    "operator": {"key": "k200", "tier": 200},
    "vanta": {"key": "kvanta", "tier": 100, "trade_pairs": "vanta"},
    "vanta_zero": {"key": "kvanta0", "tier": 0, "trade_pairs": "vanta"},
    "stream_only": {"key": "kws", "tier": 100, "scopes": ["ws"]},
}
PLENTY: Final = RestSettings(
    requests_per_minute=1_000_000, open_per_minute=1_000_000, failed_auth_per_minute=1_000_000
)


def bearer(key: str) -> dict[str, str]:
    """The header that presents a key."""
    return {"Authorization": f"Bearer {key}"}


def new_uuid(seed: object) -> str:
    """A uuid that is the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, repr(seed)))


def fill(seed: object, quantity: float, price: float, at_ms: int, observed_ms: int | None = None) -> Order:
    """An executed order of signed ``quantity``; 0 closes whatever is open (FLAT)."""
    kind: OrderType = "FLAT" if quantity == 0 else "LONG" if quantity > 0 else "SHORT"
    return Order(
        order_type=kind,
        leverage=quantity * price / ACCOUNT_SIZE,
        value=quantity * price,
        quantity=quantity,
        price=price,
        quote_usd_rate=1.0,
        processed_ms=at_ms,
        order_uuid=new_uuid(seed),
        venue=VenueFacts(
            name="o2",
            account="a",
            instrument="FUEL/USDC",
            order_id=str(seed),
            quantity=str(quantity),
            price=str(price),
            fees="0",
            kind="trade",
            observed_ms=at_ms if observed_ms is None else observed_ms,
            venue_ms=at_ms,
        ),
    )


def position(
    hotkey: str,
    orders: Sequence[Order],
    pair: TradePairTuple = FUEL,
    observed_ms: int | None = None,
    **facts: Any,
) -> Position:
    """The position that these orders make; ``observed_ms`` is when the venue was last looked at."""
    seen = orders[-1].processed_ms if observed_ms is None else observed_ms
    venue = VenueFacts(
        name="o2",
        account="a",
        instrument=pair[1],
        observed_ms=seen,
        venue_ms=orders[-1].processed_ms,
        **facts,
    )
    return rebuild(hotkey, orders, pair, ACCOUNT_SIZE, position_uuid=orders[0].order_uuid, venue=venue)


def resting(hotkey: str, seed: object, placed_ms: int, **changes: Any) -> RestingOrder:
    """A resting order; ``changes`` go into the record."""
    venue = VenueFacts(
        name="o2",
        account="a",
        instrument="FUEL/USDC",
        order_id=str(seed),
        filled="0",
        venue_ms=changes.pop("venue_ms", placed_ms),
    )
    fields: dict[str, Any] = {
        "miner_hotkey": hotkey,
        "trade_pair_id": FUEL[0],
        "trade_pair": FUEL,
        "order_type": "LONG",
        "quantity": 1.0,
        "limit_price": 0.5,
        "processed_ms": placed_ms,
        "order_uuid": new_uuid(seed),
        "venue": venue,
    }
    return RestingOrder(**{**fields, **changes})


@dataclass
class KeyStub:
    """A key table that tests replace."""

    table: KeyTable
    error: str | None = None


@dataclass
class SourceStub:
    """The follower without its thread: turns whenever it is asked, unless told not to."""

    follower: Follower
    turns: bool = True
    fault: str | None = None
    is_booted: bool = True

    def current(self) -> Published | None:
        if self.turns:
            self.follower.turn()
        return self.follower.current() if self.is_booted else None

    def problem(self) -> str | None:
        return self.fault


@dataclass
class World:
    """Everything a REST test needs."""

    directory: Path
    clock: Clock = field(default_factory=FakeClock)
    rest: RestSettings = PLENTY
    settings_changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings(
            data_dir=self.directory / "data", rest=self.rest, **dict(self.settings_changes)
        )
        self.journal = MemoryJournal(clock=self.clock)
        self.marks = MarkStore(self.directory / "marks.sqlite3")
        self.usage = Usage(self.directory / "usage", "rest", self.clock)
        self.keys = KeyStub(parse(json.dumps(KEYS).encode(), self.clock))
        self.follower: Follower
        self.source: SourceStub
        self.app: Flask
        self.start()

    def start(self) -> None:
        """(Re)start the server's side: what it knows comes from the journal alone."""
        self.follower = self.new_follower()
        self.source = SourceStub(self.follower)
        self.app = create_app(self.services())

    def new_follower(self) -> Follower:
        """A follower that starts from nothing."""
        follower = Follower(self.journal, self.marks, State(), self.clock, self.settings.repo_version)
        follower.boot()
        return follower

    def services(self) -> Services:
        metagraph = self.rest.metagraph_file
        return Services(
            settings=self.settings,
            clock=self.clock,
            keys=self.keys,
            usage=self.usage,
            limiter=Limiter(self.rest, self.usage, self.clock),
            addresses=Addresses(self.rest.trusted_proxies),
            source=self.source,
            metagraph=Metagraph(Path(metagraph) if metagraph else None, self.clock),
            open_reader=lambda: self.journal,
            registry=Registry(self.journal),
        )

    def close(self) -> None:
        self.marks.close()
        self.usage.close()

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    @property
    def now(self) -> int:
        return self.clock.now_ms()

    def get(self, path: str, key: str | None = "k100", **headers: str) -> Any:
        """GET with a key; header names have ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers={**sent, **(bearer(key) if key is not None else {})})

    def put(self, *records: Position) -> list[Appended]:
        """Journal positions, as a poller does."""
        return self.journal.append(
            [
                Draft(
                    POSITIONS,
                    f"{one.miner_hotkey}|{one.position_uuid}",
                    encode(PositionMessage(position=one, repo_version="1")),
                    identity(one),
                )
                for one in records
            ]
        )

    def put_orders(self, *orders: RestingOrder) -> list[Appended]:
        """Journal resting orders."""
        return self.journal.append(
            [
                Draft(
                    ORDERS,
                    f"{one.miner_hotkey}|{one.order_uuid}",
                    encode(OrderMessage(order=one)),
                    order_identity(one),
                )
                for one in orders
            ]
        )

    def put_size(self, hotkey: str, size: float) -> None:
        """Journal an account size."""
        record = AccountSizeRecord(
            hotkey=hotkey, account_size=size, update_time_ms=self.now, valid_date_timestamp=self.now
        )
        body = encode(AccountSizeMessage(account_size=record))
        self.journal.append([Draft(REGISTRY, f"account_size|{hotkey}", body)])

    def mark(self, price: float | str, at_ms: int | None = None, pair: TradePairTuple = FUEL) -> None:
        """Note a price."""
        self.marks.put(
            [
                MarkMessage(
                    trade_pair_id=pair[0],
                    venue="o2",
                    instrument=pair[1],
                    price=str(Decimal(str(price))),
                    time_ms=self.now if at_ms is None else at_ms,
                )
            ]
        )


def shown(answer: Any, hotkey: str) -> list[dict[str, Any]]:
    """The positions of a hotkey in a ``/miner-positions`` answer."""
    found: list[dict[str, Any]] = answer.get_json()[hotkey]["positions"]
    return found


def strict_json(text: bytes) -> Any:
    """Parse JSON that must not hold NaN or Infinity."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is not JSON")

    return json.loads(text, parse_constant=refuse)


def plain(value: Any) -> Any:
    """A record as JSON values."""
    return msgspec.json.decode(msgspec.json.encode(value))


Make = Callable[..., World]
