"""Bodies of the collateral and asset-selection routes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from rest_server.models import AccountSize

EXTRINSIC_CHARACTERS: int = 200_000
NONCE_CHARACTERS: int = 512

Address = Annotated[str, msgspec.Meta(min_length=1, max_length=50, description="SS58 address.")]
Hex = Annotated[str, msgspec.Meta(pattern="^(0x)?([0-9a-fA-F]{2})+$")]
Signature = Annotated[
    str,
    msgspec.Meta(
        pattern="^(0x)?[0-9a-fA-F]{128}$",
        description="sr25519 signature of the coldkey over the JSON object of all other fields but `version`:"
        " keys sorted, separated by `, ` and `: `, numbers as they are sent.",
    ),
]
Amount = Annotated[float, msgspec.Meta(gt=0, description="Theta; cut to nine decimals.")]


class DepositRequest(msgspec.Struct, kw_only=True):
    """A signed `SubtensorModule.transfer_stake` to the vault. `extrinsic_data` is another name for it."""

    extrinsic: Annotated[Hex, msgspec.Meta(max_length=EXTRINSIC_CHARACTERS)]


class Processed(msgspec.Struct, kw_only=True):
    """Whether it was done, and if not, why."""

    successfully_processed: bool
    error_message: str


class QueryWithdrawRequest(msgspec.Struct, kw_only=True):
    """A withdrawal that is only thought about."""

    amount: Amount
    miner_hotkey: Address


class QueryWithdrawAnswer(Processed, kw_only=True):
    """What the withdrawal would come to, in theta; the figures are absent where it cannot be made.

    `drawdown`: value of the portfolio over its highest one (1: none).
    """

    drawdown: float | msgspec.UnsetType = msgspec.UNSET
    slashed_amount: float | msgspec.UnsetType = msgspec.UNSET
    withdrawal_amount: float | msgspec.UnsetType = msgspec.UNSET
    new_balance: float | msgspec.UnsetType = msgspec.UNSET


class WithdrawRequest(msgspec.Struct, kw_only=True):
    """A signed withdrawal. A `nonce` works once; `timestamp` is ms, at most five minutes old."""

    amount: Amount
    miner_coldkey: Address
    miner_hotkey: Address
    nonce: Annotated[str, msgspec.Meta(min_length=1, max_length=NONCE_CHARACTERS)]
    timestamp: int
    signature: Signature


class WithdrawAnswer(Processed, kw_only=True):
    """What was paid out, in theta, and to whom."""

    returned_amount: float
    returned_to: str


class Balance(msgspec.Struct, kw_only=True):
    """A hotkey's collateral in theta."""

    miner_address: str
    balance_theta: float


class AccountSizes(msgspec.Struct, kw_only=True):
    """Account sizes by hotkey, oldest first."""

    status: Literal["success"]
    data: dict[str, list[AccountSize]]
    miner_count: int
    total_records: int
    timestamp: int


class SelectionRequest(msgspec.Struct, kw_only=True):
    """An asset class, chosen for good."""

    asset_selection: str
    miner_coldkey: Address
    miner_hotkey: Address
    signature: Signature


class SelectionAnswer(Processed, kw_only=True):
    """Whether the selection counts. `success_message` is there when it does."""

    success_message: str | msgspec.UnsetType = msgspec.UNSET


class Selections(msgspec.Struct, kw_only=True):
    """Asset class by hotkey."""

    miner_selections: dict[str, str]
    total_miners: int
    timestamp: int
