"""``python -m journal``: every command, its JSON and its exit codes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from journal import checkpoint
from journal.__main__ import main
from journal.entry import ORDERS, POSITIONS, Draft
from journal.eras import GAP
from journal.fold import catch_up
from journal.sqlite import SqliteJournal
from journal.state import State
from tests.journal.support import fill

CODES = {0: "clean, or done", 1: "damaged, or failed", 2: "wrong usage, or it could not run"}


@pytest.fixture(autouse=True)
def _captured_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run inside this process here: they must not tie its logs to a captured stream."""
    monkeypatch.setattr("runtime.logs.configure", lambda *_: None)
    with capture_logs():
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a journal, closed."""
    journal = open_in(tmp_path)
    fill(journal, 12)
    fill(journal, 3, ORDERS)
    journal.close()
    return tmp_path


def open_in(data: Path) -> SqliteJournal:
    return SqliteJournal(data / "journal" / "journal.sqlite3", witness_file=data / "witness.json")


def add_checkpoint(data: Path, at_ms: int) -> Path:
    journal, state = open_in(data), State()
    catch_up(state, journal)
    journal.close()
    return checkpoint.write(data / "checkpoints", state, at_ms)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """Run a command; returns its exit code, its output lines (JSON decoded with --json) and its errors."""
    code = main(argv)
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    return code, [json.loads(line) for line in lines] if "--json" in argv else lines, printed.err


def damage(data: Path) -> None:
    connection = apsw.Connection(str(data / "journal" / "journal.sqlite3"))
    connection.execute("UPDATE entry SET body = x'7b7d' WHERE stream = 1 AND sequence = 5")
    connection.close()


def test_verify_says_clean_and_what_it_counted(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_checkpoint(data, 1)

    code, (facts,), _ = run(capsys, "verify", "--data-dir", str(data), "--json")
    assert (code, facts["clean"], facts["findings"], facts["damaged_checkpoints"]) == (0, True, [], [])
    assert facts["entries"][POSITIONS] == 12
    code, lines, _ = run(capsys, "verify", "--data-dir", str(data))
    assert code == 0
    assert lines[-1].startswith("clean: ")


def test_verify_names_the_damaged_number(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(data)

    code, (facts,), _ = run(capsys, "verify", "--data-dir", str(data), "--json")
    assert code == 1
    assert {(f["stream"], f["sequence"]) for f in facts["findings"]} == {(POSITIONS, 5)}
    code, lines, _ = run(capsys, "verify", "--data-dir", str(data))
    assert code == 1
    assert lines[0].startswith("positions 5: ")
    assert lines[-1].startswith("DAMAGED")


def test_verify_names_a_damaged_checkpoint(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = add_checkpoint(data, 1)
    path.write_bytes(path.read_bytes()[:-1])

    code, (facts,), _ = run(capsys, "verify", "--data-dir", str(data), "--json")
    assert code == 1
    assert path.name in facts["damaged_checkpoints"][0]


@pytest.mark.parametrize("command", ["verify", "tail", "replay", "checkpoint", "stats", "new-epoch"])
def test_a_missing_journal_could_not_run_and_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    more = {"tail": ["--no-follow"], "new-epoch": ["--yes"]}.get(command, [])

    code, _, errors = run(capsys, command, "--data-dir", str(tmp_path / "nothing"), *more)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["tail", "--stream", "marks"], ["verify", "--what"]])
def test_wrong_usage_is_code_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    capsys.readouterr()


def test_a_bad_config_is_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[journal]\nretention_hours = 3\n")

    code, _, errors = run(capsys, "stats", "--config", str(config))
    assert code == 2
    assert "journal.retention_hours" in errors


@pytest.mark.parametrize("command", ["", "verify", "tail", "replay", "checkpoint", "stats", "new-epoch"])
def test_help_tells_the_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0

    text = capsys.readouterr().out
    assert all(f"{code}   {meaning}" in text for code, meaning in CODES.items())


def test_tail_prints_entries_as_lines_and_as_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = open_in(data)
    journal.append(
        [Draft(POSITIONS, "large", b'{"t":"%s"}' % (b"x" * 500)), Draft(POSITIONS, "raw", b"\xff")]
    )
    epoch = journal.epoch().id
    journal.close()
    common = ["tail", "--data-dir", str(data), "--no-follow"]

    code, lines, _ = run(capsys, *common, "--after", "11", "--stream", POSITIONS)
    assert code == 0
    assert [line.split()[1:4] for line in lines] == [
        [POSITIONS, "12", "key4"],
        [POSITIONS, "13", "large"],
        [POSITIONS, "14", "raw"],
    ]
    assert lines[1].endswith("... (508 bytes)")
    code, facts, _ = run(capsys, *common, "--after", "12", "--json")
    assert [(f["sequence"], f["epoch"]) for f in facts] == [(13, epoch), (14, epoch)]
    assert facts[0]["body"] == {"t": "x" * 500}
    assert facts[1]["body_base64"] == "/w=="
    assert run(capsys, *common) == (0, [], "")


def test_tail_tells_of_trimmed_entries(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = open_in(data)
    journal.trim(POSITIONS, 10)
    journal.close()

    code, lines, errors = run(
        capsys, "tail", "--data-dir", str(data), "--no-follow", "--after", "0", "--stream", POSITIONS
    )
    assert (code, len(lines)) == (0, 2)
    assert "1 to 10 were trimmed" in errors


def test_replay_finds_the_same_state_from_every_start(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_checkpoint(data, 1)
    journal = open_in(data)
    fill(journal, 40)
    journal.close()
    add_checkpoint(data, 2)

    code, (facts,), _ = run(capsys, "replay", "--data-dir", str(data), "--json")
    assert (code, facts["clean"], len(facts["replays"])) == (0, True, 3)
    assert [r["entries"] for r in facts["replays"]] == [0, 40, 55]
    assert len({r["digest"] for r in facts["replays"]}) == 1
    code, lines, _ = run(capsys, "replay", "--data-dir", str(data))
    assert (code, lines[-1]) == (0, "clean: every start gives the same state")


def test_replay_notices_a_checkpoint_with_another_state(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State()
    journal = open_in(data)
    catch_up(state, journal)
    journal.close()
    del state.latest[POSITIONS]["key0"]
    checkpoint.write(data / "checkpoints", state, 1)

    code, lines, _ = run(capsys, "replay", "--data-dir", str(data))
    assert (code, lines[-1]) == (1, "DAMAGED: the states differ")


def test_replay_fails_when_nothing_reaches_back_far_enough(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = open_in(data)
    journal.trim(POSITIONS, 3)
    journal.close()

    code, lines, _ = run(capsys, "replay", "--data-dir", str(data))
    assert code == 1
    assert lines[0].startswith("DAMAGED")


def test_checkpoint_writes_one_of_the_present(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, (facts,), _ = run(capsys, "checkpoint", "--data-dir", str(data), "--json")

    assert (code, facts["vector"][POSITIONS]) == (0, 12)
    _, state = checkpoint.load(Path(facts["file"]))
    assert state.vector == facts["vector"]
    code, lines, _ = run(capsys, "checkpoint", "--data-dir", str(data))
    assert code == 0
    assert lines[0].startswith(str(data))


def test_stats_shows_heads_epochs_and_checkpoints(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = add_checkpoint(data, 1)

    code, (facts,), _ = run(capsys, "stats", "--data-dir", str(data), "--json")
    assert code == 0
    assert facts["streams"][POSITIONS] == {"head": 12, "oldest": 1}
    assert facts["checkpoints"] == [path.name]
    assert [epoch["reason"] for epoch in facts["epochs"]] == ["first"]
    assert facts["witness"]["heads"][POSITIONS] == 12
    assert facts["bytes"] > 0
    code, lines, _ = run(capsys, "stats", "--data-dir", str(data))
    assert code == 0
    assert "head 12, oldest 1" in lines[0]


def test_new_epoch_asks_first(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run(capsys, "new-epoch", "--data-dir", str(data))
    assert code == 2
    assert "--yes" in errors

    code, (facts,), _ = run(capsys, "new-epoch", "--data-dir", str(data), "--yes", "--json")
    assert (code, facts["first"][POSITIONS]) == (0, 12 + GAP)
    journal = open_in(data)
    assert journal.epoch().id == facts["id"]
    journal.close()


def test_a_damaged_journal_is_code_one_for_commands_that_read_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(data)

    for command in ("replay", "checkpoint"):
        code, _, errors = run(capsys, command, "--data-dir", str(data))
        assert code == 1
        assert "journal verify" in errors


def test_tail_follows_live_and_ends_on_interrupt(data: Path) -> None:
    command = [sys.executable, "-m", "journal", "tail", "--data-dir", str(data), "--after", "11"]
    command += ["--stream", POSITIONS, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["sequence"] == 12
        journal = open_in(data)
        fill(journal, 1)
        journal.close()
        assert json.loads(process.stdout.readline())["sequence"] == 13
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_the_keeper_runs_as_a_worker(data: Path) -> None:
    shutil.rmtree(data / "checkpoints", ignore_errors=True)
    command = [sys.executable, "-m", "journal", "keeper", "--data-dir", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        assert len(checkpoint.files(data / "checkpoints")) == 1
        journal = open_in(data)
        fill(journal, 5)
        deadline = time.monotonic() + 20
        while "17" not in (data / "run" / "keeper.prom").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        journal.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    newest = checkpoint.read_header(checkpoint.files(data / "checkpoints")[0])
    assert newest.vector[POSITIONS] == 17


def test_the_keeper_cannot_start_on_a_damaged_journal(data: Path) -> None:
    (data / "journal" / "journal.sqlite3").write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        (data / "journal" / f"journal.sqlite3{suffix}").unlink(missing_ok=True)

    ended = subprocess.run(
        [sys.executable, "-m", "journal", "keeper", "--data-dir", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 3
    assert "journal verify" in ended.stderr.splitlines()[-1]
