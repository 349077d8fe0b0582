"""The keeper of buckets: admissions, steps, and that losses are measured from the admission."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from journal.entry import LEDGER, Draft
from journal.memory import MemoryJournal
from runtime.settings import RulesSettings
from tests.validator.eliminations.arena import DAY, HOUR, T0, Arena, drafts, newest_positions, position
from validator.assets import ASSET, AssetSelection
from validator.challenge import record
from validator.challenge.keeper import ChallengeKeeper
from validator.challenge.record import Admission, Challenge
from validator.challenge.rules import limits_of
from validator.challenge.standing import Standings
from validator.eliminations.keeper import rows
from validator.eliminations.requests import clear_plagiarism, report_plagiarism, request_elimination
from validator.entities.records import Subaccount, SubaccountMessage, subaccount_key
from validator.ledger.checkpoint import SPAN_MS, WINDOW_MS, Checkpoint
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of, through_draft
from validator.registry import ABSENT
from vanta_api.records import encode


class Court:
    """An arena with buckets; ``live`` are the ledgers' present values."""

    def __init__(self, *hotkeys: str, journal: MemoryJournal | None = None, **settings: Any) -> None:
        self.journal = journal or MemoryJournal()
        self.journal.append(drafts(*(position(hotkey, f"{hotkey}-1") for hotkey in hotkeys)))
        self.live: dict[str, tuple[float, float]] = dict.fromkeys(hotkeys, (1.0, 1.0))
        self.limits = limits_of(RulesSettings(**settings))
        self.start()

    def start(self) -> None:
        """Begin anew from the journal."""
        self.arena = Arena(self.journal)
        self.registry, self.index = self.arena.registry, self.arena.index
        standings = Standings(self.index, lambda hotkey: self.live.get(hotkey))
        self.keeper = ChallengeKeeper(self.index, self.registry, self.arena.keeper, standings, self.limits)

    def tick(self, now_ms: int, **how: bool) -> list[tuple[str, str]]:
        """One look of both keepers; who moved where."""
        self.arena.keeper.tick(now_ms)
        return [(step.hotkey, step.bucket) for step in self.keeper.tick(now_ms, **how)]

    def bucket(self, hotkey: str) -> str:
        return self.challenge(hotkey).bucket

    def challenge(self, hotkey: str) -> Challenge:
        return self.keeper.challenges()[hotkey]

    def select(self, hotkey: str, asset_class: str = "crypto") -> None:
        body = msgspec.json.encode(AssetSelection(hotkey, asset_class))
        self.registry.put(ASSET + hotkey, body, expected=ABSENT)

    def put(self, hotkey: str, bucket: str, since_ms: int) -> None:
        """A bucket that was there before."""
        body = record.encode(record.admitted(hotkey, bucket, since_ms))
        self.registry.put(record.key_of(hotkey), body, expected=ABSENT)

    def earn(self, hotkey: str, days: int, pnl: float, until_ms: int) -> None:
        """A ledger of finished spans, each realising ``pnl`` USD in a crypto pair."""
        end_ms = until_ms - until_ms % DAY
        for n in range(days * DAY // SPAN_MS):
            at_ms = end_ms - n * SPAN_MS
            one = Checkpoint(
                last_update_ms=at_ms, accum_ms=SPAN_MS, gain=1e-4, n_updates=1, realized_pnl=pnl, mpv=1.0
            )
            ledger = LedgerRecord(checkpoint=one, initialization_time_ms=0)
            self.journal.append(
                [
                    draft_of(
                        PerfCheckpoint(
                            hotkey=hotkey,
                            end_ms=at_ms,
                            target_cp_duration_ms=SPAN_MS,
                            target_ledger_window_ms=WINDOW_MS,
                            ledgers={"portfolio": ledger, "BTCUSD": ledger},
                        )
                    )
                ]
            )
        self.journal.append([through_draft(end_ms, SPAN_MS, 0)])


def test_who_trades_is_admitted_with_where_it_stands() -> None:
    court = Court("a", "b")
    court.live = {"a": (1.2, 0.9)}
    assert court.tick(T0) == []

    assert court.challenge("a").admission == Admission(value=1.2, drawdown=0.9)
    assert (court.bucket("a"), court.challenge("a").bucket_start_time) == ("CHALLENGE", T0)
    assert set(court.keeper.challenges()) == {"a"}  # the ledger of b is not made yet
    court.live["b"] = (1.0, 1.0)
    court.tick(T0 + 1)
    assert court.bucket("b") == "CHALLENGE"
    sequence = court.registry.sequence
    court.tick(T0 + 2)
    assert court.registry.sequence == sequence


def test_subaccounts_are_admitted_at_once_and_to_their_own_bucket() -> None:
    court = Court("5Entity_1")
    for number, terms in (
        (0, {}),
        (1, {}),
        (2, {"bucket": "PRO_CHALLENGE_DIRECT"}),
        (3, {"bucket": "NONSENSE"}),
    ):
        one = Subaccount(
            entity_hotkey="5Entity",
            subaccount_id=number,
            subaccount_uuid=str(number),
            created_at_ms=T0,
            account_size=1e5,
            asset_class="crypto",
            terms=dict(terms),  # type: ignore[arg-type]
        )
        body = encode(SubaccountMessage(subaccount=one))
        court.registry.put(subaccount_key("5Entity", number), body, expected=ABSENT)
    court.tick(T0)

    assert {hotkey: one.bucket for hotkey, one in court.keeper.challenges().items()} == {
        "5Entity_0": "SUBACCOUNT_CHALLENGE",
        "5Entity_1": "SUBACCOUNT_CHALLENGE",
        "5Entity_2": "PRO_CHALLENGE_DIRECT",
        "5Entity_3": "SUBACCOUNT_CHALLENGE",
    }
    late = dict(court.tick(T0 + 90 * DAY + 1))
    assert late == {f"5Entity_{n}": "ELIMINATED" for n in (0, 1, 3)}


def test_a_drawdown_of_ten_per_cent_closes_everything() -> None:
    court = Court("a", "b")
    court.tick(T0)
    court.live["a"] = (0.9, 0.9)

    assert court.tick(T0 + HOUR) == [("a", "ELIMINATED")]
    (row,) = rows(court.registry)
    assert (row.reason, row.dd) == ("FAILED_CHALLENGE_PERIOD_DRAWDOWN", 10.0)
    assert newest_positions(court.journal)["a|a-1"].is_closed_position
    assert not newest_positions(court.journal)["b|b-1"].is_closed_position
    assert [step.bucket for step in court.challenge("a").history] == ["CHALLENGE", "ELIMINATED"]
    assert court.tick(T0 + 2 * HOUR) == []


def test_losses_from_before_the_admission_are_forgiven() -> None:
    court = Court("a")
    court.live["a"] = (0.5, 0.5)
    court.tick(T0)
    assert court.tick(T0 + DAY) == []
    court.live["a"] = (0.46, 0.46)
    assert court.tick(T0 + DAY) == []
    court.start()
    court.live["a"] = (0.45, 0.45)

    assert court.tick(T0 + DAY) == [("a", "ELIMINATED")]


def test_buckets_that_were_restored_are_judged_from_their_beginning() -> None:
    """A checkpoint says nothing about admissions: Vanta's rule holds as it is."""
    court = Court("a")
    court.put("a", record.MAINCOMP, T0 - 100 * DAY)
    court.live["a"] = (0.89, 0.89)

    assert court.tick(T0) == [("a", "ELIMINATED")]
    assert rows(court.registry)[0].reason == "MAX_TOTAL_DRAWDOWN"


def test_time_runs_out_once_its_last_millisecond_has_passed() -> None:
    court = Court("a")
    court.put("a", record.PROBATION, T0)
    assert court.tick(T0 + 60 * DAY) == []
    assert court.tick(T0 + 60 * DAY + 1) == [("a", "ELIMINATED")]
    (row,) = rows(court.registry)

    assert (row.dd, row.reason) == (-1.0, "FAILED_CHALLENGE_PERIOD_TIME")
    assert row.elimination_initiated_time_ms == T0 + 60 * DAY + 1


def test_plagiarism_is_reviewed_cleared_or_ends() -> None:
    court = Court("a", "b")
    court.put("a", record.MAINCOMP, T0 - DAY)
    court.tick(T0)
    report_plagiarism(court.registry, "a", T0, "op", 0.9)
    assert court.tick(T0 + 1) == [("a", "PLAGIARISM")]
    assert (court.challenge("a").previous_bucket, court.challenge("a").bucket_start_time) == (
        "MAINCOMP",
        T0 + 1,
    )
    clear_plagiarism(court.registry, "a", T0 + 2, "op")
    assert court.tick(T0 + 3) == [("a", "MAINCOMP")]
    assert court.challenge("a").bucket_start_time == T0 - DAY
    report_plagiarism(court.registry, "b", T0 + 4, "op")
    assert court.tick(T0 + 5) == [("b", "PLAGIARISM")]
    assert court.tick(T0 + 5 + 14 * DAY) == []
    assert court.tick(T0 + 6 + 14 * DAY) == [("b", "ELIMINATED")]

    (row,) = rows(court.registry)
    assert (row.hotkey, row.reason, row.dd) == ("b", "PLAGIARISM", -1.0)


@pytest.fixture(scope="module")
def ranked() -> MemoryJournal:
    """Three hotkeys in the challenge with ledgers: 61 days good, 61 days bad, 10 days best."""
    court = Court("good", "bad", "young")
    for hotkey, days, pnl in (("good", 61, 5.0), ("bad", 61, 1.0), ("young", 10, 50.0)):
        court.earn(hotkey, days, pnl, T0)
        court.put(hotkey, record.CHALLENGE, T0 - 70 * DAY)
        court.select(hotkey)
    return court.journal


def test_scores_of_the_statistics_decide_who_rises_and_falls(ranked: MemoryJournal) -> None:
    court = Court(journal=ranked, promotion_rank=1)
    court.live = dict.fromkeys(("good", "bad", "young"), (1.0, 1.0))
    assert court.tick(T0, is_ranking=False) == []
    assert court.tick(T0, is_deciding=False) == []

    assert court.tick(T0) == [("good", "MAINCOMP")]  # nobody competes yet, so 60 days are asked of scores
    assert court.tick(T0 + 1) == [("good", "PROBATION")]  # now 7 are: the young one is better, but too young
    assert [step.bucket for step in court.challenge("good").history] == ["CHALLENGE", "MAINCOMP", "PROBATION"]


def test_without_a_selection_nobody_is_ranked_unless_there_is_a_default() -> None:
    court = Court("a", "b", challenge_minimum_days=0)
    for hotkey in "ab":
        court.earn(hotkey, 61, 1.0, T0)
        court.put(hotkey, record.CHALLENGE, T0)
    assert court.tick(T0) == []
    standings = Standings(court.index, lambda hotkey: court.live.get(hotkey))
    ranking = ChallengeKeeper(
        court.index, court.registry, court.arena.keeper, standings, court.limits, default_class="crypto"
    )

    assert {(step.hotkey, step.bucket) for step in ranking.tick(T0)} == {("a", "MAINCOMP"), ("b", "MAINCOMP")}


def test_a_bucket_that_somebody_else_moved_meanwhile_is_left_alone() -> None:
    court = Court("a")
    court.put("a", record.MAINCOMP, T0)
    report_plagiarism(court.registry, "a", T0, "op")
    facts = court.keeper._facts

    def interrupted(*arguments: Any, **named: Any) -> Any:
        found = facts(*arguments, **named)
        fact = court.registry.get(record.key_of("a"))
        assert fact is not None
        moved = record.moved(record.decode(fact.body), record.PROBATION, T0, T0)
        court.registry.put(fact.key, record.encode(moved), expected=fact.sequence)
        return found

    court.keeper._facts = interrupted  # type: ignore[method-assign]
    assert court.tick(T0 + 1) == []
    court.keeper._facts = facts  # type: ignore[method-assign]
    assert court.bucket("a") == "PROBATION"
    assert court.tick(T0 + 2) == [("a", "PLAGIARISM")]


def test_who_an_operator_put_out_is_judged_no_more() -> None:
    court = Court("a")
    court.tick(T0)
    request_elimination(court.registry, "a", T0, "op")
    court.live["a"] = (0.1, 0.1)

    assert court.tick(T0 + 1) == []
    assert court.bucket("a") == "ELIMINATED"
    assert [row.reason for row in rows(court.registry)] == ["MANUAL_ELIMINATION"]


def test_an_unreadable_fact_holds_up_nobody() -> None:
    court = Court("a", "b")
    for key in ("challenge|x", "plagiarism|x", "asset|x", "subaccount|x|0"):
        court.registry.put(key, b"{}", expected=ABSENT)
    court.journal.append([Draft(LEDGER, "perf|b|6h|0", b"{}")])
    court.tick(T0)

    assert {court.bucket("a"), court.bucket("b")} == {"CHALLENGE"}
