"""From a plan to durable entries: the only place where venue facts meet the journal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import msgspec

from journal.entry import ORDERS, POSITIONS, REGISTRY, Draft, Writer
from journal.marks import MarkStore
from validator.positions import identity as position_identity
from validator.positions import order_identity
from validator.trade_pairs import for_instrument
from vanta_api.records import (
    AccountSizeMessage,
    AccountSizeRecord,
    MarkMessage,
    OrderMessage,
    PositionMessage,
    encode,
    plain,
)
from venues.book import Plan
from venues.model import Snapshot

CHUNK: Final = 200  # drafts per transaction: first sight of an account may bring thousands
PAUSE_S: Final = 0.002  # between chunks, so that other writers get their turn


class Sink:
    """Appends what pollers find."""

    def __init__(self, journal: Writer, marks: MarkStore, repo_version: str) -> None:
        self._journal, self._marks, self._repo_version = journal, marks, repo_version

    def append(self, plan: Plan) -> int:
        """Make the plan durable in one transaction; returns how many entries are new."""
        return self._append([*self._positions(plan), *self._orders(plan)])

    def append_account_size(self, record: AccountSizeRecord) -> None:
        """Note what an account is measured against."""
        body = encode(AccountSizeMessage(account_size=record))
        key, identity = f"account_size|{record.hotkey}", str(record.account_size).encode()
        self._append([Draft(REGISTRY, key, body, identity)])

    def put_marks(self, snapshots: Iterable[Snapshot]) -> None:
        """Note the newest prices."""
        messages = [
            MarkMessage(
                trade_pair_id=pairs[mark.instrument],
                venue=snapshot.venue,
                instrument=mark.instrument,
                price=plain(mark.price),
                time_ms=mark.time_ms,
            )
            for snapshot in snapshots
            if (pairs := {i.name: for_instrument(snapshot.venue, i)[0] for i in snapshot.instruments})
            for mark in snapshot.marks
            if mark.instrument in pairs
        ]
        if messages:
            self._marks.put(messages)

    def _append(self, drafts: list[Draft]) -> int:
        new = 0
        for start in range(0, len(drafts), CHUNK):
            if start:
                time.sleep(PAUSE_S)
            new += sum(done.is_new for done in self._journal.append(drafts[start : start + CHUNK]))
        return new

    def _positions(self, plan: Plan) -> Iterable[Draft]:
        for position in plan.positions:
            message = PositionMessage(
                position=position, miner_repo_version=self._repo_version, repo_version=self._repo_version
            )
            key = f"{position.miner_hotkey}|{position.position_uuid}"
            yield Draft(POSITIONS, key, msgspec.json.encode(message), position_identity(position))

    def _orders(self, plan: Plan) -> Iterable[Draft]:
        for order in plan.orders:
            key = f"{order.miner_hotkey}|{order.order_uuid}"
            yield Draft(ORDERS, key, encode(OrderMessage(order=order)), order_identity(order))
