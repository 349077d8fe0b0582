"""The local ledger: deposits, withdrawals, ownership; restarts, threads and processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bittensor_wallet import Keypair
from hypothesis import given
from hypothesis import strategies as st

from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from runtime.clock import FakeClock
from runtime.settings import CollateralSettings, Settings
from tests.validator.collateral.people import (
    COLD,
    HOT,
    OTHER,
    OTHER_HOT,
    THETA,
    collateral_settings,
    deposit,
    runtime_metadata,
    signed,
    transfer_call,
)
from validator.collateral import extrinsic
from validator.collateral.accounts import read_account
from validator.collateral.backend import (
    CollateralError,
    InvalidExtrinsicError,
    LimitError,
    OutOfServiceError,
)
from validator.collateral.owners import BYTES_MAX, LOOK_EVERY_S, Owners
from validator.collateral.rules import Withdrawal
from validator.collateral.service import Collateral
from validator.collateral.setup import SetupError, open_collateral
from validator.registry import Registry, Store
from validator.signing import Address, address_of


def address(keypair: Keypair) -> Address:
    return address_of(keypair.ss58_address)


def opened(directory: Path, journal: Store, **changes: Any) -> Collateral:
    """The service on a journal; ``changes`` go into the settings."""
    chosen = changes.pop("collateral", None) or collateral_settings(directory)
    settings = Settings(collateral=chosen, **changes)
    return open_collateral(settings, Registry(journal), FakeClock(), lambda _: 1.0)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def local(tmp_path: Path, journal: MemoryJournal) -> Collateral:
    return opened(tmp_path, journal)


def all_of(balance: int) -> Withdrawal:
    """Terms that pay everything."""
    return Withdrawal(balance, 0, 1.0, 0)


def test_a_deposit_counts_for_its_hotkey(local: Collateral) -> None:
    done = local.backend.deposit(deposit(300 * THETA))

    assert (done.hotkey, done.rao, done.balance) == (address(HOT), 300 * THETA, 300 * THETA)
    assert local.balance(address(HOT)) == 300 * THETA
    assert local.balance(address(OTHER_HOT)) == 0


def test_the_same_extrinsic_counts_once(local: Collateral) -> None:
    sent = deposit(300 * THETA)
    for _ in range(3):
        assert local.backend.deposit(sent).balance == 300 * THETA


def test_the_same_transaction_signed_twice_counts_once(local: Collateral) -> None:
    """Signatures differ each time; the transaction's number does not."""
    first, second = deposit(300 * THETA, nonce=4), deposit(300 * THETA, nonce=4)
    assert first != second
    local.backend.deposit(first)
    assert local.backend.deposit(second).balance == 300 * THETA
    with pytest.raises(CollateralError, match="same number"):
        local.backend.deposit(deposit(200 * THETA, nonce=4))
    assert local.backend.deposit(deposit(200 * THETA, nonce=5)).balance == 500 * THETA


def test_a_replayed_deposit_is_known_after_its_balance_was_withdrawn(local: Collateral) -> None:
    sent = deposit(300 * THETA)
    local.backend.deposit(sent)
    local.backend.withdraw(address(HOT), address(COLD), all_of)
    assert local.backend.deposit(sent).balance == 0


def test_a_balance_may_reach_the_limit_and_not_exceed_it(local: Collateral) -> None:
    local.backend.deposit(deposit(990 * THETA))
    with pytest.raises(LimitError) as refusal:
        local.backend.deposit(deposit(10 * THETA + 1, nonce=1))
    assert str(refusal.value) == (
        "Deposit would exceed maximum balance limit. Current: 990.00 Theta, Deposit: 10.00 Theta,"
        " Limit: 1000.0 Theta"
    )
    assert local.backend.deposit(deposit(10 * THETA, nonce=1)).balance == 1000 * THETA


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"destination": OTHER}, "does not match the vault"),
        ({"origin_netuid": 9}, "origin netuid 9 does not match the network's netuid 8"),
        ({"destination_netuid": 9}, "destination netuid 9 does not match"),
        ({"signer": OTHER}, "does not own"),
        ({"rao": 0}, "zero"),
    ],
)
def test_a_transfer_that_is_no_deposit_is_refused(
    local: Collateral, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(CollateralError, match=words):
        local.backend.deposit(deposit(**{"rao": THETA, **arguments}))
    assert local.balance(address(HOT)) == 0


def test_what_cannot_be_understood_is_told_apart_from_what_is_refused(local: Collateral) -> None:
    with pytest.raises(InvalidExtrinsicError):
        local.backend.deposit(b"\0")
    forged = deposit(THETA).replace(COLD.public_key, OTHER.public_key)
    with pytest.raises(InvalidExtrinsicError, match="signature"):
        local.backend.deposit(forged)


def test_who_deposits_first_owns_a_hotkey_that_nobody_is_named_for(local: Collateral) -> None:
    assert not local.backend.owns(address(OTHER), address(OTHER_HOT))
    local.backend.deposit(deposit(THETA, signer=OTHER, hotkey=OTHER_HOT))

    assert local.backend.owns(address(OTHER), address(OTHER_HOT))
    with pytest.raises(CollateralError, match="does not own"):
        local.backend.deposit(deposit(THETA, signer=COLD, hotkey=OTHER_HOT))


def test_the_owners_file_has_the_last_word_and_is_read_again(tmp_path: Path, journal: MemoryJournal) -> None:
    clock = FakeClock()
    path = tmp_path / "owners.json"
    owners = Owners(Registry(journal), path, clock)
    assert owners.owner_of("hot") is None
    assert owners.error
    path.write_text('{"hot": "cold"}')
    clock.advance(LOOK_EVERY_S)
    assert (owners.owner_of("hot"), owners.error) == ("cold", None)
    for content in ('{"hot": 5}', "[", "", '{"hot": "o'):
        path.write_text(content)
        clock.advance(LOOK_EVERY_S)
        assert owners.owner_of("hot") == "cold"
        assert owners.error
    with path.open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    clock.advance(LOOK_EVERY_S)
    assert owners.owner_of("hot") == "cold"
    assert "longer" in (owners.error or "")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"metadata_file": "x"}, "the local backend also needs genesis_hash, vault_coldkey"),
        ({"backend": "chain"}, "the chain backend also needs node_url, evm_url, evm_chain_id, contract"),
        ({"vault_secret": "env:A"}, "vault_secret and contract_secret go together"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CollateralSettings(**values)


def test_withdrawals_and_slashes_leave_the_balance_and_a_trace(
    local: Collateral, journal: MemoryJournal
) -> None:
    local.backend.deposit(deposit(300 * THETA))

    def terms(held: int) -> Withdrawal:
        return Withdrawal(100 * THETA, 50 * THETA, 0.95, held - 100 * THETA)

    done = local.backend.withdraw(address(HOT), address(COLD), terms)
    assert (done.paid, local.balance(address(HOT))) == (50 * THETA, 200 * THETA)
    assert local.backend.slash(address(HOT), 500 * THETA) == 200 * THETA
    assert local.backend.slash(address(HOT), 1) == 0

    entries = [e for e in journal.read("registry", 0).entries if e.key.startswith("collateral|")]
    movements = [read_account(entry.body).movement for entry in entries]
    assert [(m.kind, m.rao, m.slashed, m.coldkey) for m in movements if m] == [
        ("deposit", 300 * THETA, 0, COLD.ss58_address),
        ("withdrawal", 100 * THETA, 50 * THETA, COLD.ss58_address),
        ("slash", 200 * THETA, 200 * THETA, None),
    ]


def test_account_sizes_follow_every_change(local: Collateral) -> None:
    local.backend.deposit(deposit(300 * THETA))
    local.backend.deposit(deposit(900 * THETA - 200 * THETA, nonce=1))
    local.backend.slash(address(HOT), 999 * THETA)
    (sizes,) = local.account_sizes().values()

    assert [(one.account_size, one.account_size_theta) for one in sizes] == [
        (150_000.0, 300.0),
        (500_000.0, 1000.0),
        (500.0, 1.0),
    ]


def test_without_metadata_no_deposits_are_taken(tmp_path: Path, journal: MemoryJournal) -> None:
    bare = opened(tmp_path, journal, collateral=CollateralSettings())
    with pytest.raises(OutOfServiceError):
        bare.backend.check_deposits()
    with pytest.raises(OutOfServiceError):
        bare.backend.deposit(deposit(THETA))
    assert bare.balance(address(HOT)) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata_file": "/nowhere"}, "metadata_file: No such file"),
        ({"metadata_file": __file__}, "metadata_file: neither metadata nor its hex"),
        ({"genesis_hash": "zz"}, "genesis_hash"),
        ({"genesis_hash": "00"}, "genesis_hash"),
        ({"vault_coldkey": "5x"}, "vault_coldkey"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    tmp_path: Path, journal: MemoryJournal, change: dict[str, Any], words: str
) -> None:
    usual = collateral_settings(tmp_path)
    fields = {name: getattr(usual, name) for name in usual.__struct_fields__}
    with pytest.raises(SetupError, match=words):
        opened(tmp_path, journal, collateral=CollateralSettings(**{**fields, **change}))


@given(st.lists(st.tuples(st.sampled_from("dwsr"), st.integers(1, 400)), max_size=25))
def test_balances_are_what_came_less_what_went(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Deposits, withdrawals, slashes and restarts in any order."""
    journal, directory, balance = MemoryJournal(), tmp_path_factory.mktemp("local"), 0
    local = opened(directory, journal)
    for number, (kind, theta) in enumerate(steps):
        rao = theta * THETA
        if kind == "d" and balance + rao <= 1000 * THETA:
            balance += rao
            assert local.backend.deposit(deposit(rao, nonce=number)).balance == balance
        elif kind == "w" and rao <= balance:
            balance -= rao
            amount = rao
            local.backend.withdraw(
                address(HOT), address(COLD), lambda held, rao=amount: Withdrawal(rao, 0, 1.0, held - rao)
            )
        elif kind == "s":
            balance -= local.backend.slash(address(HOT), rao)
        elif kind == "r":
            local = opened(directory, journal)
        assert local.balance(address(HOT)) == balance >= 0


def test_threads_with_one_extrinsic_deposit_once(local: Collateral) -> None:
    sent = deposit(100 * THETA)
    threads = [threading.Thread(target=local.backend.deposit, args=(sent,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert local.balance(address(HOT)) == 100 * THETA


def deposit_all(directory: str, extrinsics: str) -> None:
    """Deposit every extrinsic, as another process."""
    local = opened(Path(directory), SqliteJournal(Path(directory) / "journal.sqlite3"))
    for text in json.loads(extrinsics):
        local.backend.deposit(bytes.fromhex(text))


def test_processes_with_the_same_extrinsics_deposit_each_once(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    local = opened(tmp_path, journal)
    extrinsics = [deposit(THETA, nonce=number).hex() for number in range(25)]
    code = (
        "import sys; from tests.validator.collateral.test_local import deposit_all;"
        "deposit_all(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(extrinsics)]
    others = [subprocess.Popen(command) for _ in range(2)]

    assert [other.wait(60) for other in others] == [0, 0]
    assert local.balance(address(HOT)) == 25 * THETA
    journal.close()


def test_a_remark_is_no_deposit(local: Collateral) -> None:
    remark = extrinsic.call(runtime_metadata(), "System", "remark", remark=b"\0")
    with pytest.raises(CollateralError, match=r"expected 'SubtensorModule.transfer_stake'"):
        local.backend.deposit(signed(remark))
    with pytest.raises(CollateralError, match="bytes too many"):
        local.backend.deposit(signed(transfer_call(1) + b"\0"))
