"""The poller as a worker process: restores its books from the journal, then polls."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from journal.entry import ORDERS, POSITIONS, REGISTRY
from journal.layout import boot_state, open_journal, open_marks
from journal.sqlite import SqliteJournal
from journal.state import State
from runtime.clock import Clock
from runtime.settings import AccountSettings, Settings, VenueSettings
from runtime.worker import BEAT_EVERY_S, CannotStart, Worker
from validator.gate import Gate
from validator.registry import Registry
from vanta_api.records import (
    AccountSizeMessage,
    Position,
    RestingOrder,
    decode_order_message,
    decode_position_message,
)
from venues.book import AccountBook
from venues.breaker import Cadence
from venues.poller import DEFAULT_ACCOUNT_SIZE, Poller, Tracked
from venues.sink import Sink
from venues.venue import Venue, VenueClient, load

_account_size: Final = msgspec.json.Decoder(AccountSizeMessage)


def main(worker: Worker, name: str) -> int:
    """Poll the venue ``name`` until told to stop; returns the exit code."""
    venue = load(name)
    own = effective(venue, worker.settings.venues.get(name, VenueSettings()))
    if not own.accounts:
        raise CannotStart(f"no account configured: add [[venues.{name}.accounts]] to the config")
    next_beat = 0.0
    with assembled(worker.settings, venue, own, venue.client(own, worker.clock), worker.clock) as poller:
        worker.ready(accounts=len(own.accounts))

        def beat() -> None:
            nonlocal next_beat
            if worker.clock.monotonic() >= next_beat:
                worker.beat(**poller.facts())
                next_beat = worker.clock.monotonic() + BEAT_EVERY_S

        poller.run(worker.stop.is_set, beat)
    return 0


@contextmanager
def assembled(
    settings: Settings, venue: Venue, own: VenueSettings, client: VenueClient, clock: Clock
) -> Iterator[Poller]:
    """A poller on the journal of ``settings``, caught up; everything is closed on the way out."""
    journal, marks = open_journal(settings), open_marks(settings)
    try:
        tracked, registry = _begin(settings, venue.name, own, journal)
        sink = Sink(Gate(journal, registry), marks, settings.repo_version)
        yield Poller(venue, client, own, tracked, sink, clock)
    finally:
        client.close()
        marks.close()
        journal.close()


def _begin(
    settings: Settings, venue: str, own: VenueSettings, journal: SqliteJournal
) -> tuple[list[Tracked], Registry]:
    """What the journal knows of the accounts, and the registry to go on with; the State itself is let go."""
    state = boot_state(settings, journal)
    return restore(venue, own, state), Registry(journal, state)


def effective(venue: Venue, configured: VenueSettings) -> VenueSettings:
    """What is configured over the venue's own defaults over ours."""
    own, plain = venue.defaults(), VenueSettings()
    merged = {
        name: value if (value := getattr(configured, name)) != getattr(plain, name) else getattr(own, name)
        for name in VenueSettings.__struct_fields__
    }
    merged["urls"] = {**own.urls, **configured.urls}
    merged["options"] = {**own.options, **configured.options}
    return VenueSettings(**merged)


def hotkey_of(venue: str, account: AccountSettings) -> str:
    """The hotkey an account's records carry."""
    return account.hotkey or f"{venue}:{account.account}"


def restore(venue: str, settings: VenueSettings, state: State) -> list[Tracked]:
    """One ``Tracked`` per configured account, with what the journal knows about it."""
    positions, orders = _by_hotkey(venue, state)
    jitter = random.Random()
    tracked = []
    for account in settings.accounts:
        hotkey = hotkey_of(venue, account)
        size = _known_size(state, hotkey)
        book = AccountBook(venue, account.account, hotkey, size or DEFAULT_ACCOUNT_SIZE)
        book.load(positions.get(hotkey, ()), orders.get(hotkey, ()))
        is_settled = size is not None and account.account_size in (None, size)
        tracked.append(Tracked(account, book, Cadence(settings.poll_interval_s, jitter), has_size=is_settled))
    if duplicates := len(tracked) - len({t.book.hotkey for t in tracked}):
        raise CannotStart(f"{duplicates} accounts of {venue} share a hotkey: give each its own")
    structlog.get_logger().info("books restored", venue=venue, accounts=len(tracked))
    return tracked


def _by_hotkey(venue: str, state: State) -> tuple[dict[str, list[Position]], dict[str, list[RestingOrder]]]:
    positions: dict[str, list[Position]] = {}
    orders: dict[str, list[RestingOrder]] = {}
    for latest in state.latest.get(POSITIONS, {}).values():
        position = decode_position_message(latest.body).position
        if position.venue is not None and position.venue.name == venue:
            positions.setdefault(position.miner_hotkey, []).append(position)
    for latest in state.latest.get(ORDERS, {}).values():
        order = decode_order_message(latest.body).order
        if order.venue is not None and order.venue.name == venue:
            orders.setdefault(order.miner_hotkey, []).append(order)
    return positions, orders


def _known_size(state: State, hotkey: str) -> Decimal | None:
    latest = state.latest.get(REGISTRY, {}).get(f"account_size|{hotkey}")
    if latest is None:
        return None
    return Decimal(repr(_account_size.decode(latest.body).account_size.account_size))
