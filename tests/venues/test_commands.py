"""``python -m venues`` by hand: a sandbox, a capture of it, and the capture rerun at the desk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.sqlite import SqliteJournal
from runtime.clock import SystemClock
from runtime.settings import SandboxSettings, Settings, VenueSettings, dump
from tests.end_to_end.stack import ROOT
from venues.sandboxes import arrange


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "venues", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    """Resolved settings that point at a running O2 sandbox."""
    (tmp_path / "data").mkdir()
    wanted = Settings(
        data_dir=tmp_path / "data",
        log_level="error",
        venues={"o2": VenueSettings()},
        sandbox=SandboxSettings(enabled=True, seed=3, accounts=2),
    )
    resolved, (sandbox,) = arrange(wanted, SystemClock())
    dump(resolved, tmp_path / "settings.json")
    command = [sys.executable, "-m", "venues", *sandbox.arguments, "--data-dir", str(tmp_path / "data")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["accounts"] == [account.account for account in resolved.venues["o2"].accounts]
        yield tmp_path / "settings.json"
        process.terminate()


def test_a_recorded_day_can_be_rerun(settings: Path, tmp_path: Path) -> None:
    recorded = run(tmp_path, "record", "o2", "--out", "capture", "--count", "2", "--settings", str(settings))
    assert recorded.returncode == 0, recorded.stderr
    assert "4 polls written" in recorded.stdout

    replayed = run(tmp_path, "replay", "capture", "--data-dir", "again", "--log-level", "error")
    assert replayed.returncode == 0, replayed.stderr
    assert "4 polls replayed" in replayed.stdout

    journal = SqliteJournal(tmp_path / "again" / "journal" / "journal.sqlite3")
    head = journal.head("positions")
    journal.close()

    assert head > 10

    run(tmp_path, "replay", "capture", "--data-dir", "again", "--log-level", "error")
    journal = SqliteJournal(tmp_path / "again" / "journal" / "journal.sqlite3")

    assert journal.head("positions") == head, "the same day again is no news"
    journal.close()


def test_a_capture_that_is_none_is_refused_with_the_next_step(tmp_path: Path) -> None:
    done = run(tmp_path, "replay", "nowhere")

    assert done.returncode == 3
    assert "python -m venues record" in done.stderr


def test_an_unknown_venue_is_refused_naming_the_known_ones(tmp_path: Path) -> None:
    done = run(tmp_path, "poll", "nasdaq")

    assert done.returncode == 2
    assert "ostium" in done.stderr


def test_polling_without_an_account_says_what_to_configure(tmp_path: Path) -> None:
    done = run(tmp_path, "poll", "o2")

    assert done.returncode == 3
    assert "[[venues.o2.accounts]]" in done.stderr
