"""Collateral: deposits, withdrawals, balances, and the account sizes that follow from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import structlog
from flask import Blueprint, request

from rest_server.answers import Small
from rest_server.collateral_models import (
    EXTRINSIC_CHARACTERS,
    NONCE_CHARACTERS,
    AccountSizes,
    Balance,
    DepositRequest,
    Processed,
    QueryWithdrawAnswer,
    QueryWithdrawRequest,
    WithdrawAnswer,
    WithdrawRequest,
)
from rest_server.errors import Problem
from rest_server.models import AccountSize
from rest_server.operation import answers, fails, needs_key, open_to_all, path_example, query, says, takes
from rest_server.posted import MISSING, OLD_CLIENT, UNKNOWN_CLIENT, check_client, json_object, require
from rest_server.services import services
from validator.collateral.backend import BalanceError, CollateralError, OutOfServiceError
from validator.collateral.rules import NOT_A_NUMBER, NOT_POSITIVE, AmountError, theta_of
from validator.collateral.service import WITHDRAWAL_FIELDS, Collateral, NotOwnedError, NotSignedError
from validator.nonces import AHEAD, EXPIRED, USED, NonceError, TooManyError
from validator.signing import Address, AddressError

blueprint: Final = Blueprint("collateral", __name__)

NOT_AVAILABLE: Final = "Collateral operations not available"
NOT_HEX_TEXT: Final = "extrinsic must be a hex string"
NOT_EVEN_HEX: Final = "extrinsic must be even-length hex"
TOO_LARGE: Final = "extrinsic too large"
BAD_ADDRESS: Final = "Invalid SS58 address format for {name}"
BAD_NONCE: Final = f"nonce must be a string of 1 to {NONCE_CHARACTERS} characters"
BAD_TIME: Final = "timestamp must be a whole number of milliseconds"
NOT_SIGNED: Final = "Invalid signature. Withdrawal request unauthorized"
NOT_OWNED: Final = "Coldkey does not own the specified hotkey"
NO_BALANCE: Final = "Failed to retrieve collateral balance"
RETRY_S: Final = "5"
_HEX: Final = re.compile("(?:0[xX])?((?:[0-9a-fA-F]{2})+)")

_log = structlog.get_logger()


@blueprint.post("/collateral/deposit")
@open_to_all
@takes(DepositRequest)
@answers(Processed)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="extrinsic"))
@fails(400, NOT_HEX_TEXT)
@fails(400, NOT_EVEN_HEX)
@fails(413, TOO_LARGE)
@says(500, "Internal server error processing deposit")
@says(503, NOT_AVAILABLE)
def deposit() -> Small:
    """Deposit collateral by a signed transfer of stake. The same extrinsic again changes nothing more."""
    with _collateral() as collateral:
        collateral.backend.check_deposits()
        body = json_object()
        check_client(body)
        problem = collateral.deposit(_extrinsic(body))
    return Small(Processed(successfully_processed=not problem, error_message=problem))


@blueprint.post("/collateral/query-withdraw")
@open_to_all
@takes(QueryWithdrawRequest)
@answers(QueryWithdrawAnswer)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="amount"))
@fails(400, NOT_POSITIVE)
@fails(400, NOT_A_NUMBER)
@fails(400, BAD_ADDRESS.format(name="miner_hotkey"))
@says(500, "Internal server error processing withdrawal query")
@says(503, NOT_AVAILABLE)
def query_withdraw() -> Small:
    """What a withdrawal would come to now. Nothing is changed."""
    with _collateral() as collateral:
        body = json_object()
        check_client(body)
        require(body, ("amount", "miner_hotkey"))
        try:
            quoted = collateral.quote(_address(collateral, body, "miner_hotkey"), body["amount"])
        except AmountError as error:
            raise Problem(400, str(error), "invalid_amount") from None
        except CollateralError as error:
            return Small(QueryWithdrawAnswer(successfully_processed=False, error_message=str(error)))
    return Small(
        QueryWithdrawAnswer(
            successfully_processed=True,
            error_message="",
            drawdown=quoted.drawdown,
            slashed_amount=theta_of(quoted.slashed),
            withdrawal_amount=theta_of(quoted.paid),
            new_balance=theta_of(quoted.new_balance),
        )
    )


@blueprint.post("/collateral/withdraw")
@open_to_all
@takes(WithdrawRequest)
@answers(WithdrawAnswer)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="amount"))
@fails(400, BAD_NONCE)
@fails(400, BAD_TIME)
@fails(400, NOT_POSITIVE)
@fails(400, NOT_A_NUMBER)
@fails(401, NOT_SIGNED)
@fails(401, EXPIRED)
@fails(401, AHEAD)
@fails(401, USED)
@fails(403, NOT_OWNED)
@says(500, "Internal server error processing withdrawal")
@says(503, NOT_AVAILABLE)
def withdraw() -> Small:
    """Withdraw collateral to the coldkey that owns the hotkey and signed the request."""
    with _collateral() as collateral:
        body = json_object()
        check_client(body)
        require(body, (*WITHDRAWAL_FIELDS, "signature"))
        _check_stamp(body)
        try:
            done = collateral.withdraw(body)
        except OutOfServiceError:
            raise
        except CollateralError as error:
            return Small(_not_withdrawn(str(error)))
        except (NotSignedError, NotOwnedError, AmountError, NonceError) as error:
            raise _refusal(error) from None
    return Small(
        WithdrawAnswer(
            successfully_processed=True,
            error_message="",
            returned_amount=theta_of(done.paid),
            returned_to=body["miner_coldkey"],
        )
    )


@blueprint.get("/collateral/balance/<miner_address>")
@open_to_all
@path_example("miner_address", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")
@answers(Balance)
@fails(400, BAD_ADDRESS.format(name="miner_address"))
@fails(500, NO_BALANCE)
@says(500, "Internal server error retrieving balance")
@says(503, NOT_AVAILABLE)
def balance(miner_address: str) -> Small:
    """A hotkey's collateral."""
    with _collateral() as collateral:
        found = _address(collateral, {"miner_address": miner_address}, "miner_address")
        try:
            rao = collateral.balance(found)
        except BalanceError as error:
            _log.warning("the balance cannot be told", problem=str(error))
            raise Problem(500, NO_BALANCE, "balance_unknown") from None
    return Small(Balance(miner_address=miner_address, balance_theta=theta_of(rao)))


@blueprint.get("/collateral/", strict_slashes=False)
@needs_key
@query("hotkey", "Only this hotkey; nothing when it is not known.", type="string")
@query("most_recent", "`true`: only the newest record of each hotkey.", type="string")
@answers(AccountSizes)
@says(500, "Internal server error retrieving data")
@says(503, NOT_AVAILABLE)
def account_sizes() -> Small:
    """Account sizes of all hotkeys, as deposits and withdrawals made them."""
    with _collateral() as collateral:
        known = collateral.account_sizes()
    wanted = request.args.get("hotkey")
    newest_only = request.args.get("most_recent", "").lower() == "true"
    data = {
        hotkey: [_row(record) for record in (records[-1:] if newest_only else records)]
        for hotkey, records in sorted(known.items())
        if wanted is None or hotkey == wanted
    }
    return Small(
        AccountSizes(
            status="success",
            data=data,
            miner_count=len(data),
            total_records=sum(map(len, data.values())),
            timestamp=services().clock.now_ms(),
        )
    )


@contextmanager
def _collateral() -> Iterator[Collateral]:
    """The service; what it is not set up for is 503."""
    here = services()
    if not here.settings.collateral.enabled:
        raise Problem(503, NOT_AVAILABLE, "not_available")
    try:
        yield here.collateral
    except OutOfServiceError as error:
        _log.info("collateral is out of service", problem=str(error))
        raise Problem(503, NOT_AVAILABLE, "not_available", headers={"Retry-After": RETRY_S}) from None


def _extrinsic(body: Mapping[str, Any]) -> bytes:
    """The extrinsic's bytes, under either of its names. Raises Problem 400 or 413."""
    name = "extrinsic_data" if "extrinsic" not in body and "extrinsic_data" in body else "extrinsic"
    require(body, (name,))
    text = body[name]
    if not isinstance(text, str):
        raise Problem(400, NOT_HEX_TEXT, "invalid_extrinsic")
    if len(text) > EXTRINSIC_CHARACTERS:
        raise Problem(413, TOO_LARGE, "extrinsic_too_large")
    found = _HEX.fullmatch(text)
    if found is None:
        raise Problem(400, NOT_EVEN_HEX, "invalid_extrinsic")
    return bytes.fromhex(found.group(1))


def _address(collateral: Collateral, body: Mapping[str, Any], name: str) -> Address:
    try:
        return collateral.address(body[name])
    except AddressError:
        raise Problem(400, BAD_ADDRESS.format(name=name), "invalid_address") from None


def _check_stamp(body: Mapping[str, Any]) -> None:
    """Raise Problem 400 unless nonce and timestamp are of the right kind."""
    nonce, timestamp = body["nonce"], body["timestamp"]
    if not isinstance(nonce, str) or not 0 < len(nonce) <= NONCE_CHARACTERS:
        raise Problem(400, BAD_NONCE, "invalid_nonce")
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise Problem(400, BAD_TIME, "invalid_timestamp")


def _refusal(error: Exception) -> Problem:
    if isinstance(error, NotSignedError):
        return Problem(401, NOT_SIGNED, "invalid_signature")
    if isinstance(error, NotOwnedError):
        return Problem(403, NOT_OWNED, "not_owner")
    if isinstance(error, AmountError):
        return Problem(400, str(error), "invalid_amount")
    if isinstance(error, TooManyError):
        return Problem(429, headers={"Retry-After": "60"})
    return Problem(401, str(error), "invalid_nonce")


def _not_withdrawn(reason: str) -> WithdrawAnswer:
    return WithdrawAnswer(
        successfully_processed=False, error_message=reason, returned_amount=0.0, returned_to=""
    )


def _row(record: Any) -> AccountSize:
    return msgspec.convert(record, AccountSize, from_attributes=True)
