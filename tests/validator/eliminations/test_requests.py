"""What operators ask for."""

from __future__ import annotations

from journal.memory import MemoryJournal
from validator.eliminations.requests import (
    Plagiarism,
    clear_plagiarism,
    plagiarism_of,
    report_plagiarism,
    request_elimination,
    requests,
)
from validator.registry import Registry

T0 = 1_750_000_000_000


def test_a_report_stands_until_it_is_withdrawn() -> None:
    registry = Registry(MemoryJournal())
    assert plagiarism_of(registry, "a") is None
    assert clear_plagiarism(registry, "a", T0, "op") is None
    report_plagiarism(registry, "a", T0, "op", 0.9)
    again = report_plagiarism(registry, "a", T0 + 5, "other", 0.95)

    assert again == Plagiarism(hotkey="a", reported_ms=T0, by="other", score=0.95)
    cleared = clear_plagiarism(registry, "a", T0 + 9, "op")
    assert cleared is not None
    assert cleared.cleared_ms == T0 + 9
    assert clear_plagiarism(registry, "a", T0 + 10, "op") == cleared
    assert plagiarism_of(registry, "a") == cleared
    anew = report_plagiarism(registry, "a", T0 + 20, "op")
    assert (anew.reported_ms, anew.score, anew.cleared_ms) == (T0 + 20, None, None)


def test_the_first_request_counts() -> None:
    registry = Registry(MemoryJournal())
    first = request_elimination(registry, "a", T0, "op", "why")

    assert request_elimination(registry, "a", T0 + 1, "op2", "other") == first
    assert requests(registry) == [first]
