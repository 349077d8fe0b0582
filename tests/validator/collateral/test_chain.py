"""The chain backend against a chain that speaks the real JSON-RPC, with faults at every step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bittensor_wallet import Keypair

from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from runtime.settings import Settings
from tests.validator.collateral.people import (
    COLD,
    HOT,
    OTHER,
    OTHER_HOT,
    THETA,
    VAULT,
    VAULT_HOT,
    deposit,
    signed,
    transfer_call,
)
from tests.validator.collateral.stand_in import (
    BusyClock,
    Fault,
    Refusal,
    Silence,
    StandIn,
    Status,
)
from validator.collateral.accounts import Accounts
from validator.collateral.backend import (
    BalanceError,
    CollateralError,
    InvalidExtrinsicError,
    LimitError,
    OutOfServiceError,
)
from validator.collateral.chain import EARLIER
from validator.collateral.rules import Withdrawal
from validator.collateral.service import Collateral
from validator.collateral.setup import SetupError, open_collateral
from validator.collateral.steps import read_operation
from validator.registry import Registry, Store
from validator.signing import Address, address_of


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_VAULT", "//Vault")
    monkeypatch.setenv("TEST_CONTRACT", "0x" + "42" * 32)


@pytest.fixture
def chain() -> Iterator[StandIn]:
    found = StandIn()
    yield found
    found.close()


class Bench:
    """The service on a chain and a journal; ``restart`` forgets everything but these."""

    def __init__(self, chain: StandIn, journal: Store | None = None, **changes: Any) -> None:
        self.chain, self.journal, self.changes = chain, journal or MemoryJournal(), changes
        self.clock = BusyClock()
        self.service: Collateral
        self.restart()

    def restart(self) -> None:
        self.registry = Registry(self.journal)
        settings = Settings(collateral=self.chain.settings(**self.changes))
        self.service = open_collateral(settings, self.registry, self.clock, lambda _: 1.0)

    def deposit(self, theta: float, **arguments: Any) -> str:
        return self.service.deposit(deposit(int(theta * THETA), **arguments))

    def withdraw(self, theta: float, slashed: float = 0.0, to: Keypair = COLD) -> Withdrawal:
        amount, lost = int(theta * THETA), int(slashed * THETA)
        return self.service.backend.withdraw(
            address(HOT), address(to), lambda held: Withdrawal(amount, lost, 1.0, held - amount)
        )

    def operations(self) -> list[tuple[str, str, list[tuple[str, str]]]]:
        """Every operation: kind, state, and its steps with theirs."""
        found = []
        for kind in ("deposit|", "withdrawal|", "slash|"):
            for fact in self.registry.with_prefix(kind):
                one = read_operation(fact.body)
                found.append((one.kind, one.state, [(step.name, step.state) for step in one.steps]))
        return found

    def sizes(self) -> list[float]:
        return [size.account_size_theta for size in self.service.account_sizes().get(HOT.ss58_address, [])]


@pytest.fixture
def bench(chain: StandIn) -> Iterator[Bench]:
    found = Bench(chain)
    yield found
    found.service.backend.close()


def address(keypair: Keypair) -> Address:
    return address_of(keypair.ss58_address)


# Reading


def test_the_owner_is_whom_the_chain_names(bench: Bench, chain: StandIn) -> None:
    owns = bench.service.backend.owns

    assert owns(address(COLD), address(HOT))
    assert not owns(address(OTHER), address(HOT))
    assert not owns(address(COLD), address(VAULT_HOT))  # nobody's
    chain.owners[VAULT_HOT.public_key] = bytes(32)
    nobody = address_of("5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM")
    assert not owns(nobody, address(VAULT_HOT))


@pytest.mark.parametrize(
    "error",
    [
        *(Silence(), Status(302), Status(429), Status(500), Status(200, b"{"), Refusal(-32000, "gone")),
        Status(200, b'{"id": 99, "result": "0x%b"}' % COLD.public_key.hex().encode()),
        Status(200, b'{"jsonrpc": "2.0", "result": "0x%b"}' % COLD.public_key.hex().encode()),
    ],
)
def test_whoever_cannot_be_asked_names_no_owner(bench: Bench, chain: StandIn, error: Exception) -> None:
    chain.faults["state_getStorage"] = [Fault(error)]
    assert not bench.service.backend.owns(address(COLD), address(HOT))
    assert bench.service.backend.owns(address(COLD), address(HOT))


def test_balances_are_the_contracts(bench: Bench, chain: StandIn) -> None:
    chain.balances[HOT.public_key[:20]] = 123_456_789
    assert bench.service.balance(address(HOT)) == 123_456_789
    assert bench.service.balance(address(OTHER_HOT)) == 0


@pytest.mark.parametrize("error", [Status(429), Refusal(-32005, "429 Too Many Requests")])
def test_a_balance_is_asked_for_again_when_it_was_asked_too_often(
    bench: Bench, chain: StandIn, error: Exception
) -> None:
    started = bench.clock.monotonic()
    chain.faults["eth_call"] = [Fault(error)] * 3
    assert bench.service.balance(address(HOT)) == 0
    assert bench.clock.monotonic() - started == 7.0
    chain.faults["eth_call"] = [Fault(error)] * 4
    with pytest.raises(BalanceError, match="429"):
        bench.service.balance(address(HOT))


@pytest.mark.parametrize(
    "error", [Silence(), Status(503), Status(200, b""), Refusal(-32000, "no"), Status(200, b"[" * 10_000)]
)
def test_a_balance_that_cannot_be_told_is_an_error_without_the_address(
    bench: Bench, chain: StandIn, error: Exception
) -> None:
    chain.faults["eth_call"] = [Fault(error)]
    with pytest.raises(BalanceError) as refusal:
        bench.service.balance(address(HOT))
    assert "127.0.0.1" not in str(refusal.value)


def test_another_contract_has_no_balances(chain: StandIn) -> None:
    bench = Bench(chain, contract="0x" + "11" * 20)
    with pytest.raises(BalanceError, match="no number"):
        bench.service.balance(address(HOT))
    bench.service.backend.close()


def test_a_balance_is_believed_for_a_moment(chain: StandIn) -> None:
    bench = Bench(chain, balance_cache_s=5.0)
    for _ in range(3):
        bench.service.balance(address(HOT))
    assert chain.asked.count("eth_call") == 1
    bench.clock.advance(5)
    bench.service.balance(address(HOT))
    assert chain.asked.count("eth_call") == 2
    bench.service.backend.close()


# Deposits


def test_a_deposit_ends_in_the_vault_and_in_the_contract(bench: Bench, chain: StandIn) -> None:
    assert bench.deposit(300) == ""
    assert chain.balance(HOT) == 300 * THETA - 2  # one rao for each movement of stake
    assert chain.stake(COLD, HOT) == 4700 * THETA
    assert chain.stake(VAULT, VAULT_HOT) == 300 * THETA - 1
    assert bench.operations() == [
        ("deposit", "done", [("transfer", "done"), ("move-1", "done"), ("credit-1", "done")])
    ]
    assert bench.sizes() == [pytest.approx(300)]


def test_the_same_extrinsic_is_carried_out_once(bench: Bench, chain: StandIn) -> None:
    extrinsic = deposit(300 * THETA)
    for _ in range(2):
        assert bench.service.deposit(extrinsic) == ""
        bench.restart()
    assert bench.service.deposit(deposit(300 * THETA)) == ""  # signed once more: the same transaction
    assert chain.balance(HOT) == 300 * THETA - 2
    assert chain.asked.count("author_submitExtrinsic") == 2
    assert "same number" in bench.deposit(200)


def test_stake_of_the_vaults_own_hotkey_is_not_moved(bench: Bench, chain: StandIn) -> None:
    chain.owners[VAULT_HOT.public_key] = COLD.public_key
    chain.stakes[COLD.public_key, VAULT_HOT.public_key] = 300 * THETA
    assert bench.deposit(300, hotkey=VAULT_HOT) == ""
    assert chain.balance(VAULT_HOT) == 300 * THETA - 1


def test_the_limit_counts_what_the_contract_holds(bench: Bench, chain: StandIn) -> None:
    chain.balances[HOT.public_key[:20]] = 900 * THETA
    problem = bench.deposit(100.5)
    assert problem.startswith(
        "Deposit would exceed maximum balance limit. Current: 900.00 Theta, Deposit: 100.50"
    )
    assert chain.asked.count("author_submitExtrinsic") == 0
    assert bench.deposit(100) == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"destination": OTHER}, "does not match the vault"),
        ({"origin_netuid": 9}, "netuid 9"),
        ({"theta": 5001, "nonce": 0}, "maximum balance"),
    ],
)
def test_what_is_no_deposit_is_not_sent(
    bench: Bench, chain: StandIn, arguments: dict[str, Any], words: str
) -> None:
    assert words in bench.deposit(**{"theta": 10, **arguments})
    assert "author_submitExtrinsic" not in chain.asked


def test_rubbish_is_not_sent(bench: Bench, chain: StandIn) -> None:
    with pytest.raises(InvalidExtrinsicError):
        bench.service.backend.deposit(b"\0\0")
    forged = deposit(THETA).replace(COLD.public_key, OTHER.public_key)
    with pytest.raises(InvalidExtrinsicError, match="signature"):
        bench.service.backend.deposit(forged)
    assert "author_submitExtrinsic" not in chain.asked


def test_a_transfer_that_the_chain_does_not_carry_out_is_no_deposit(bench: Bench, chain: StandIn) -> None:
    chain.stakes[COLD.public_key, HOT.public_key] = 10 * THETA
    assert "did not carry it out" in bench.deposit(300)
    assert (chain.balance(HOT), bench.operations()[0][1]) == (0, "failed")
    chain.stakes[COLD.public_key, HOT.public_key] = 300 * THETA
    assert "another transaction" in bench.deposit(300)  # the same number: used up by the failure
    assert bench.deposit(300, nonce=1) == ""


def test_a_transfer_that_the_node_refuses_may_be_sent_again(bench: Bench, chain: StandIn) -> None:
    refusal = Refusal(1010, "Invalid Transaction", "Inability to pay some fees")
    chain.faults["author_submitExtrinsic"] = [Fault(refusal)]
    extrinsic = deposit(300 * THETA)
    assert "Inability to pay" in bench.service.deposit(extrinsic)
    assert bench.service.deposit(extrinsic) == ""
    assert chain.balance(HOT) == 300 * THETA - 2


def test_a_number_that_is_used_already_is_told(bench: Bench, chain: StandIn) -> None:
    chain.use_number(COLD)
    assert "another transaction of the account has its number" in bench.deposit(300)


def test_a_stake_that_cannot_be_moved_is_given_back(bench: Bench, chain: StandIn) -> None:
    chain.fail_calls = {"move_stake"}
    assert "did not carry it out" in bench.deposit(300)
    assert chain.stake(COLD, HOT) == 5000 * THETA - 1
    assert (chain.stake(VAULT, VAULT_HOT), chain.balance(HOT)) == (0, 0)
    assert bench.operations() == [
        (
            "deposit",
            "failed",
            [("transfer", "done"), ("move-1", "failed"), ("move-2", "failed"), ("give-back-1", "done")],
        )
    ]


def test_a_stake_that_the_contract_does_not_take_is_given_back(bench: Bench, chain: StandIn) -> None:
    chain.fail_calls = {"deposit"}
    assert "contract did not carry it out" in bench.deposit(300)
    assert chain.stake(COLD, VAULT_HOT) == 300 * THETA - 2
    assert chain.balance(HOT) == 0
    steps = bench.operations()[0][2]
    assert [name for name, _ in steps] == [
        "transfer",
        "move-1",
        "credit-1",
        "credit-2",
        "credit-3",
        "give-back-1",
    ]


def test_what_cannot_be_given_back_is_left_to_an_operator(
    bench: Bench, chain: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.fail_calls = {"move_stake"}
    sent = 0

    def only_the_miners(_: StandIn = chain) -> None:
        nonlocal sent
        sent = len(chain.blocks)
        chain.stakes[VAULT.public_key, HOT.public_key] = 0  # somebody took it

    bench.clock.on_sleep = only_the_miners
    problem = bench.deposit(300)
    assert sent
    assert "critical error, to be settled by hand" in problem
    assert bench.operations()[0][1] == "stuck"
    assert "1 operation(s)" in (bench.service.backend.problem() or "")
    bench.restart()
    assert bench.service.backend.problem() is None  # not looked at yet
    with pytest.raises(CollateralError, match=EARLIER):
        bench.withdraw(1)
    assert EARLIER in bench.deposit(1, nonce=1)
    assert bench.service.backend.settle() == 1
    assert bench.service.backend.problem()


# Withdrawals and slashes


def test_a_withdrawal_goes_back_to_the_coldkey(bench: Bench, chain: StandIn) -> None:
    bench.deposit(300)
    done = bench.withdraw(100, slashed=30)

    assert (done.paid, chain.balance(HOT)) == (70 * THETA, 200 * THETA - 2)
    assert chain.stake(COLD, VAULT_HOT) == 70 * THETA
    assert (chain.slashed, chain.stake(VAULT, VAULT_HOT)) == (30 * THETA, 230 * THETA - 1)
    assert bench.sizes() == [pytest.approx(300), pytest.approx(200)]
    assert bench.operations()[1] == (
        "withdrawal",
        "done",
        [("slash-1", "done"), ("debit-1", "done"), ("pay-1", "done")],
    )


def test_a_withdrawal_that_is_slashed_whole_pays_nothing(bench: Bench, chain: StandIn) -> None:
    bench.deposit(300)
    bench.withdraw(100, slashed=100)
    assert (chain.balance(HOT), chain.stake(COLD, VAULT_HOT)) == (200 * THETA - 2, 0)


@pytest.mark.parametrize(
    ("failing", "words"),
    [("withdraw", "contract did not"), ("slash", "contract did not"), ("transfer_stake", "chain did not")],
)
def test_a_withdrawal_that_fails_changes_nothing(
    bench: Bench, chain: StandIn, failing: str, words: str
) -> None:
    bench.deposit(300)
    chain.fail_calls = {failing}
    with pytest.raises(CollateralError, match=words):
        bench.withdraw(100, slashed=30)
    assert chain.balance(HOT) == 300 * THETA - 2
    assert chain.stake(COLD, VAULT_HOT) == 0
    chain.fail_calls = set()
    assert bench.withdraw(100).paid == 100 * THETA


def test_terms_are_worked_out_on_the_contracts_balance(bench: Bench, chain: StandIn) -> None:
    bench.deposit(300)
    seen: list[int] = []

    def terms(held: int) -> Withdrawal:
        seen.append(held)
        raise LimitError("too much")

    with pytest.raises(LimitError):
        bench.service.backend.withdraw(address(HOT), address(COLD), terms)
    assert seen == [300 * THETA - 2]
    assert chain.balance(HOT) == 300 * THETA - 2


def test_slashing_takes_what_is_there(bench: Bench, chain: StandIn) -> None:
    bench.deposit(300)
    assert bench.service.backend.slash(address(HOT), 100 * THETA) == 100 * THETA
    assert bench.service.backend.slash(address(HOT), 999 * THETA) == 200 * THETA - 2
    assert bench.service.backend.slash(address(HOT), 1) == 0
    assert (chain.balance(HOT), chain.slashed) == (0, 300 * THETA - 2)


# Silence, crashes, restarts


WRITES = ("author_submitExtrinsic", "eth_sendRawTransaction")
READS = (
    "state_getRuntimeVersion",
    "chain_getBlockHash",
    "chain_getHeader",
    "chain_getBlock",
    "state_getStorage",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_estimateGas",
    "eth_gasPrice",
)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("method", WRITES)
def test_a_lost_answer_never_doubles_or_loses_a_deposit(
    bench: Bench, chain: StandIn, method: str, before: bool
) -> None:
    """The connection breaks before or after a transaction was taken, at each of them in turn."""
    for number in range(3):
        chain.faults[method] = [None] * number + [Fault(Silence(), before)]
        for _ in range(4):
            if bench.deposit(100, nonce=number) == "":
                break
        assert chain.balance(HOT) == (number + 1) * (100 * THETA - 2)


@pytest.mark.parametrize("method", READS)
def test_a_silent_node_leaves_an_operation_that_can_be_gone_on_with(
    bench: Bench, chain: StandIn, method: str
) -> None:
    """The node falls silent at the first, second, ... question of a kind; later it is back."""
    extrinsics = [deposit(10 * THETA, nonce=number) for number in range(6)]
    for number, extrinsic in enumerate(extrinsics):
        chain.faults[method] = [None] * number * 3 + [Fault(Silence())] * 60
        bench.service.deposit(extrinsic)
        chain.faults[method] = []
        bench.restart()
        assert bench.service.backend.settle() == 0
        assert bench.service.deposit(extrinsic) == ""
        assert chain.balance(HOT) == (number + 1) * (10 * THETA - 2)


def test_a_transaction_in_no_block_is_settled_later(bench: Bench, chain: StandIn) -> None:
    chain.hold = True
    extrinsic = deposit(300 * THETA)
    assert "not known yet" in bench.service.deposit(extrinsic)
    assert "not known yet" in bench.service.deposit(extrinsic)
    chain.hold = False
    chain.mine()
    bench.restart()
    assert bench.service.backend.settle() == 0
    assert chain.balance(HOT) == 300 * THETA - 2
    assert bench.service.deposit(extrinsic) == ""


def test_a_transaction_that_takes_its_time_is_waited_for(bench: Bench, chain: StandIn) -> None:
    chain.hold = True
    bench.clock.on_sleep = chain.mine
    assert bench.deposit(300) == ""
    assert bench.withdraw(100).paid == 100 * THETA
    assert chain.balance(HOT) == 200 * THETA - 2


def test_only_final_blocks_count_if_wanted(chain: StandIn) -> None:
    bench = Bench(chain, finalized=True)
    bench.clock.on_sleep = chain.mine
    assert bench.deposit(300) == ""
    assert len(chain.blocks) > 6
    assert chain.balance(HOT) == 300 * THETA - 2
    bench.service.backend.close()


def test_a_number_that_the_vault_used_elsewhere_costs_another_try(bench: Bench, chain: StandIn) -> None:
    """Between signing and sending, an operator sends something with the vault's key."""
    chain.faults["author_submitExtrinsic"] = [None, Fault(Silence())]

    def once() -> None:
        if chain.numbers[VAULT.public_key] == 0 and chain.numbers[COLD.public_key] == 1:
            chain.use_number(VAULT)

    bench.clock.on_sleep = once
    problem = bench.deposit(300)
    for _ in range(3):
        problem = problem and bench.deposit(300)
    assert problem == ""
    assert chain.balance(HOT) == 300 * THETA - 2
    assert chain.stake(VAULT, VAULT_HOT) == 300 * THETA - 1


def test_a_number_that_the_contracts_owner_used_elsewhere_costs_another_try(
    bench: Bench, chain: StandIn
) -> None:
    chain.faults["eth_sendRawTransaction"] = [Fault(Silence())]

    def once() -> None:
        if chain.evm_number == 0 and "eth_sendRawTransaction" in chain.asked:
            chain.evm_number += 1

    bench.clock.on_sleep = once
    assert bench.deposit(300) == ""
    assert chain.balance(HOT) == 300 * THETA - 2
    assert [name for name, _ in bench.operations()[0][2]][-2:] == ["credit-1", "credit-2"]


class Crash(BaseException):
    """The process dies here."""


def crashing(registry: Registry, after: int) -> None:
    """Let the process die right before its nth write to the journal."""
    original, left = registry.put_many, [after]

    def put_many(drafts: Any) -> Any:
        if left[0] == 0:
            raise Crash
        left[0] -= 1
        return original(drafts)

    registry.put_many = put_many  # type: ignore[method-assign]


@pytest.mark.parametrize("writes", range(9))
def test_a_crash_anywhere_in_a_deposit_neither_doubles_nor_loses_it(
    chain: StandIn, tmp_path: Path, writes: int
) -> None:
    bench = Bench(chain, SqliteJournal(tmp_path / "journal.sqlite3"))
    extrinsic = deposit(300 * THETA)
    crashing(bench.registry, writes)
    try:
        bench.service.deposit(extrinsic)
    except Crash:
        bench.restart()
    assert bench.service.backend.settle() == 0
    assert bench.service.deposit(extrinsic) == ""
    assert chain.balance(HOT) == 300 * THETA - 2
    assert chain.stake(VAULT, VAULT_HOT) == 300 * THETA - 1
    assert bench.sizes() == [pytest.approx(300)]


@pytest.mark.parametrize("writes", range(9))
def test_a_crash_anywhere_in_a_withdrawal_pays_it_once_or_not_at_all(
    chain: StandIn, tmp_path: Path, writes: int
) -> None:
    bench = Bench(chain, SqliteJournal(tmp_path / "journal.sqlite3"))
    assert bench.deposit(300) == ""
    crashing(bench.registry, writes)
    is_noted = writes > 0
    try:
        bench.withdraw(100, slashed=30)
    except Crash:
        bench.restart()
    assert bench.service.backend.settle() == 0
    paid, slashed = (70 * THETA, 30 * THETA) if is_noted else (0, 0)
    assert chain.stake(COLD, VAULT_HOT) == paid
    assert chain.slashed == slashed
    assert chain.balance(HOT) == 300 * THETA - 2 - paid - slashed
    assert bench.service.backend.settle() == 0


# Order


def test_operations_wait_for_each_other_and_too_many_are_refused(chain: StandIn) -> None:
    bench = Bench(chain, operations=2)
    chain.stakes[OTHER.public_key, OTHER_HOT.public_key] = 500 * THETA
    results: list[str] = []

    def send(number: int) -> None:
        try:
            results.append(bench.deposit(10, nonce=number))
        except OutOfServiceError as error:
            results.append(str(error))

    with chain.lock:  # nobody gets an answer until all have asked
        threads = [threading.Thread(target=send, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(timeout=60)
    done = results.count("")
    assert done + results.count("too many operations at once") + sum(
        "another transaction" in one or "not known" in one for one in results
    ) == len(results)
    assert chain.balance(HOT) == done * (10 * THETA - 2)
    bench.service.backend.close()


def test_several_hotkeys_share_one_vault(bench: Bench, chain: StandIn) -> None:
    chain.stakes[OTHER.public_key, OTHER_HOT.public_key] = 500 * THETA
    assert bench.deposit(100) == ""
    assert bench.deposit(200, signer=OTHER, hotkey=OTHER_HOT) == ""
    assert bench.deposit(50, nonce=1) == ""
    assert (chain.balance(HOT), chain.balance(OTHER_HOT)) == (150 * THETA - 4, 200 * THETA - 2)


# Configuration


def test_without_keys_the_server_only_reads(chain: StandIn) -> None:
    bench = Bench(chain, vault_secret=None, contract_secret=None)
    chain.balances[HOT.public_key[:20]] = 5
    assert bench.service.balance(address(HOT)) == 5
    assert bench.service.backend.owns(address(COLD), address(HOT))
    for work in (lambda: bench.deposit(1), lambda: bench.withdraw(1)):
        with pytest.raises(OutOfServiceError):
            work()
    with pytest.raises(OutOfServiceError):
        bench.service.backend.slash(address(HOT), 1)
    bench.service.backend.close()


def test_another_evm_chain_than_configured_is_not_written_to(bench: Bench, chain: StandIn) -> None:
    chain.evm_chain_id = 964
    chain.balances[HOT.public_key[:20]] = 300 * THETA
    with pytest.raises(CollateralError, match="chain 964, configured is 945"):
        bench.withdraw(100)
    assert "eth_sendRawTransaction" not in chain.asked
    chain.evm_chain_id = 945
    chain.stakes[VAULT.public_key, VAULT_HOT.public_key] = 300 * THETA
    assert bench.withdraw(100).paid == 100 * THETA


@pytest.mark.parametrize(
    ("change", "variable", "words"),
    [
        ({"vault_secret": "env:NOT_THERE"}, None, "vault_secret: secret env:NOT_THERE is not there"),
        ({"contract_secret": "plain"}, None, "contract_secret: a secret must be given as"),
        ({}, ("TEST_VAULT", "//Other"), "vault_secret: it is not that of vault_coldkey"),
        ({}, ("TEST_VAULT", "one two three"), "vault_secret: what it points to is no key"),
        ({}, ("TEST_VAULT", "0x12"), "vault_secret: what it points to is no key"),
        ({}, ("TEST_CONTRACT", "hunter2"), "contract_secret: what it points to is no key"),
        ({"contract": "0x12"}, None, "contract"),
        ({"vault_hotkey": "x"}, None, "vault_hotkey"),
    ],
)
def test_settings_that_cannot_be_used_are_named_without_their_secrets(
    chain: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    variable: tuple[str, str] | None,
    words: str,
) -> None:
    if variable:
        monkeypatch.setenv(*variable)
    with pytest.raises(SetupError, match=words) as refusal:
        Bench(chain, **change)
    assert "hunter2" not in str(refusal.value)


def test_nothing_of_the_keys_is_journalled(bench: Bench, chain: StandIn) -> None:
    bench.deposit(300)
    bench.withdraw(100)
    for fact in bench.registry.with_prefix(""):
        assert b"//Vault" not in fact.body
        assert b"4242424242" not in fact.body
    assert isinstance(bench.service._accounts, Accounts)


def test_a_remark_is_no_deposit_on_the_chain_either(bench: Bench) -> None:
    assert "bytes too many" in bench.service.deposit(signed(transfer_call(1) + b"\0"))
