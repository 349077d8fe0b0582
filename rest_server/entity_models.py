"""Bodies of the entity routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from rest_server.collateral_models import Signature
from validator.account import AccountSizeData, Drawdown
from validator.entities.hotkeys import LENGTH_MAX
from validator.entities.outbox import SIZE_MAX, Word
from validator.entities.payout import Settlement

SUBACCOUNTS_MAX: int = 2**31 - 1
_PRINTABLE: str = '!-"$&-.0-{}~'  # without / | ? # %

Hotkey = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^(?!.*_(0|[1-9][0-9]{{0,9}})$)[{_PRINTABLE}]{{1,{LENGTH_MAX}}}$",
        description="The entity's hotkey, in practice an SS58 address; never `<hotkey>_<number>`.",
    ),
]
Coldkey = Annotated[
    Any,
    msgspec.Meta(description="SS58 address of who signed; not looked at with a tier-200 key."),
]
OptionalSignature = Annotated[
    Any,
    msgspec.Meta(
        description="sr25519 signature of the coldkey, hex, over the JSON object of the signed fields: keys"
        " sorted, separated by `, ` and `: `. Not looked at with a tier-200 key."
    ),
]
Size = Annotated[float, msgspec.Meta(gt=0, le=SIZE_MAX, description="USD.")]
Term = Word | float


class RegisterRequest(msgspec.Struct, kw_only=True):
    """A new entity. Signed are `entity_coldkey` and `entity_hotkey`."""

    entity_hotkey: Hotkey
    collateral_amount: Annotated[float, msgspec.Meta(ge=0, le=SIZE_MAX)] = 0.0
    max_subaccounts: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET
    entity_coldkey: Coldkey = msgspec.UNSET
    signature: OptionalSignature = msgspec.UNSET


class Registered(msgspec.Struct, kw_only=True):
    """The entity is registered."""

    status: Literal["success"]
    message: str
    entity_hotkey: str


class CreateRequest(msgspec.Struct, kw_only=True):
    """A new subaccount.

    Signed are `account_size`, `asset_class`, `entity_coldkey`, `entity_hotkey`, and of the rest whatever is
    sent; `account_size` as it is sent, or as a number with a decimal point.
    """

    entity_hotkey: Annotated[str, msgspec.Meta(min_length=1, max_length=LENGTH_MAX)]
    account_size: Size | msgspec.UnsetType = msgspec.UNSET
    asset_class: Word | msgspec.UnsetType = msgspec.UNSET
    hl_address: Word | None = None
    payout_address: Word | None = None
    bucket: Term | None = None
    pro_account_size: Term | None = None
    eod_hwm_threshold: Term | None = None
    intraday_drawdown_threshold: Term | None = None
    entity_coldkey: Coldkey = msgspec.UNSET
    signature: OptionalSignature = msgspec.UNSET


class SubaccountRow(msgspec.Struct, kw_only=True):
    """A subaccount. What its creation said beyond this (`bucket`, ...) stands beside it."""

    subaccount_id: int
    subaccount_uuid: str
    synthetic_hotkey: str
    status: Literal["active", "eliminated", "admin", "failed", "unknown"]
    created_at_ms: int
    eliminated_at_ms: int | None
    account_size: float
    asset_class: str
    hl_address: str | None
    payout_address: str | None


class Created(msgspec.Struct, kw_only=True):
    """The subaccount is there."""

    status: Literal["success"]
    message: str
    subaccount: SubaccountRow


class EntityRow(msgspec.Struct, kw_only=True):
    """An entity; `subaccounts` by id."""

    entity_hotkey: str
    subaccounts: dict[str, SubaccountRow]
    next_subaccount_id: int
    collateral_amount: float
    max_subaccounts: int
    registered_at_ms: int
    endpoint_url: str | None


class OneEntity(msgspec.Struct, kw_only=True):
    """An entity with everything it has."""

    status: Literal["success"]
    entity: EntityRow


class AllEntities(msgspec.Struct, kw_only=True):
    """Entities by hotkey."""

    status: Literal["success"]
    entities: dict[str, EntityRow]
    entity_count: int
    timestamp: int


class EliminateRequest(msgspec.Struct, kw_only=True):
    """A subaccount to be put out for good."""

    entity_hotkey: Annotated[str, msgspec.Meta(min_length=1, max_length=LENGTH_MAX)]
    subaccount_id: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    reason: Annotated[str, msgspec.Meta(max_length=256)] = "manual_elimination"


class Done(msgspec.Struct, kw_only=True):
    """It is done."""

    status: Literal["success"]
    message: str


class PayoutRequest(msgspec.Struct, kw_only=True):
    """Which subaccount, and which time (ms, both ends included)."""

    subaccount_uuid: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    start_time_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    end_time_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Payout(msgspec.Struct, kw_only=True):
    """What a subaccount earned; `checkpoints` are its ledger's."""

    hotkey: str
    total_checkpoints: int
    checkpoints: list[dict[str, Any]]
    weekly_settlements: list[Settlement]
    payout: float


class PayoutAnswer(msgspec.Struct, kw_only=True):
    """What a subaccount earned."""

    status: Literal["success"]
    data: Payout
    timestamp: int


class KeyRequest(msgspec.Struct, kw_only=True):
    """Signed are `entity_coldkey` and `entity_hotkey`; a registration's signature is not taken."""

    entity_coldkey: Annotated[str, msgspec.Meta(min_length=1, max_length=LENGTH_MAX)]
    entity_hotkey: Annotated[str, msgspec.Meta(min_length=1, max_length=LENGTH_MAX)]
    signature: Signature


class KeyAnswer(msgspec.Struct, kw_only=True):
    """The entity's API key: the same one whenever it is asked for."""

    api_key: str


class EndpointRequest(msgspec.Struct, kw_only=True):
    """Signed are `endpoint_url`, `entity_coldkey`, `entity_hotkey`."""

    entity_hotkey: Annotated[str, msgspec.Meta(min_length=1, max_length=LENGTH_MAX)]
    endpoint_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.-]{1,253}$", max_length=2048)]
    entity_coldkey: Coldkey = msgspec.UNSET
    signature: OptionalSignature = msgspec.UNSET


class EndpointSet(msgspec.Struct, kw_only=True):
    """The endpoint is noted."""

    status: Literal["success"]
    message: str
    entity_hotkey: str
    endpoint_url: str


class Endpoint(msgspec.Struct, kw_only=True):
    """Where an entity can be reached."""

    status: Literal["success"]
    entity_hotkey: str
    endpoint_url: str


class Taken(msgspec.Struct, kw_only=True):
    """The subaccount is known here; `is_new`: since now."""

    status: Literal["success"]
    is_new: bool


class Positions(msgspec.Struct, kw_only=True):
    """Open positions, and figures over all of the subaccount's."""

    positions: list[dict[str, Any]]
    total_leverage: float
    all_time_returns: float
    thirty_day_returns: float
    n_positions: int
    percentage_profitable: float


class SubaccountInfo(SubaccountRow, kw_only=True):
    """The subaccount and whose it is."""

    entity_hotkey: str


class ChallengePeriod(msgspec.Struct, kw_only=True):
    """The bucket the subaccount is in, and since when."""

    bucket: str
    start_time_ms: int


class SubaccountDashboard(msgspec.Struct, kw_only=True):
    """A subaccount as its owner sees it. What there is nothing of is null.

    `residual`: what venues still hold of an eliminated subaccount. Vanta does not publish how it works out
    `drawdown` and `account_size_data`: here equity is the account size with realised and unrealised P&L less
    fees, and days end at 00:00 UTC.
    """

    subaccount_info: SubaccountInfo
    challenge_period: ChallengePeriod | None
    ledger: dict[str, Any] | None
    positions: Positions | None
    statistics: dict[str, Any] | None
    elimination: dict[str, Any] | None
    drawdown: Drawdown
    account_size_data: AccountSizeData
    limit_orders: list[dict[str, Any]]
    residual: list[dict[str, Any]]


class DashboardAnswer(msgspec.Struct, kw_only=True):
    """The dashboard, at `timestamp`."""

    status: Literal["success"]
    dashboard: SubaccountDashboard
    timestamp: int
