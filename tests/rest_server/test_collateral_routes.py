"""Collateral over HTTP: every answer of the table, what clients really send, replays and mutations."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from journal.entry import UnavailableError
from journal.sqlite import SqliteJournal
from rest_server.app import create_app
from rest_server.posted import CLIENT_MINIMUM
from runtime.clock import FakeClock
from runtime.settings import CollateralSettings, RestSettings
from tests.rest_server.world import HOUR, Make, World, fill, position, strict_json
from tests.validator.collateral.people import (
    COLD,
    HOT,
    OTHER,
    OTHER_HOT,
    THETA,
    collateral_settings,
    deposit,
    signed_body,
)
from validator.collateral.backend import BalanceError, CollateralError, OutOfServiceError
from validator.collateral.rules import DAY_MS
from validator.ledger.checkpoint import Checkpoint
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of
from validator.signing import encode_address

COLD_ADDRESS: Final = COLD.ss58_address
HOT_ADDRESS: Final = HOT.ss58_address
OLD_CLIENT: Final = (
    "Your vanta-cli version 1.0.4 is outdated and no longer supported. Please upgrade to vanta-cli >= 1.0.5:"
    " pip install --upgrade git+https://github.com/taoshidev/vanta-cli.git"
)
BAD_CLIENT: Final = (
    "Invalid vanta-cli version format: new. Please reinstall vanta-cli:"
    " pip install --upgrade git+https://github.com/taoshidev/vanta-cli.git"
)


def withdrawal(world: World, amount: Any = 100.0, nonce: Any = "n1", **changes: Any) -> dict[str, Any]:
    """A withdrawal as the command-line client signs it; ``changes`` are signed too."""
    fields = {
        "amount": amount,
        "miner_coldkey": COLD_ADDRESS,
        "miner_hotkey": HOT_ADDRESS,
        "nonce": nonce,
        "timestamp": world.now,
    }
    return signed_body(changes.pop("signer", COLD), {**fields, **changes})


def put_in(world: World, theta: float, nonce: int = 0) -> None:
    """Deposit."""
    answer = world.post("/collateral/deposit", {"extrinsic": deposit(int(theta * THETA), nonce=nonce).hex()})
    assert answer.get_json() == {"successfully_processed": True, "error_message": ""}


def balance_of(world: World, hotkey: str = HOT_ADDRESS) -> float:
    answer = world.get(f"/collateral/balance/{hotkey}", None)
    assert answer.status_code == 200
    assert answer.get_json()["miner_address"] == hotkey
    found: float = answer.get_json()["balance_theta"]
    return found


def error_of(answer: Any) -> tuple[int, str]:
    body = strict_json(answer.data)
    assert set(body) >= {"error", "code", "request_id"}
    return answer.status_code, body["error"]


# What works


@pytest.mark.parametrize("prefix", ["", "0x", "0X"])
@pytest.mark.parametrize("name", ["extrinsic", "extrinsic_data"])
def test_a_deposit_under_either_name_with_or_without_prefix(world: World, name: str, prefix: str) -> None:
    body = {name: prefix + deposit(300 * THETA).hex()}
    answer = world.post("/collateral/deposit", body)

    assert (answer.status_code, answer.get_json()) == (
        200,
        {"successfully_processed": True, "error_message": ""},
    )
    assert balance_of(world) == 300.0
    assert world.post("/collateral/deposit", body).get_json()["successfully_processed"]
    assert balance_of(world) == 300.0


def test_a_withdrawal_is_paid_to_the_coldkey(world: World) -> None:
    put_in(world, 300)
    answer = world.post("/collateral/withdraw", withdrawal(world, 5.0))

    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "successfully_processed": True,
            "error_message": "",
            "returned_amount": 5.0,
            "returned_to": COLD_ADDRESS,
        },
    )
    assert balance_of(world) == 295.0


@pytest.mark.parametrize("amount", [5, 5.0, 0.1, 1e-5, 12.3456789012, 299.99999999999999, 300])
def test_amounts_are_verified_as_they_were_sent(world: World, amount: float) -> None:
    put_in(world, 300)
    body = withdrawal(world, amount)
    assert world.post("/collateral/withdraw", body).get_json()["successfully_processed"], amount


def test_a_browser_wallet_wraps_what_it_signs(world: World) -> None:
    put_in(world, 300)
    body = withdrawal(world)
    fields = {name: value for name, value in body.items() if name != "signature"}
    wrapped = b"<Bytes>" + json.dumps(fields, sort_keys=True).encode() + b"</Bytes>"
    body["signature"] = "0x" + COLD.sign(wrapped).hex()

    assert world.post("/collateral/withdraw", body).get_json()["successfully_processed"]


def test_a_quote_says_what_a_withdrawal_comes_to_and_changes_nothing(world: World) -> None:
    put_in(world, 300)
    body = {"amount": 100, "miner_hotkey": HOT_ADDRESS}
    expected = {
        "successfully_processed": True,
        "error_message": "",
        "drawdown": 1.0,
        "slashed_amount": 0.0,
        "withdrawal_amount": 100.0,
        "new_balance": 200.0,
    }
    for _ in range(2):
        assert world.post("/collateral/query-withdraw", body).get_json() == expected


def fallen(world: World, value: float, peak: float) -> None:
    """Let the hotkey's portfolio be worth ``value`` after it was worth ``peak``."""
    gain = (value - 1) * 100_000
    old = world.now - 50 * HOUR
    orders = [fill("f1", 1000, 100.0, old), fill("f2", 0, 100.0 + gain / 1000, old + HOUR)]
    world.put(position(HOT_ADDRESS, orders))
    end_ms = world.now // (6 * HOUR) * 6 * HOUR
    ledger = LedgerRecord(
        checkpoint=Checkpoint(last_update_ms=end_ms), initialization_time_ms=0, max_return=peak
    )
    record = PerfCheckpoint(
        hotkey=HOT_ADDRESS,
        end_ms=end_ms,
        target_cp_duration_ms=6 * HOUR,
        target_ledger_window_ms=120 * 24 * HOUR,
        ledgers={"portfolio": ledger},
    )
    world.journal.append([draft_of(record)])


def test_a_drawdown_costs_its_part(world: World) -> None:
    put_in(world, 300)
    fallen(world, value=1.14, peak=1.2)  # 5 % below its peak
    quoted = world.post("/collateral/query-withdraw", {"amount": 100, "miner_hotkey": HOT_ADDRESS}).get_json()
    done = world.post("/collateral/withdraw", withdrawal(world, 100)).get_json()

    assert quoted["drawdown"] == pytest.approx(0.95)
    assert quoted["slashed_amount"] == pytest.approx(50)
    assert done["returned_amount"] == quoted["withdrawal_amount"] == pytest.approx(50)
    assert balance_of(world) == quoted["new_balance"] == 200.0


def test_a_portfolio_at_its_highest_costs_nothing(world: World) -> None:
    put_in(world, 300)
    fallen(world, value=1.3, peak=1.2)
    body = world.post("/collateral/query-withdraw", {"amount": 100, "miner_hotkey": HOT_ADDRESS}).get_json()

    assert (body["drawdown"], body["slashed_amount"]) == (1.0, 0.0)


def test_account_sizes_follow_deposits_and_withdrawals(world: World) -> None:
    put_in(world, 300)
    world.clock.sleep(1)
    world.post("/collateral/withdraw", withdrawal(world, 100))
    body = world.get("/collateral/", "k0").get_json()
    records = body["data"][HOT_ADDRESS]

    assert [(one["account_size"], one["account_size_theta"]) for one in records] == [
        (150_000.0, 300.0),
        (100_000.0, 200.0),
    ]
    assert {one["valid_date_timestamp"] for one in records} == {(world.now // DAY_MS + 1) * DAY_MS}
    assert (body["status"], body["miner_count"], body["total_records"], body["timestamp"]) == (
        "success",
        1,
        2,
        world.now,
    )


def test_account_sizes_can_be_filtered(world: World) -> None:
    put_in(world, 300)
    put_in(world, 100, nonce=1)
    world.put_size("o2:0xabc", 5.0)

    everything = world.get("/collateral/").get_json()
    assert (everything["miner_count"], everything["total_records"]) == (2, 3)
    newest = world.get("/collateral/?most_recent=true").get_json()
    assert [one["account_size_theta"] for one in newest["data"][HOT_ADDRESS]] == [400.0]
    one = world.get(f"/collateral/?hotkey={HOT_ADDRESS}").get_json()
    assert (list(one["data"]), one["total_records"]) == ([HOT_ADDRESS], 2)
    unknown = world.get("/collateral/?hotkey=unknown").get_json()
    assert (unknown["data"], unknown["miner_count"], unknown["total_records"]) == ({}, 0, 0)
    assert world.get("/collateral").get_json()["miner_count"] == 2


def test_a_checkpoint_has_the_account_sizes(world: World) -> None:
    put_in(world, 300)
    sizes = world.get("/validator-checkpoint").get_json()["miner_account_sizes"]

    assert [one["account_size"] for one in sizes[HOT_ADDRESS]] == [150_000.0]


# Refusals that are processed: always 200

PROCESSED: Final[list[tuple[str, Mapping[str, Any], str]]] = [
    ("rubbish", {"extrinsic": "0011"}, "Invalid extrinsic data: "),
    ("another vault", {"rao": THETA, "destination": OTHER}, "Deposit execution failed: The extrinsic's dest"),
    ("another owner", {"rao": THETA, "signer": OTHER}, "Deposit execution failed: Coldkey does not own"),
    (
        "another subnet",
        {"rao": THETA, "origin_netuid": 1},
        "Deposit execution failed: The extrinsic's origin",
    ),
    (
        "too much",
        {"rao": 1001 * THETA},
        "Deposit would exceed maximum balance limit. Current: 0.00 Theta, Deposit: 1001.00 Theta, ",
    ),
]


@pytest.mark.parametrize(("arguments", "text"), [row[1:] for row in PROCESSED], ids=[r[0] for r in PROCESSED])
def test_a_deposit_that_fails_is_still_processed(
    world: World, arguments: Mapping[str, Any], text: str
) -> None:
    body = arguments if "extrinsic" in arguments else {"extrinsic": deposit(**arguments).hex()}
    answer = world.post("/collateral/deposit", body)

    assert answer.status_code == 200
    assert answer.get_json()["successfully_processed"] is False
    assert answer.get_json()["error_message"].startswith(text)
    assert balance_of(world) == 0.0


def test_more_than_there_is_cannot_be_withdrawn(world: World) -> None:
    put_in(world, 300)
    text = "Insufficient collateral balance. Available: 300.0, Requested: 300.5"
    asked = world.post("/collateral/query-withdraw", {"amount": 300.5, "miner_hotkey": HOT_ADDRESS})
    done = world.post("/collateral/withdraw", withdrawal(world, 300.5))

    assert (asked.status_code, asked.get_json()) == (
        200,
        {"successfully_processed": False, "error_message": text},
    )
    assert (done.status_code, done.get_json()) == (
        200,
        {
            "successfully_processed": False,
            "error_message": text,
            "returned_amount": 0.0,
            "returned_to": "",
        },
    )


def test_failures_of_the_backend_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = world.app.extensions["vanta-rest"].collateral.backend

    def fail(*_: Any) -> Any:
        raise BalanceError("no answer")

    monkeypatch.setattr(backend, "balance", fail)
    asked = world.post("/collateral/query-withdraw", {"amount": 1, "miner_hotkey": HOT_ADDRESS})
    assert asked.get_json()["error_message"] == "Failed to check collateral balance: no answer"
    found = world.get(f"/collateral/balance/{HOT_ADDRESS}", None)
    assert error_of(found) == (500, "Failed to retrieve collateral balance")

    monkeypatch.setattr(backend, "withdraw", lambda *_: (_ for _ in ()).throw(CollateralError("stuck")))
    done = world.post("/collateral/withdraw", withdrawal(world))
    assert done.get_json()["error_message"] == "Withdrawal processing execution failed: stuck"


# Refusals

DEPOSIT, QUERY, WITHDRAW = "/collateral/deposit", "/collateral/query-withdraw", "/collateral/withdraw"
REQUIRED: Final = {
    DEPOSIT: ("extrinsic",),
    QUERY: ("amount", "miner_hotkey"),
    WITHDRAW: ("amount", "miner_coldkey", "miner_hotkey", "nonce", "timestamp", "signature"),
}


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(world: World, content_type: str) -> None:
    for path in REQUIRED:
        answer = world.post(path, b"{}", content_type=content_type)
        assert error_of(answer) == (400, "Content-Type must be application/json")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"{}", b"[]", b"[1]", b"0", b'""', b'"x"', b"null", b"NaN", b"\xff"),
        *(b'{"a": NaN}', b'{"a": Infinity}', b'{"a": "\\ud800"}', b'{"a": 1}{"b": 2}'),
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
)
def test_what_is_no_json_object_is_refused(world: World, body: bytes) -> None:
    for path in REQUIRED:
        assert error_of(world.post(path, body)) == (400, "Invalid JSON body")


@pytest.mark.parametrize("path", REQUIRED)
def test_the_first_missing_field_is_named(world: World, path: str) -> None:
    names = REQUIRED[path]
    for index, name in enumerate(names):
        body = {"other": 1, **dict.fromkeys(names[:index], "x")}
        assert error_of(world.post(path, body)) == (400, f"Missing required field: {name}")


@pytest.mark.parametrize("path", REQUIRED)
def test_only_a_client_that_says_it_is_old_is_refused(world: World, path: str) -> None:
    missing = f"Missing required field: {REQUIRED[path][0]}"
    for field in ("version", "ptncli_version"):
        assert error_of(world.post(path, {field: "1.0.4"})) == (400, OLD_CLIENT)
        assert error_of(world.post(path, {field: "new"})) == (400, BAD_CLIENT)
        for fine in ("1.0.5", "3.0.3", "2.0", "10.0.0.dev1", None):
            assert error_of(world.post(path, {field: fine})) == (400, missing)
    assert error_of(world.post(path, {"version": "2.0.0", "ptncli_version": "0.1"})) == (400, missing)
    for odd in (2, [], {}, "", "1.x.0", "-1.0.0", "٣.0.0", "9" * 5000):
        status, text = error_of(world.post(path, {"version": odd}))
        assert (status, len(text) < 400) == (400, True), odd
    assert CLIENT_MINIMUM == (1, 0, 5)


@pytest.mark.parametrize(
    ("extrinsic", "status", "text"),
    [
        (5, 400, "extrinsic must be a hex string"),
        (None, 400, "extrinsic must be a hex string"),
        (["00"], 400, "extrinsic must be a hex string"),
        ("0" * 200_001, 413, "extrinsic too large"),
        ("", 400, "extrinsic must be even-length hex"),
        ("0x", 400, "extrinsic must be even-length hex"),
        ("abc", 400, "extrinsic must be even-length hex"),
        ("zz", 400, "extrinsic must be even-length hex"),
        ("0x0x00", 400, "extrinsic must be even-length hex"),
        (" 00", 400, "extrinsic must be even-length hex"),
        ("00\n", 400, "extrinsic must be even-length hex"),
        ("٠٠", 400, "extrinsic must be even-length hex"),
    ],
)
def test_an_extrinsic_must_be_hex(world: World, extrinsic: object, status: int, text: str) -> None:
    assert error_of(world.post(DEPOSIT, {"extrinsic": extrinsic})) == (status, text)


NUMBER, POSITIVE = "Amount must be a valid number", "Amount must be a positive number"
AMOUNTS: Final[list[tuple[Any, str]]] = [
    (0, POSITIVE),
    (-1.5, POSITIVE),
    (1e-10, POSITIVE),
    (True, NUMBER),
    ("5", NUMBER),
    (None, NUMBER),
    ([], NUMBER),
    (1e300, NUMBER),
]


@pytest.mark.parametrize(("amount", "text"), AMOUNTS)
def test_a_quote_needs_an_amount_that_can_be_meant(world: World, amount: Any, text: str) -> None:
    assert error_of(world.post(QUERY, {"amount": amount, "miner_hotkey": HOT_ADDRESS})) == (400, text)


@pytest.mark.parametrize("amount", [b"1e400", b"-1e400", b"1" + b"0" * 5000, b"1" + b"0" * 400])
def test_numbers_beyond_every_measure_are_refused(world: World, amount: bytes) -> None:
    body = b'{"amount": %b, "miner_hotkey": "%b"}' % (amount, HOT_ADDRESS.encode())
    assert error_of(world.post(QUERY, body))[0] == 400


@pytest.mark.parametrize(("amount", "text"), [row for row in AMOUNTS if isinstance(row[0], (int, float))])
def test_an_amount_is_checked_before_its_nonce_is_used_up(world: World, amount: Any, text: str) -> None:
    put_in(world, 300)
    if not isinstance(amount, bool):
        assert error_of(world.post(WITHDRAW, withdrawal(world, amount, "same"))) == (400, text)
    assert world.post(WITHDRAW, withdrawal(world, 1.0, "same")).get_json()["successfully_processed"]


@pytest.mark.parametrize("amount", [True, None, [], {"a": 1}])
def test_what_cannot_be_signed_is_not_signed(world: World, amount: Any) -> None:
    body = withdrawal(world, amount)
    assert error_of(world.post(WITHDRAW, body)) == (401, "Invalid signature. Withdrawal request unauthorized")


def other_network() -> str:
    return encode_address(COLD.public_key, 0)


@pytest.mark.parametrize("hotkey", ["", "x", f"{HOT_ADDRESS}_0", HOT_ADDRESS[:-1], 5, None, "5" * 48])
def test_an_address_must_be_one(world: World, hotkey: Any) -> None:
    text = "Invalid SS58 address format for {}"
    assert error_of(world.post(QUERY, {"amount": 1, "miner_hotkey": hotkey})) == (
        400,
        text.format("miner_hotkey"),
    )
    if isinstance(hotkey, str) and hotkey:
        assert error_of(world.get(f"/collateral/balance/{hotkey}", None)) == (
            400,
            text.format("miner_address"),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "00"},
        {"signature": ""},
        {"signature": None},
        {"signature": 5},
        {"signature": "zz" * 64},
        {"signature": "00" * 64},
        {"signature": "ab" * 65},
        {"miner_coldkey": "x"},
        {"miner_coldkey": None},
        {"miner_coldkey": OTHER.ss58_address},
        {"miner_coldkey": encode_address(COLD.public_key, 0)},
        {"miner_coldkey": encode_address(bytes(32)), "signature": bytes(63).hex() + "80"},
        {"miner_hotkey": OTHER_HOT.ss58_address},
        {"miner_hotkey": 5},
        {"amount": 100.5},
        {"amount": 100},
        {"nonce": "n2"},
        {"timestamp": 1},
    ],
)
def test_anything_that_was_not_signed_by_the_coldkey_is_refused(world: World, change: dict[str, Any]) -> None:
    put_in(world, 300)
    answer = world.post(WITHDRAW, {**withdrawal(world, 100.0), **change})

    assert error_of(answer) == (401, "Invalid signature. Withdrawal request unauthorized")
    assert balance_of(world) == 300.0


@pytest.mark.parametrize(
    "change",
    [
        {"signer": OTHER, "miner_coldkey": OTHER.ss58_address},
        {"miner_hotkey": OTHER_HOT.ss58_address},
        {"miner_hotkey": "x"},
        {"miner_hotkey": ""},
    ],
)
def test_a_coldkey_withdraws_only_for_its_own_hotkeys(world: World, change: dict[str, Any]) -> None:
    put_in(world, 300)
    answer = world.post(WITHDRAW, withdrawal(world, **change))
    assert error_of(answer) == (403, "Coldkey does not own the specified hotkey")


@pytest.mark.parametrize("nonce", [5, None, "", "x" * 513, ["n"]])
def test_a_nonce_must_be_a_word(world: World, nonce: Any) -> None:
    body = {**withdrawal(world), "nonce": nonce}
    assert error_of(world.post(WITHDRAW, body)) == (400, "nonce must be a string of 1 to 512 characters")


@pytest.mark.parametrize("timestamp", ["1", None, 1.5, True, 1751409821967.0])
def test_a_timestamp_must_be_whole(world: World, timestamp: Any) -> None:
    body = {**withdrawal(world), "timestamp": timestamp}
    assert error_of(world.post(WITHDRAW, body)) == (400, "timestamp must be a whole number of milliseconds")


def test_nonces_and_times_are_refused_in_the_usual_words(world: World) -> None:
    put_in(world, 300)
    assert world.post(WITHDRAW, withdrawal(world, 1)).status_code == 200
    for body, text in (
        (withdrawal(world, 2), "Nonce already used"),
        (withdrawal(world, nonce="a", timestamp=world.now - 300_001), "Request expired. Max age: 300000ms"),
        (withdrawal(world, nonce="b", timestamp=world.now + 60_001), "Request timestamp too far in future"),
        (withdrawal(world, nonce="c", timestamp=-(2**70)), "Request expired. Max age: 300000ms"),
        (withdrawal(world, nonce="d", timestamp=2**70), "Request timestamp too far in future"),
    ):
        assert error_of(world.post(WITHDRAW, body)) == (401, text)
    assert balance_of(world) == 299.0


def test_too_many_withdrawals_at_once_are_asked_to_wait(world: World) -> None:
    put_in(world, 300)
    for number in range(256):
        assert world.post(WITHDRAW, withdrawal(world, 0.001, str(number))).status_code == 200
    answer = world.post(WITHDRAW, withdrawal(world, 0.001, "one more"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")


# Not available


@pytest.mark.parametrize("path", REQUIRED)
def test_disabled_collateral_is_not_available_whatever_is_sent(make_world: Make, path: str) -> None:
    world = make_world(settings_changes={"collateral": CollateralSettings(enabled=False)})
    expected = (503, "Collateral operations not available")

    assert error_of(world.post(path, b"rubbish", content_type="text/plain")) == expected
    assert error_of(world.get("/collateral/")) == expected
    assert error_of(world.get(f"/collateral/balance/{HOT_ADDRESS}", None)) == expected


def test_without_metadata_only_deposits_are_not_available(make_world: Make) -> None:
    world = make_world(settings_changes={"collateral": CollateralSettings()})

    assert error_of(world.post(DEPOSIT, {})) == (503, "Collateral operations not available")
    assert balance_of(world) == 0.0
    answer = world.post(WITHDRAW, withdrawal(world))
    assert error_of(answer) == (403, "Coldkey does not own the specified hotkey")


def test_a_journal_that_takes_nothing_is_503_and_uses_no_nonce_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in(world, 300)
    body = withdrawal(world)
    with monkeypatch.context() as broken:

        def refuse(_: object) -> Any:
            raise UnavailableError("no room left")

        broken.setattr(world.journal, "append", refuse)
        for path, sent in ((WITHDRAW, body), (DEPOSIT, {"extrinsic": deposit(THETA, nonce=9).hex()})):
            answer = world.post(path, sent)
            assert error_of(answer) == (503, "Collateral operations not available")
            assert "room" not in answer.text
    assert world.post(WITHDRAW, body).get_json()["successfully_processed"]


def test_a_busy_backend_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = world.app.extensions["vanta-rest"].collateral.backend

    def busy(*_: Any) -> Any:
        raise OutOfServiceError("busy")

    monkeypatch.setattr(backend, "withdraw", busy)
    answer = world.post(WITHDRAW, withdrawal(world))
    assert error_of(answer) == (503, "Collateral operations not available")
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (DEPOSIT, "Internal server error processing deposit"),
        (QUERY, "Internal server error processing withdrawal query"),
        (WITHDRAW, "Internal server error processing withdrawal"),
    ],
)
def test_our_own_mistakes_have_the_usual_words_and_tell_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a secret")

    for name in ("deposit", "quote", "withdraw"):
        monkeypatch.setattr(world.app.extensions["vanta-rest"].collateral, name, broken)
    bodies = {
        DEPOSIT: {"extrinsic": "00"},
        QUERY: {"amount": 1, "miner_hotkey": HOT_ADDRESS},
        WITHDRAW: withdrawal(world),
    }
    answer = world.post(path, bodies[path])
    assert error_of(answer) == (500, text)
    assert "secret" not in answer.text


def test_the_list_needs_a_key(world: World) -> None:
    assert error_of(world.get("/collateral/", None))[0] == 401
    assert error_of(world.get("/collateral/", "wrong"))[0] == 401


def test_other_methods_are_refused(world: World) -> None:
    for path in REQUIRED:
        assert world.get(path, None).status_code == 405
    assert world.post("/collateral/", {"a": 1}).status_code == 405


# Restarts, races


def test_a_withdrawal_replayed_after_a_restart_is_refused(world: World) -> None:
    put_in(world, 300)
    body = withdrawal(world)
    assert world.post(WITHDRAW, body).get_json()["successfully_processed"]
    world.start()

    assert error_of(world.post(WITHDRAW, body)) == (401, "Nonce already used")
    assert balance_of(world) == 200.0


def test_a_withdrawal_replayed_after_a_restart_is_refused_on_disk_too(
    make_world: Make, tmp_path: Path
) -> None:
    """The journal in a file, everything opened again."""
    path, clock = tmp_path / "journal.sqlite3", FakeClock()
    answers: list[int] = []
    body: dict[str, Any] = {}
    for attempt in range(2):
        world = make_world(clock=clock)
        world.journal.close()
        journal = SqliteJournal(path, clock=clock)
        world.journal = journal  # type: ignore[assignment]
        world.start()
        if attempt == 0:
            put_in(world, 300)
            body = withdrawal(world)
        answers.append(world.post(WITHDRAW, body).status_code)
        assert balance_of(world) == 200.0
        journal.close()
    assert answers == [200, 401]


def test_of_many_equal_withdrawals_at_once_one_is_paid(world: World) -> None:
    put_in(world, 300)
    body, barrier, statuses = withdrawal(world), threading.Barrier(6), list[int]()

    def send() -> None:
        barrier.wait()
        statuses.append(world.post(WITHDRAW, body).status_code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(statuses) == [200] + [401] * 5
    assert balance_of(world) == 200.0


def test_two_servers_on_one_journal_pay_a_withdrawal_once(world: World) -> None:
    put_in(world, 300)
    body = withdrawal(world)
    other = create_app(world.services()).test_client()

    assert world.post(WITHDRAW, body).status_code == 200
    assert other.post(WITHDRAW, json=body).status_code == 401
    assert other.get(f"/collateral/balance/{HOT_ADDRESS}").get_json()["balance_theta"] == 200.0


def test_open_routes_are_limited_by_address(make_world: Make, tmp_path: Path) -> None:
    world = make_world(
        rest=RestSettings(open_per_minute=3),
        settings_changes={"collateral": collateral_settings(tmp_path)},
    )
    statuses = [world.post(QUERY, {"amount": 1, "miner_hotkey": HOT_ADDRESS}).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


# Mutations: nothing that was not signed gets through, and nothing breaks the server


def scrambled(generator: random.Random, value: Any) -> Any:
    """Another value of the same kind, or of another one."""
    if generator.random() < 0.15:
        return generator.choice(
            [None, True, False, 0, -1, 1.5, "", "x", [], {}, [value], {"a": value}, 10**30]
        )
    if isinstance(value, str):
        letters = list(value)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(letters) + 1)
            letter = generator.choice("0123456789abcdefXYZ5_ é\u2028\x00")
            letters[place : place + generator.randrange(2)] = [letter] * generator.randrange(3)
        return "".join(letters)
    return value + generator.choice([1, -1, 0.5, 1e-9, 10**6, -(10**12), float(value)])


def check_mutations(world: World, count: int, seed: int) -> None:
    generator = random.Random(seed)
    print(f"seed {seed}")
    put_in(world, 300)
    good = withdrawal(world, 100.0)
    raised = 0
    for _ in range(count):
        body = dict(good)
        for name in generator.sample(sorted(body), generator.choice((1, 1, 1, 2, 3))):
            if generator.random() < 0.05:
                del body[name]
            else:
                body[name] = scrambled(generator, body[name])
        if body == good and json.dumps(body) == json.dumps(good):
            continue
        answer = world.post(WITHDRAW, body)
        assert 400 <= answer.status_code < 500, (answer.status_code, body)
        strict_json(answer.data)
        raised += 1
    assert raised > count * 0.9
    assert balance_of(world) == 300.0
    assert world.post(WITHDRAW, good).get_json()["successfully_processed"]  # nothing used its nonce up


def test_mutated_withdrawals_are_refused(world: World) -> None:
    check_mutations(world, 700, seed=20251120)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_mutated_withdrawals_are_refused(world: World) -> None:
    check_mutations(world, int(os.environ.get("VANTA_SOAK_MUTATIONS", "10000")), seed=20251121)


def test_mutated_quotes_and_balances_never_break_the_server(world: World) -> None:
    generator = random.Random(20251122)
    print("seed 20251122")
    for _ in range(400):
        body = {"amount": scrambled(generator, 5.0), "miner_hotkey": scrambled(generator, HOT_ADDRESS)}
        assert world.post(QUERY, body).status_code in (200, 400)
        text = scrambled(generator, HOT_ADDRESS)
        if isinstance(text, str) and text and "\x00" not in text:
            assert world.get(f"/collateral/balance/{text}", None).status_code in (200, 400)


# What the command-line client sends (version 3.0.3), byte for byte, and what it reads of the answer


def as_the_client_sends(world: World, path: str, body: Mapping[str, Any]) -> Any:
    """``requests`` with ``json=``: default separators, ASCII only, its own headers, no key."""
    return world.client.post(
        path,
        data=json.dumps({**body, "version": "3.0.3"}).encode(),
        headers={
            "User-Agent": "python-requests/2.32.5",
            "Accept-Encoding": "gzip, deflate",
            "Accept": "*/*",
            "Connection": "keep-alive",
            "Content-Type": "application/json",
        },
    )


def test_the_command_line_client_is_served(world: World) -> None:
    done = as_the_client_sends(world, DEPOSIT, {"extrinsic": deposit(300 * THETA).hex()}).get_json()
    assert (done["successfully_processed"], done.get("error_message") or done.get("error")) == (True, None)

    assert world.get(f"/collateral/balance/{HOT_ADDRESS}", None).get_json()["balance_theta"] >= 300

    quote = as_the_client_sends(world, QUERY, {"amount": 50.0, "miner_hotkey": HOT_ADDRESS}).get_json()
    assert quote["successfully_processed"]
    for name in ("drawdown", "slashed_amount", "withdrawal_amount", "new_balance"):
        assert isinstance(quote[name], float), name

    body = withdrawal(world, 50.0, nonce="Drmhze6EPcv0fN_81Bj-nA5Xq-S8iq4ZxK7bVSIDpAI")
    paid = as_the_client_sends(world, WITHDRAW, body).get_json()
    assert (paid["successfully_processed"], paid["returned_amount"]) == (True, 50.0)

    again = as_the_client_sends(world, WITHDRAW, body)
    assert again.status_code == 401
    assert again.get_json().get("error_message") or again.get_json().get("error") == "Nonce already used"


def test_a_proxy_may_send_a_body_with_a_get(world: World) -> None:
    answer = world.client.get(f"/collateral/balance/{HOT_ADDRESS}", json={})
    assert answer.status_code == 200
