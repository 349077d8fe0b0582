"""``python -m validator COMMAND``: what an operator says reaches the journal, and nonsense does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from journal.fold import catch_up
from journal.layout import open_journal
from journal.state import State
from runtime.settings import Settings
from tests.validator.eliminations.arena import T0, Arena, drafts, newest_positions, position
from validator import commands
from validator.challenge import record
from validator.eliminations.keeper import rows
from validator.eliminations.requests import plagiarism_of, requests
from validator.registry import ABSENT, Registry


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in which hotkey ``a`` trades."""
    journal = open_journal(Settings(data_dir=tmp_path))
    journal.append(drafts(position("a", "a1")))
    known = record.admitted("a", record.CHALLENGE, T0)
    Registry(journal).put(record.key_of("a"), record.encode(known), expected=ABSENT)
    journal.close()
    return tmp_path


def said(data: Path, *words: str) -> int:
    return commands.main([*words, "--data-dir", str(data)])


def outcome(data: Path, *words: str) -> object:
    """The exit code, however it is given."""
    try:
        return said(data, *words)
    except SystemExit as left:
        return left.code


def arena(data: Path) -> Arena:
    return Arena(open_journal(Settings(data_dir=data)))


def test_a_report_is_written_and_withdrawn(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(data, "report-plagiarism", "a", "--score", "0.9") == 0
    report = plagiarism_of(arena(data).registry, "a")
    assert report is not None
    assert (report.score, report.by, report.cleared_ms) == (0.9, "command line", None)
    assert said(data, "clear-plagiarism", "a") == 0
    cleared = plagiarism_of(arena(data).registry, "a")

    assert cleared is not None
    assert cleared.cleared_ms is not None
    assert capsys.readouterr().out.splitlines() == [
        "a is reported: it is under review from now on",
        "a is cleared: it goes back to the bucket it was in",
    ]


def test_an_elimination_is_carried_out_by_the_next_look(data: Path) -> None:
    assert said(data, "eliminate", "a", "--reason", "broke the rules") == 0
    court = arena(data)
    assert [one.reason for one in requests(court.registry)] == ["broke the rules"]
    court.keeper.tick(T0)

    assert [row.reason for row in rows(court.registry)] == ["broke the rules"]
    assert newest_positions(court.journal)["a|a1"].is_closed_position
    assert said(data, "eliminate", "a") == 1
    assert said(data, "report-plagiarism", "a") == 1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("report-plagiarism", "b"), 1, "b is not known here: GET /miner-hotkeys lists who is"),
        (("eliminate", "b"), 1, "b is not known here: GET /miner-hotkeys lists who is"),
        (("clear-plagiarism", "a"), 1, "nobody has reported a"),
        (("report-plagiarism", "a", "--score", "2"), 2, "must be a number from 0 to 1"),
        (("report-plagiarism", "a", "--score", "nan"), 2, "must be a number from 0 to 1"),
        (("report-plagiarism", "a", "--score", "x"), 2, "must be a number from 0 to 1"),
        (("eliminate", "a", "--reason", "a\nb"), 2, "must be one line"),
        (("eliminate", "a", "--reason", " "), 2, "must be one line"),
        (("eliminate",), 2, "hotkey"),
        (("eliminate", "a", "--api-rest-port", "x"), 2, "api_rest_port"),
    ],
)
def test_nonsense_is_refused_with_one_clear_line(
    data: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, text: str
) -> None:
    journal = open_journal(Settings(data_dir=data))
    before = journal.heads()
    assert outcome(data, *words) == code
    assert text in capsys.readouterr().err.splitlines()[-1]
    assert journal.heads() == before
    journal.close()


def test_without_a_journal_there_is_nothing_to_say_it_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(tmp_path / "nowhere", "eliminate", "a") == 2
    assert "there is no journal" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_the_module_runs_commands(data: Path) -> None:
    command = [sys.executable, "-m", "validator", "eliminate", "a", "--data-dir", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a will be eliminated for good: MANUAL_ELIMINATION\n"
    journal = open_journal(Settings(data_dir=data))
    state = State()
    catch_up(state, journal)
    assert "elimination_request|a" in state.latest["registry"]
    journal.close()
