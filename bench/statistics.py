"""Ledgers and statistics: what one more minute or one changed hotkey costs, against doing everything again.

The plain way computes the same numbers from scratch; the ratio is what keeping the intermediate results is
worth. The other rows show how cost grows with the history behind it: a ratio of 1 means that it does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.rows import Row, compare, show
from tests.validator.ledger.world import DAY, HOUR, MINUTE, T0, VENUE_PAIRS, MinuteMarks
from tests.validator.statistics.stage import World, world
from validator.ledger.account import Account, Rules
from validator.ledger.curve import Curve, curve_of
from validator.ledger.tape import Tapes
from validator.statistics import StatisticsBook

RULES = Rules(span_ms=6 * HOUR, window_ms=120 * DAY, correction_ms=24 * HOUR)
SEED = 7
HOTKEYS = 60
LONG_DAYS, SHORT_DAYS = 60, 6


def run() -> list[Row]:
    """All rows."""
    return [*_statistics(), *_ledgers()]


def _statistics() -> list[Row]:
    long, short = (world(SEED, HOTKEYS, days, gaps=0.97) for days in (LONG_DAYS, SHORT_DAYS))
    books = long.book(), short.book()
    fast, slow = compare(lambda: _refresh(long, books[0]), lambda: _from_scratch(long))
    much, little = compare(lambda: _compared(books[0], long), lambda: _compared(books[1], short))
    return [
        Row(
            f"statistics after a change of 1 of {len(long.bundles)} hotkeys, {LONG_DAYS} days each",
            fast,
            slow,
            "answers/s",
            "measuring and encoding every hotkey",
        ),
        Row(
            f"comparing {len(long.bundles)} hotkeys of {LONG_DAYS} days",
            much,
            little,
            "answers/s",
            f"the same with {SHORT_DAYS} days",
        ),
    ]


def _refresh(known: World, book: StatisticsBook) -> int:
    one = next(iter(known.bundles))
    book.update(one, known.bundles[one], known.positions[one], known.facts[one])
    return 1 if book.envelope(known.now_ms) else 0


def _from_scratch(known: World) -> int:
    return 1 if known.book().envelope(known.now_ms) else 0


def _compared(book: StatisticsBook, known: World) -> int:
    """A hotkey comes and goes: everyone's place is found again, nobody is measured."""
    book.update("passing", {}, [])
    book.remove("passing")
    return 1 if book.envelope(known.now_ms, checkpoints=False) else 0


def _ledgers() -> list[Row]:
    known = world(SEED, hotkeys=1, days=LONG_DAYS, gaps=0.5, pairs=VENUE_PAIRS)
    end_ms = T0 + LONG_DAYS * DAY
    curves = [curve_of(one) for one in next(iter(known.positions.values()))]
    recent = [one for one in curves if one.close_ms is None or one.close_ms >= end_ms - 2 * DAY]
    tapes = Tapes(_longer(known.marks, end_ms))
    long, short = _account(curves, end_ms, tapes), _account(recent, end_ms, tapes)
    fast, slow = compare(lambda: _minutes(long, end_ms, tapes), lambda: _again(curves, end_ms, tapes))
    much, little = compare(lambda: _minutes(long, end_ms, tapes), lambda: _minutes(short, end_ms, tapes))
    return [
        Row("one more minute of a ledger", fast, slow, "minutes/s", "the ledger from its beginning"),
        Row(
            f"one more minute with {len(curves)} positions behind it",
            much,
            little,
            "minutes/s",
            f"the same with {len(recent)}",
        ),
    ]


def _account(curves: Sequence[Curve], through_ms: int, tapes: Tapes) -> Account:
    """An account at a boundary."""
    account = Account("hk", RULES)
    for curve in curves:
        account.take(curve)
    account.recompute(through_ms, tapes).commit()
    return account


def _minutes(account: Account, through_ms: int, tapes: Tapes) -> int:
    """The open span, minute by minute, almost to its end."""
    account.span = None
    count = RULES.span_ms // MINUTE - 1
    for minute in range(1, count + 1):
        account.extend(through_ms + minute * MINUTE, tapes)
    return count


def _again(curves: Sequence[Curve], through_ms: int, tapes: Tapes) -> int:
    """The first of those minutes, with everything before it."""
    _account(curves, through_ms, tapes).extend(through_ms + MINUTE, tapes)
    return 1


def _longer(marks: MinuteMarks, end_ms: int) -> MinuteMarks:
    """The marks with a price for every minute of another span."""
    for pair in VENUE_PAIRS:
        price = float(marks.prices[pair][-1])
        for minute in range(RULES.span_ms // MINUTE):
            marks.put(pair, end_ms + minute * MINUTE, f"{price * (1 + minute % 7 / 1000):.6f}")
    return marks


if __name__ == "__main__":
    show(run())
