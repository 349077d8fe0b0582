"""Ledgers on the wire: a flat one (the portfolio's), a bundle (with each trade pair's), and both ways in.

Rule: every field is written; what a reader does not know it may ignore, and what we do not know is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec

from validator.ledger.checkpoint import PORTFOLIO, SPAN_MS, WINDOW_MS, Bundle, Checkpoint, Ledger, highest
from vanta_api.wire import WireError

_OWN: Final = tuple(name for name in Checkpoint.__struct_fields__ if name != "extra")
_INTEGERS: Final = frozenset(("last_update_ms", "accum_ms", "open_ms", "n_updates"))


def to_flat(ledger: Ledger) -> dict[str, Any]:
    """One ledger as plain values."""
    return {
        "initialization_time_ms": ledger.initialization_time_ms,
        "max_return": ledger.max_return,
        "target_cp_duration_ms": ledger.target_cp_duration_ms,
        "target_ledger_window_ms": ledger.target_ledger_window_ms,
        "cps": [checkpoint_values(one) for one in ledger.cps],
        "last_known_prices": {pair: list(known) for pair, known in ledger.last_known_prices.items()},
    }


def to_bundle(bundle: Bundle) -> dict[str, Any]:
    """``portfolio`` first, then every trade pair, as plain values."""
    names = sorted(bundle, key=lambda name: (name != PORTFOLIO, name))
    return {name: to_flat(bundle[name]) for name in names}


def checkpoint_values(checkpoint: Checkpoint) -> dict[str, Any]:
    """One checkpoint as plain values; an unknown ``equity_ret`` is left out."""
    values = {name: getattr(checkpoint, name) for name in _OWN}
    if checkpoint.equity_ret is None:
        del values["equity_ret"]
    return values | checkpoint.extra


def from_wire(value: Any) -> dict[str, Ledger]:
    """Read a flat ledger or a bundle of any generation. Raises WireError naming the field."""
    if not isinstance(value, Mapping):
        raise WireError("perf_ledger: expected an object")
    if "cps" in value:
        return {PORTFOLIO: _ledger(value, "")}
    return {str(name): _ledger(one, f"{name}.") for name, one in value.items()}


def _ledger(value: Any, path: str) -> Ledger:
    if not isinstance(value, Mapping) or not isinstance(value.get("cps"), list | tuple):
        raise WireError(f"{path}cps: expected a list")
    cps = tuple(_checkpoint(row, f"{path}cps[{index}]") for index, row in enumerate(value["cps"]))
    if any(one.last_update_ms > other.last_update_ms for one, other in pairwise(cps)):
        raise WireError(f"{path}cps: expected in order of time")
    span_ms = max((one.accum_ms for one in cps), default=SPAN_MS) or SPAN_MS
    return Ledger(
        initialization_time_ms=_integer(value, "initialization_time_ms", cps[0].start_ms if cps else 0, path),
        max_return=_number(value, "max_return", highest(cps), path),
        target_cp_duration_ms=_integer(value, "target_cp_duration_ms", span_ms, path),
        target_ledger_window_ms=_integer(value, "target_ledger_window_ms", WINDOW_MS, path),
        cps=cps,
        last_known_prices=_prices(value.get("last_known_prices"), path),
    )


def _checkpoint(row: Any, path: str) -> Checkpoint:
    if not isinstance(row, Mapping):
        raise WireError(f"{path}: expected an object")
    if "last_update_ms" not in row:
        raise WireError(f"{path}.last_update_ms: missing")
    known = {name: row[name] for name in _OWN if row.get(name) is not None}
    for name, found in known.items():
        read = _integer if name in _INTEGERS else _number
        known[name] = read({name: found}, name, 0, f"{path}.")
    extra = {name: found for name, found in row.items() if name not in _OWN}
    return Checkpoint(**known, extra=extra)


def _prices(value: Any, path: str) -> dict[str, tuple[float, int]]:
    try:
        return msgspec.convert(value or {}, dict[str, tuple[float, int]])
    except msgspec.ValidationError as error:
        raise WireError(f"{path}last_known_prices: {error}") from None


def _number(values: Mapping[str, Any], name: str, default: float, path: str) -> float:
    found = values.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < float("inf"):
        raise WireError(f"{path}{name}: expected a finite number")
    return float(found)


def _integer(values: Mapping[str, Any], name: str, default: int, path: str) -> int:
    found = values.get(name, default)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise WireError(f"{path}{name}: expected an integer")
    return found
