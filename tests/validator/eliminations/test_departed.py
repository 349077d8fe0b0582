"""Who left the metagraph: only members can, for ever, and a broken metagraph accuses nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journal.memory import MemoryJournal
from tests.validator.eliminations.arena import DAY, T0, Arena, drafts, newest_positions, position
from validator.eliminations.departed import departed, is_suspicious, read_metagraph
from validator.eliminations.keeper import rows

MINERS = [f"miner{n:03}" for n in range(200)]


def arena(*hotkeys: str, metagraph: list[str] | None) -> Arena:
    journal = MemoryJournal()
    journal.append(drafts(*(position(hotkey, f"{hotkey}-1") for hotkey in hotkeys)))
    return Arena(journal, metagraph=metagraph)


def test_without_a_metagraph_nobody_is_a_zombie() -> None:
    one = arena("miner001", metagraph=None)

    assert one.keeper.tick(T0) == []
    assert one.keeper.tick(T0 + 100 * DAY) == []
    assert departed(one.registry) == {}


def test_who_leaves_is_eliminated_and_listed_with_the_time() -> None:
    one = arena("miner001", "miner002", "o2:0xabc", metagraph=MINERS)
    assert one.keeper.tick(T0) == []
    one.members = frozenset(MINERS) - {"miner001"}

    assert one.keeper.tick(T0 + 5) == ["miner001"]
    (row,) = rows(one.registry)
    assert (row.reason, row.dd, row.elimination_initiated_time_ms) == ("ZOMBIE", None, T0 + 5)
    assert departed(one.registry) == {"miner001": {"detected_ms": T0 + 5}}
    assert newest_positions(one.journal)["miner001|miner001-1"].is_closed_position


def test_who_comes_back_stays_departed_and_out() -> None:
    one = arena("miner001", metagraph=MINERS)
    one.keeper.tick(T0)
    one.members = frozenset(MINERS) - {"miner001"}
    one.keeper.tick(T0 + 1)
    one.members = frozenset(MINERS)
    one.keeper.tick(T0 + 2)

    assert departed(one.registry) == {"miner001": {"detected_ms": T0 + 1}}
    assert [row.hotkey for row in rows(one.registry)] == ["miner001"]


def test_a_member_that_left_while_the_validator_was_down_is_noticed() -> None:
    one = arena("miner001", metagraph=MINERS)
    one.keeper.tick(T0)
    again = Arena(one.journal, metagraph=set(MINERS) - {"miner001"})

    assert again.keeper.tick(T0 + DAY) == ["miner001"]


def test_a_metagraph_that_lost_a_quarter_at_once_is_not_believed_for_a_day() -> None:
    one = arena("miner001", "miner199", metagraph=MINERS)
    one.keeper.tick(T0)
    one.members = frozenset(MINERS[:150])
    assert one.keeper.tick(T0 + 1) == []
    assert one.keeper.tick(T0 + DAY) == []

    assert one.keeper.tick(T0 + DAY + 1) == ["miner199"]


def test_a_metagraph_that_recovers_in_time_accused_nobody() -> None:
    one = arena("miner199", metagraph=MINERS)
    one.keeper.tick(T0)
    for later, members in ((1, MINERS[:100]), (DAY - 1, MINERS), (DAY + 5, MINERS[:100]), (2 * DAY, MINERS)):
        one.members = frozenset(members)
        assert one.keeper.tick(T0 + later) == []

    assert departed(one.registry) == {}


def test_a_slowly_shrinking_metagraph_is_believed() -> None:
    one = arena("miner199", metagraph=MINERS)
    for step, size in enumerate(range(200, 60, -4)):
        one.members = frozenset(MINERS[:size])
        one.keeper.tick(T0 + step)

    assert list(departed(one.registry)) == ["miner199"]


@pytest.mark.parametrize(
    ("lost", "before", "expected"),
    [(9, 20, False), (10, 40, True), (10, 41, False), (0, 0, False), (-5, 100, False), (200, 200, True)],
)
def test_what_is_suspicious(lost: int, before: int, expected: bool) -> None:
    assert is_suspicious(lost, before) is expected


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", "null", "[]", '"a"'])
def test_a_file_that_is_no_list_of_hotkeys_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metagraph.json"
    path.write_text(text)

    assert read_metagraph(path) is None
    assert read_metagraph(tmp_path / "missing") is None


def test_a_good_file_gives_the_hotkeys(tmp_path: Path) -> None:
    path = tmp_path / "metagraph.json"
    path.write_text(json.dumps(MINERS))

    assert read_metagraph(path) == frozenset(MINERS)
