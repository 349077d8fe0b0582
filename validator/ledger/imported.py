"""Ledgers that a restore brought: another validator's history, to which our own is joined.

Rule: what was brought stays as it is up to where it ends; our own checkpoints begin after that.
"""

from __future__ import annotations

from typing import Final

import msgspec

from validator.ledger.checkpoint import PORTFOLIO, Bundle, Ledger, within_window
from validator.ledger.shapes import from_wire

IMPORTED: Final = "perf_imported|"  # <hotkey>


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """``ledger``: a flat ledger or a bundle, of whatever generation."""

    hotkey: str
    ledger: msgspec.Raw


class ImportedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``ledger`` entry with key ``perf_imported|<hotkey>``."""

    perf_imported: Imported


_decoder: Final = msgspec.json.Decoder(ImportedMessage)


def read_imported(body: bytes) -> Bundle:
    """Read the entry. Raises msgspec.DecodeError, WireError."""
    return from_wire(msgspec.json.decode(_decoder.decode(body).perf_imported.ledger))


def before(bundle: Bundle, before_ms: int | None) -> Bundle | None:
    """Only checkpoints that ended before a moment (None: all); None when that leaves nothing."""
    if before_ms is None:
        return bundle
    cut = {
        name: msgspec.structs.replace(
            ledger, cps=tuple(one for one in ledger.cps if one.last_update_ms < before_ms)
        )
        for name, ledger in bundle.items()
    }
    return cut if PORTFOLIO in cut and cut[PORTFOLIO].cps else None


def joined(older: Bundle | None, own: Bundle | None) -> Bundle | None:
    """One history of both: ours counts from where the older portfolio's ends."""
    if older is None or PORTFOLIO not in older:
        return own
    if own is None:
        return older
    cps = older[PORTFOLIO].cps
    end_ms = cps[-1].last_update_ms if cps else 0
    names = [*older, *(name for name in own if name not in older)]
    found = {name: _joined(older.get(name), own.get(name), end_ms) for name in names}
    return {name: ledger for name, ledger in found.items() if ledger is not None}


def _joined(older: Ledger | None, own: Ledger | None, end_ms: int) -> Ledger | None:
    if own is None:
        return older
    later = tuple(one for one in own.cps if one.start_ms >= end_ms)
    if older is None:
        return msgspec.structs.replace(own, cps=later) if later else None
    if not later:
        return older
    whole = msgspec.structs.replace(
        own,
        initialization_time_ms=older.initialization_time_ms,
        max_return=max(older.max_return, own.max_return),
        cps=(*older.cps, *later),
    )
    return within_window(whole)
