"""Reading this product's own checkpoints: strictly, field by field, and against their digests.

Rule: the shape is checked before the digest, so that a lost or mistyped field is named; what the shape cannot
see (a value that changed, a hotkey that is gone) is seen by its section's digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Final

import msgspec

from journal.entry import LEDGER, Draft
from journal.restore import facts, shape
from journal.restore.content import PositionCheck, Progress, Summary, check_order, require, steps_of
from journal.restore.problem import moved, within
from journal.restore.source import Sections
from vanta_api.records import RestingOrder

Values = dict[str, msgspec.Raw]

_SIZES: Final = shape.strict(list[shape.AccountSize])
_ELIMINATIONS: Final = shape.strict(list[shape.Elimination])
_CHALLENGE: Final = shape.strict(shape.ChallengePeriod)
_ARCHIVED: Final = shape.strict(dict[str, shape.Archived])
_LIMIT_ORDERS: Final = shape.strict(dict[str, list[RestingOrder]] | list[RestingOrder])
_HEAD: Final = {field.name: field.type for field in msgspec.structs.fields(shape.Head)}
_NAMES: Final = (*shape.HEAD, *shape.MAPS, "eliminations", "digests")

_dashboard: Final = msgspec.json.Decoder(shape.STRICT_DASHBOARD)
_records: Final = msgspec.json.Decoder(shape.Dashboard)
_values: Final = msgspec.json.Decoder(Values)


class OwnCheckpoint:
    """A checkpoint that this product wrote."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._digests: dict[str, str] = {}
        self._has_facts = shape.FACTS in sections
        self._version = ""
        self._created_ms = 0

    def check(self, progress: Progress) -> Summary:
        """Look at everything. Raises Refused with the path of the first thing that is wrong."""
        for name in _NAMES:
            require(name in self._sections, name, "missing")
        for name in self._sections:
            require(name in (*_NAMES, shape.FACTS), name, "not a field of this")
        self._digests = _decoded("digests", self._sections["digests"], dict[str, str])
        for name in self._digests:
            require(name == "head" or name in self._sections, name, "missing, but it has a digest")
        summary = self._head()
        self._positions(summary, progress)
        self._limit_orders(summary)
        self._others(summary)
        return summary

    def drafts(self, now_ms: int) -> Iterator[Draft]:
        """Everything as entries; only after ``check``."""
        yield from self._facts() if self._has_facts else self._registered(now_ms)
        for hotkey, raw in self._map("archived").items():
            yield facts.archived_draft(hotkey, raw)
        for _, _, raw in self._order_lists():
            for order in msgspec.json.decode(raw, type=list[RestingOrder]):
                yield facts.order_draft(order)
        for raw in self._map("positions").values():
            for position in _records.decode(raw).positions:
                yield facts.position_draft(position, self._version)

    def _head(self) -> Summary:
        head = {name: _decoded(name, self._sections[name], kind) for name, kind in _HEAD.items()}
        self._compare("head", shape.head_digest(head))
        require(head["created_timestamp_ms"] >= 0, "created_timestamp_ms", "is negative")
        self._version, self._created_ms = head["version"], head["created_timestamp_ms"]
        return Summary(self._version, self._created_ms, True, head["sequences"])

    def _positions(self, summary: Summary, progress: Progress) -> None:
        check = PositionCheck(summary)
        digests: list[tuple[str, bytes]] = []
        for hotkey, raw in self._map("positions").items():
            path = f"positions.{hotkey}"
            with within(path):
                dashboard = _dashboard.decode(raw)
            for number, position in enumerate(dashboard.positions):
                check.check(position, hotkey, f"{path}.positions[{number}]")
            digests.append((hotkey, sha256(msgspec.json.encode(dashboard)[1:-1]).digest()))
            summary.count("hotkeys")
            progress(len(memoryview(raw)))
        self._compare("positions", shape.map_digest(digests))

    def _limit_orders(self, summary: Summary) -> None:
        """By pair and hotkey, or by hotkey; the digest is of whichever form it is."""
        for key, path, raw in self._order_lists():
            with within(path):
                orders = msgspec.json.decode(raw, type=shape.STRICT_ORDERS)
            for number, order in enumerate(orders):
                check_order(order, f"{path}[{number}]")
                require(
                    key in (order.miner_hotkey, order.trade_pair_id), path, "holds an order of another key"
                )
            summary.count("limit_orders", len(orders))
        self._check_map("limit_orders", _decoder(_LIMIT_ORDERS))

    def _order_lists(self) -> Iterator[tuple[str, str, msgspec.Raw]]:
        """The section's key, the path and the text of each list of orders."""
        for key, raw in self._map("limit_orders").items():
            path = f"limit_orders.{key}"
            if bytes(memoryview(raw)[:1]) == b"[":
                yield key, path, raw
                continue
            for hotkey, inner in _decoded(path, raw, Values).items():
                yield key, f"{path}.{hotkey}", inner

    def _others(self, summary: Summary) -> None:
        rows = _decoded("eliminations", self._sections["eliminations"], _ELIMINATIONS)
        self._compare("eliminations", shape.list_digest(rows))
        summary.count("eliminations", len(rows))
        kinds = {
            "challengeperiod": _CHALLENGE,
            "miner_account_sizes": _SIZES,
            "asset_selections": str,
            "archived": _ARCHIVED,
        }
        for name, kind in kinds.items():
            summary.count(name, self._check_map(name, _decoder(kind)))
        summary.count("perf_ledgers", self._check_map("perf_ledgers", _ledger))
        if self._has_facts:
            self._check_facts(summary)

    def _check_map(self, name: str, decode: Callable[[msgspec.Raw], Any]) -> int:
        """Check a section whose values ``decode`` reads; returns how many there are."""
        digests: list[tuple[str, bytes]] = []
        for key, raw in self._map(name).items():
            with within(f"{name}.{key}", raw):
                digests.append((key, shape.value_digest(shape.canonical(decode(raw)))))
        self._compare(name, shape.map_digest(digests))
        return len(digests)

    def _check_facts(self, summary: Summary) -> None:
        digests: list[tuple[str, bytes]] = []
        for stream, key, raw in self._fact_bodies():
            with within(f"{shape.FACTS}.{stream}.{key}"):
                body = shape.canonical(msgspec.json.decode(raw))
            digests.append((f"{stream}|{key}", shape.value_digest(body)))
        self._compare(shape.FACTS, shape.map_digest(digests))
        summary.count(shape.FACTS, len(digests))

    def _fact_bodies(self) -> Iterator[tuple[str, str, msgspec.Raw]]:
        streams = _decoded(shape.FACTS, self._sections[shape.FACTS], dict[str, Values])
        for stream, found in streams.items():
            require(stream in shape.FACT_STREAMS, f"{shape.FACTS}.{stream}", "is no stream of facts")
            for key, raw in found.items():
                yield stream, key, raw

    def _facts(self) -> Iterator[Draft]:
        for stream, key, raw in self._fact_bodies():
            if stream == LEDGER or facts.kind_of(key) not in facts.REPLACED_BY_SECTIONS:
                yield Draft(stream, key, bytes(raw))

    def _registered(self, now_ms: int) -> Iterator[Draft]:
        """What the sections say, for a checkpoint without facts."""
        for hotkey, raw in self._map("miner_account_sizes").items():
            sizes = msgspec.json.decode(raw, type=list[shape.AccountSize])
            yield from facts.size_drafts(hotkey, [shape.size_record(hotkey, size) for size in sizes])
        for row in msgspec.json.decode(self._sections["eliminations"]):
            yield facts.elimination_draft(row)
        for hotkey, raw in self._map("challengeperiod").items():
            one = msgspec.json.decode(raw, type=shape.ChallengePeriod)
            yield facts.challenge_draft(hotkey, steps_of(one), now_ms)
        for hotkey, raw in self._map("asset_selections").items():
            yield facts.asset_draft(hotkey, msgspec.json.decode(raw), self._created_ms)
        for hotkey, raw in self._map("perf_ledgers").items():
            yield facts.ledger_draft(hotkey, raw)

    def _map(self, name: str) -> Values:
        with within(name):
            return _values.decode(self._sections[name])

    def _compare(self, name: str, found: str) -> None:
        require(name in self._digests, f"digests.{name}", "missing")
        path = name if name in self._sections else f"digests.{name}"
        require(self._digests[name] == found, path, f"was altered: it does not fit digests.{name}")


def _decoded(path: str, raw: msgspec.Raw, kind: Any) -> Any:
    with within(path, raw):
        return msgspec.json.decode(raw, type=kind)


def _decoder(kind: Any) -> Callable[[msgspec.Raw], Any]:
    return lambda raw: msgspec.json.decode(raw, type=kind)


def _ledger(raw: msgspec.Raw) -> Any:
    """A flat ledger or a bundle: its shape is checked, keys beyond it stay as they are."""
    value = msgspec.json.decode(raw)
    if not isinstance(value, dict):
        raise msgspec.ValidationError("Expected `object`")
    is_bundle = "portfolio" in value or any(isinstance(one, dict) and "cps" in one for one in value.values())
    if "cps" in value or not is_bundle:
        return _one_ledger(value)
    if "portfolio" not in value:
        raise msgspec.ValidationError("Object missing required field `portfolio`")
    return {name: _in_bundle(name, ledger) for name, ledger in value.items()}


def _in_bundle(name: str, value: dict[str, Any]) -> dict[str, Any]:
    try:
        return _one_ledger(value)
    except msgspec.ValidationError as error:
        raise moved(error, f".{name}") from None


def _one_ledger(value: dict[str, Any]) -> dict[str, Any]:
    """The ledger with every known number of its type, whatever way a library wrote it."""
    typed = msgspec.to_builtins(msgspec.convert(value, shape.Ledger))
    cps = [{**row, **known} for row, known in zip(value["cps"], typed["cps"], strict=True)]
    return {**value, **typed, "cps": cps}
