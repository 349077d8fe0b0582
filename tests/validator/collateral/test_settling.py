"""What was left unfinished: settled in the background, or by an operator."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from journal.entry import UnavailableError
from journal.layout import open_journal
from runtime.clock import FakeClock
from runtime.settings import Settings
from tests.validator.collateral.people import COLD, HOT, THETA, collateral_settings, deposit
from tests.validator.collateral.stand_in import StandIn
from tests.validator.collateral.test_chain import Bench, address
from validator.collateral.__main__ import main
from validator.collateral.rules import Withdrawal
from validator.collateral.settler import Settler
from validator.collateral.setup import open_collateral
from validator.registry import Registry


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_VAULT", "//Vault")
    monkeypatch.setenv("TEST_CONTRACT", "0x" + "42" * 32)


@pytest.fixture
def chain() -> Iterator[StandIn]:
    found = StandIn()
    yield found
    found.close()


def eventually(is_so: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether it becomes so in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.02)
    return False


def test_an_unfinished_deposit_is_finished_in_the_background(chain: StandIn) -> None:
    bench = Bench(chain)
    chain.hold = True
    assert "not known yet" in bench.deposit(300)
    chain.hold = False
    chain.mine()
    settler = Settler(bench.service.backend, every_s=0.05)
    settler.start()
    assert eventually(lambda: bench.operations()[0][1] == "done")
    settler.stop()
    assert chain.balance(HOT) == 300 * THETA - 2


class Unwilling:
    """A backend that cannot settle at first."""

    def __init__(self) -> None:
        self.times = 0

    def settle(self) -> int:
        self.times += 1
        if self.times < 3:
            raise UnavailableError("no room")
        return 0


def test_trouble_only_postpones_it() -> None:
    backend: Any = Unwilling()
    settler = Settler(backend, every_s=0.01)
    settler.start()
    assert eventually(lambda: backend.times > 4)
    settler.stop()
    times = backend.times
    assert not eventually(lambda: backend.times > times + 1, 0.1)


def stuck_in(directory: Path, chain: StandIn) -> str:
    """A data directory in which a deposit is stuck; returns the operation's key."""
    settings = Settings(data_dir=directory)
    journal = open_journal(settings)
    bench = Bench(chain, journal)
    chain.fail_calls = {"move_stake"}
    bench.clock.on_sleep = lambda: chain.stakes.clear()
    assert "settled by hand" in bench.deposit(300)
    (fact,) = bench.registry.with_prefix("deposit|")
    journal.close()
    chain.fail_calls.clear()
    chain.stakes[COLD.public_key, HOT.public_key] = 500 * THETA
    return fact.key


def test_an_operator_sees_what_is_stuck_and_closes_it(
    chain: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = stuck_in(tmp_path, chain)
    capsys.readouterr()  # the log of what became stuck
    where = ["--data-dir", str(tmp_path)]
    assert main(["operations", *where]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    shown = json.loads(line)
    assert (shown["key"], shown["state"], shown["hotkey"]) == (key, "stuck", HOT.ss58_address)
    assert [step["name"] for step in shown["steps"]][:2] == ["transfer", "move-1"]

    assert main(["close", key, "failed", *where]) == 0
    assert main(["operations", *where]) == 0
    assert capsys.readouterr().out == ""
    assert main(["operations", "--all", *where]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "failed"
    assert main(["close", key, "done", *where]) == 1
    assert "not stuck" in capsys.readouterr().err

    journal = open_journal(Settings(data_dir=tmp_path))
    bench = Bench(chain, journal)
    assert bench.deposit(300, nonce=1) == ""
    assert bench.service.backend.withdraw(
        address(HOT), address(COLD), lambda held: Withdrawal(THETA, 0, 1.0, held - THETA)
    ).paid
    journal.close()


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data-dir", str(tmp_path)]
    assert main(["operations", *where]) == 2
    assert "no journal" in capsys.readouterr().err
    settings = Settings(data_dir=tmp_path, collateral=collateral_settings(tmp_path))
    journal = open_journal(settings)
    local = open_collateral(settings, Registry(journal), FakeClock(), lambda _: 1.0)
    assert local.deposit(deposit(THETA)) == ""
    journal.close()
    assert main(["operations", "--all", *where]) == 0  # a local deposit is no operation
    assert main(["close", "deposit|x", "done", *where]) == 1
    assert "no operation" in capsys.readouterr().err


def test_bad_settings_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "VANTA_NOTHING", "1")
    assert main(["operations"]) == 2
    assert "unknown setting" in capsys.readouterr().err
