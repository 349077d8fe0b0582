"""Reading Vanta's own checkpoints, of every generation.

Rule 1: what Vanta's restore needs must be there; what it knows nothing of is reported and left out; whatever
is there has the right type or the checkpoint is refused.
Rule 2: nothing is lost silently: limit orders are read in the form that Vanta writes as well as in the one
it reads, ledgers flat or in bundles, buckets old and new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from journal.entry import Draft
from journal.restore import facts
from journal.restore.content import PositionCheck, Progress, Summary, require
from journal.restore.problem import Refused, within
from journal.restore.shape import size_record
from journal.restore.source import Sections
from journal.restore.vanta_sections import (
    AccountSize,
    Dashboard,
    Elimination,
    buckets,
    elimination_row,
    ledger_value,
    limit_orders,
)
from vanta_api.records import Position, TradePairTuple
from vanta_api.wire import WireError, from_vanta

NEEDED: Final = (
    *("created_timestamp_ms", "positions", "eliminations"),
    *("youngest_order_processed_ms", "oldest_order_processed_ms"),
)
KNOWN: Final = frozenset(
    (
        *NEEDED,
        *("version", "created_date", "challengeperiod", "miner_account_sizes", "perf_ledgers"),
        *("asset_selections", "limit_orders", "hard_snap_cutoff_ms"),
    )
)
Values = dict[str, msgspec.Raw]

_values: Final = msgspec.json.Decoder(Values)
_EMPTY: Final = msgspec.Raw(b"{}")


class VantaCheckpoint:
    """A checkpoint that a Vanta validator wrote."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._version: str | None = None
        self._created_ms = 0
        self._rows: dict[str, TradePairTuple] = {}  # trade pairs as the positions have them

    def check(self, progress: Progress) -> Summary:
        """Look at everything. Raises Refused with the path of the first thing that is wrong."""
        for name in NEEDED:
            require(name in self._sections, name, "missing")
        self._version = self._one("version", str | None) if "version" in self._sections else None
        self._created_ms = _time(self._one("created_timestamp_ms", int | float), "created_timestamp_ms")
        for name in NEEDED[-2:]:
            self._one(name, int | float | None)  # Infinity where there is no order: read as null
        summary = Summary(self._version, self._created_ms, False)
        self._check_positions(summary, progress)
        for what, drafts in self._registered(0):
            summary.count(what, len(drafts) if what == "limit_orders" else 1)
        unknown = sorted(self._sections.keys() - KNOWN)
        if unknown:
            summary.warnings.append(f"sections that are not taken over: {', '.join(unknown)}")
        return summary

    def drafts(self, now_ms: int) -> Iterator[Draft]:
        """Everything as entries; only after ``check``."""
        for _, drafts in self._registered(now_ms):
            yield from drafts
        for _, rows, _ in self._positions():
            for position in rows:
                yield facts.position_draft(position, self._version)

    def _check_positions(self, summary: Summary, progress: Progress) -> None:
        check = PositionCheck(summary)
        unknown: set[str] = set()
        for hotkey, rows, raw in self._positions(unknown):
            for number, position in enumerate(rows):
                check.check(position, hotkey, f"positions.{hotkey}.positions[{number}]")
                self._rows[position.trade_pair[0]] = position.trade_pair
            summary.count("hotkeys")
            progress(len(memoryview(raw)))
        if unknown:
            summary.warnings.append(f"fields that are not taken over: {', '.join(sorted(unknown))}")

    def _positions(
        self, unknown: set[str] | None = None
    ) -> Iterator[tuple[str, list[Position], msgspec.Raw]]:
        """Each hotkey's positions, read anew; names of fields that are left out go into ``unknown``."""
        for hotkey, raw in self._map("positions").items():
            path = f"positions.{hotkey}"
            with within(path):
                value = msgspec.json.decode(raw)
                if isinstance(value, list):
                    value = {"positions": value}
                dashboard = msgspec.convert(value, Dashboard)
            if unknown is not None:
                unknown |= dashboard.unknown(value)
            rows = enumerate(value.get("positions") or ())
            yield hotkey, [_position(row, f"{path}.positions[{number}]") for number, row in rows], raw

    def _registered(self, now_ms: int) -> Iterator[tuple[str, list[Draft]]]:
        """Every other section's name and entries. Raises Refused."""
        for hotkey, raw in self._map("miner_account_sizes").items():
            with within(f"miner_account_sizes.{hotkey}"):
                sizes = msgspec.json.decode(raw, type=list[AccountSize])
            yield (
                "miner_account_sizes",
                facts.size_drafts(hotkey, [size_record(hotkey, size) for size in sizes]),
            )
        for row in self._one("eliminations", list[Elimination]):
            yield "eliminations", [facts.elimination_draft(elimination_row(row))]
        for hotkey, steps in buckets(self._plain("challengeperiod")).items():
            yield "challengeperiod", [facts.challenge_draft(hotkey, steps, now_ms)]
        for hotkey, raw in self._map("asset_selections").items():
            with within(f"asset_selections.{hotkey}"):
                selected = msgspec.json.decode(raw, type=str)
            yield "asset_selections", [facts.asset_draft(hotkey, selected, self._created_ms)]
        for hotkey, raw in self._map("perf_ledgers").items():
            with within(f"perf_ledgers.{hotkey}"):
                ledger = ledger_value(msgspec.json.decode(raw))
            yield "perf_ledgers", [facts.ledger_draft(hotkey, ledger)]
        found = limit_orders(self._plain("limit_orders"), self._rows)
        yield "limit_orders", [facts.order_draft(order) for order in found]

    def _map(self, name: str) -> Values:
        with within(name):
            return _values.decode(self._sections.get(name, _EMPTY))

    def _plain(self, name: str) -> Any:
        with within(name):
            return msgspec.json.decode(self._sections.get(name, _EMPTY))

    def _one(self, name: str, kind: Any) -> Any:
        with within(name):
            return msgspec.json.decode(self._sections[name], type=kind)


def _position(row: Mapping[str, Any], path: str) -> Position:
    try:
        return from_vanta(row)
    except WireError as fault:
        where, _, problem = str(fault).partition(": ")
        raise Refused(f"{path}.{where}", problem) from None


def _time(value: float, path: str) -> int:
    require(value >= 0 and float(value).is_integer(), path, "is no time in ms")
    return int(value)
