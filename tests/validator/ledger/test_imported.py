"""Ledgers that a restore brought: they stay as they are, ours follow them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.validator.ledger.test_view import SEED_CPS
from validator.ledger.checkpoint import PORTFOLIO, SPAN_MS, Checkpoint
from validator.ledger.imported import IMPORTED
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of, through_draft
from validator.ledger.shapes import to_flat
from validator.ledger.view import Ledgers
from vanta_api.wire import WireError

END = SEED_CPS[-1]["last_update_ms"]
NEXT = END - END % SPAN_MS + SPAN_MS  # the first boundary after what was brought


def body(ledger: Any) -> bytes:
    return msgspec.json.encode({"perf_imported": {"hotkey": "hk", "ledger": ledger}})


def own(end_ms: int, pair: str = "BTCUSD") -> tuple[str, bytes]:
    record = LedgerRecord(
        checkpoint=Checkpoint(last_update_ms=end_ms, accum_ms=SPAN_MS, n_updates=7),
        initialization_time_ms=5,
        max_return=1.5,
    )
    made = draft_of(
        PerfCheckpoint(
            hotkey="hk",
            end_ms=end_ms,
            target_cp_duration_ms=SPAN_MS,
            target_ledger_window_ms=10**12,
            ledgers={PORTFOLIO: record, pair: record},
        )
    )
    return made.key, made.body


def ledgers(brought: Any, *ends: int) -> Ledgers:
    found = Ledgers()
    assert found.take(f"{IMPORTED}hk", body(brought), 1) == "hk"
    for end in ends:
        found.take(*own(end), 2)
    if ends:
        through = through_draft(max(ends), SPAN_MS, 1)
        found.take(through.key, through.body, 3)
    return found


@pytest.mark.parametrize("brought", [{"cps": SEED_CPS}, {"portfolio": {"cps": SEED_CPS}}])
def test_a_ledger_of_any_generation_is_shown_as_it_was_brought(brought: Any) -> None:
    bundle = ledgers(brought).bundle("hk")

    assert bundle is not None
    shown = to_flat(bundle[PORTFOLIO])["cps"]
    assert [{name: cp[name] for name in old} for cp, old in zip(shown, SEED_CPS, strict=True)] == SEED_CPS


def test_our_checkpoints_follow_where_it_ends() -> None:
    view = ledgers({"cps": SEED_CPS}, NEXT - SPAN_MS, NEXT, NEXT + SPAN_MS)
    bundle = view.bundle("hk")

    assert bundle is not None
    ends = [one.last_update_ms for one in bundle[PORTFOLIO].cps]
    assert ends == [cp["last_update_ms"] for cp in SEED_CPS] + [NEXT + SPAN_MS]
    assert [one.last_update_ms for one in bundle["BTCUSD"].cps] == [NEXT + SPAN_MS]
    assert bundle[PORTFOLIO].max_return == 1.5
    assert view.hotkeys() == ["hk"]


def test_until_ours_go_further_nothing_of_them_is_shown() -> None:
    bundle = ledgers({"cps": SEED_CPS}, NEXT - SPAN_MS).bundle("hk")

    assert bundle is not None
    assert list(bundle) == [PORTFOLIO]
    assert len(bundle[PORTFOLIO].cps) == 2


def test_a_delayed_reader_sees_only_what_had_ended() -> None:
    view = ledgers({"cps": SEED_CPS}, NEXT + SPAN_MS)
    bundle = view.bundle("hk", SEED_CPS[1]["last_update_ms"])

    assert bundle is not None
    assert len(bundle[PORTFOLIO].cps) == 1
    assert view.bundle("hk", SEED_CPS[0]["last_update_ms"]) is None


def test_a_ledger_that_cannot_be_read_says_where() -> None:
    with pytest.raises(WireError, match=r"cps\[0\]"):
        ledgers({"cps": [{"gain": 1}]}).bundle("hk")
