"""What can be set: one struct per section, each field with its unit and meaning.

Everything here is frozen data with defaults; ``runtime.settings`` reads it and refuses what is wrong.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tracked account. ``hotkey`` defaults to ``<venue>:<account>``; ``account_size`` is USD."""

    account: str
    hotkey: str | None = None
    account_size: Decimal | None = None
    secrets: dict[str, str] = {}
    options: dict[str, Any] = {}


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One venue. ``urls`` maps an endpoint's role (``rest``, ``ws``, ``subgraph``, ...) to its URLs, tried
    in order. ``requests_per_s`` is our own pace; the venue's 429 slows it further."""

    urls: dict[str, list[str]] = {}
    accounts: list[AccountSettings] = []
    poll_interval_s: float = 5.0
    timeout_s: float = 10.0
    requests_per_s: float = 10.0
    options: dict[str, Any] = {}


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal.

    Fields:
        witness: file that remembers the journal's heads; best on another disk than ``data_dir``
            (default: ``<data_dir>.witness.json``, beside the directory; inside it where the place beside it
            cannot be written).
        checkpoint_interval_s: seconds between checkpoints while entries come in.
        checkpoint_entries: entries after which a checkpoint is written sooner.
        checkpoints_kept: newest checkpoint files that are kept.
        retention_hours: entries are kept at least this long, whatever the checkpoints hold; from 25, as
            the lagged tiers look 24 hours back.
        closed_window_days: closed positions and finished orders older than this leave the State; their
            totals stay. From 121, as returns look 120 days back.
        marks_hours: history of marks that is kept, at one-minute resolution; from 25.
    """

    witness: str | None = None
    checkpoint_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    checkpoint_entries: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    checkpoints_kept: Annotated[int, msgspec.Meta(ge=2)] = 4
    retention_hours: Annotated[float, msgspec.Meta(ge=25)] = 168.0
    closed_window_days: Annotated[int, msgspec.Meta(ge=121)] = 365
    marks_hours: Annotated[float, msgspec.Meta(ge=25)] = 49.0


class RestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The REST server.

    Time: ``request_timeout_s`` in which a request must have arrived whole; ``idle_timeout_s`` after which
    a silent connection is closed; ``drain_s`` that requests in flight get at shutdown; ``poll_s`` between
    two looks at the journal when no bell rings (marks have no bell); ``stale_after_s`` without a sign of
    the reader of the journal until ``/readyz`` says no.

    Room: ``threads`` that answer requests; ``connections`` open at once; ``body_bytes`` of a request.

    Limits, each per minute: ``requests_per_minute`` per key; ``open_per_minute`` per client address on
    routes that need no key; ``failed_auth_per_minute`` per client address for wrong or missing keys (then
    429, also for a good key that has not been used from that address before). Per UTC day and key, by
    tier, where the key's own quota says nothing (a tier that is not named: no limit):
    ``requests_per_day``, ``bytes_per_day``.

    ``trusted_proxies``: addresses or networks whose ``X-Forwarded-For`` is believed.
    ``metagraph_file``: JSON list of the subnet's hotkeys, read again when it changes.
    ``metagraph_url``: a chain's node to ask for them instead (JSON-RPC; the subnet is ``netuid``).
    ``open_tier``: what readers without a key are shown of Hyperliquid traders (0: as of 24 hours ago).
    """

    request_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 15.0
    idle_timeout_s: Annotated[int, msgspec.Meta(ge=1)] = 60
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=9)] = 8.0
    poll_s: Annotated[float, msgspec.Meta(gt=0, le=5)] = 0.25
    stale_after_s: Annotated[float, msgspec.Meta(gt=0)] = 15.0
    threads: Annotated[int, msgspec.Meta(ge=2, le=256)] = 12
    connections: Annotated[int, msgspec.Meta(ge=10)] = 1_000
    body_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 256 * 1024
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 1_200
    open_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 300
    failed_auth_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 10
    requests_per_day: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    bytes_per_day: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    trusted_proxies: list[str] = []
    metagraph_file: str | None = None
    metagraph_url: str | None = None
    open_tier: Literal[0, 30, 50, 100] = 0


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The WebSocket server.

    Time: ``auth_timeout_s`` until a stranger must have authenticated; ``heartbeat_ms`` between heartbeats;
    ``ping_interval_s`` of silence before a protocol ping and ``ping_timeout_s`` until its answer (must be
    above ``slow_limit_s``); ``slow_limit_s`` that a full write buffer may take to drain; ``close_timeout_s``
    for a closing handshake; ``drain_s`` between the shutdown notice and the close.

    Room: ``write_buffer_bytes`` per subscriber before it leaves the live stream and reads pages at its own
    pace; ``buffer_limit_bytes`` that ends the connection at once; ``turn_bytes`` in one coalesced write;
    ``batch_entries`` and ``batch_bytes`` in one replay batch; ``recent_entries`` and ``recent_bytes`` per
    stream that a replay finds in memory; ``send_buffer_bytes`` of the socket (SO_SNDBUF).

    Limits: ``connections_per_key`` (the oldest leaves), ``connections`` in all and
    ``unauthenticated_per_ip`` (then 1013), ``failed_auth_per_minute`` per IP, ``messages_per_s`` and
    ``messages_burst`` that a client may send, ``control_frames_per_s`` likewise with pings counted.
    ``messages_per_day``: data messages per key and UTC day where the key's quota says nothing (0: no limit).

    ``snapshot_url`` is told to clients that cannot resume; give an absolute URL where REST has another
    origin. ``trusted_proxies``: addresses whose ``X-Forwarded-For`` is believed.
    """

    auth_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    heartbeat_ms: Annotated[int, msgspec.Meta(ge=100)] = 5_000
    ping_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    ping_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    slow_limit_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    close_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.5
    write_buffer_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 128 * 1024
    buffer_limit_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024)] = 1024 * 1024
    turn_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 128 * 1024
    batch_entries: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    batch_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1024 * 1024)] = 256 * 1024
    recent_entries: Annotated[int, msgspec.Meta(ge=1)] = 2_000
    recent_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4 * 1024 * 1024
    send_buffer_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 256 * 1024
    connections_per_key: Annotated[int, msgspec.Meta(ge=1)] = 5
    connections: Annotated[int, msgspec.Meta(ge=1)] = 5_000
    unauthenticated_per_ip: Annotated[int, msgspec.Meta(ge=1)] = 200
    failed_auth_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 30
    messages_per_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    messages_burst: Annotated[int, msgspec.Meta(ge=1)] = 60
    control_frames_per_s: Annotated[int, msgspec.Meta(ge=1)] = 200
    messages_per_day: Annotated[int, msgspec.Meta(ge=0)] = 0
    snapshot_url: str = "/validator-checkpoint"
    trusted_proxies: list[str] = []

    def __post_init__(self) -> None:
        if self.ping_timeout_s <= self.slow_limit_s:  # a slow client would be called dead, not slow
            raise ValueError("ping_timeout_s must be above slow_limit_s")


class ValidatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The validator: performance ledgers.

    Fields:
        checkpoint_hours: span of a ledger checkpoint, aligned to 00:00 UTC; 6 or 12.
        window_days: ledger history that is kept; must be below ``journal.closed_window_days``, because a
            closed position is counted one by one until it is older than the window.
        settle_s: seconds that prices and orders of a minute get to arrive before the minute is counted.
        correction_hours: how far back finished checkpoints are corrected when an order turns up late;
            minute marks must be kept longer (``journal.marks_hours``).
        poll_s: longest wait between two looks at the journal when no bell rings.
    """

    checkpoint_hours: Literal[6, 12] = 6
    window_days: Annotated[int, msgspec.Meta(ge=30)] = 120
    settle_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 45.0
    correction_hours: Annotated[float, msgspec.Meta(ge=0)] = 24.0
    poll_s: Annotated[float, msgspec.Meta(gt=0, le=5)] = 0.5


class CollateralSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Collateral and asset selection.

    ``enabled``: whether the ``/collateral`` routes are there (else 503). ``backend``: ``local`` keeps
    balances in the journal, ``chain`` in a contract. ``balance_max``: theta that count, and that a balance
    may reach; ``usd_per_theta``: account size that one theta is worth. ``asset_classes``: those that may be
    selected. ``ss58_prefix``: network of addresses that are accepted. ``vault_coldkey``: address that
    deposits go to.

    Local: ``metadata_file``: the runtime's metadata (version 14, bytes or hex), without which no deposits
    are taken; ``genesis_hash``: the chain's; ``owners_file``: JSON object of hotkeys and their coldkeys, in
    addition to those who deposited first.

    Chain: ``node_url``: JSON-RPC of a Substrate node; ``evm_url``, ``evm_chain_id``, ``contract``: JSON-RPC,
    chain id and address of the collateral contract; ``vault_hotkey``: where deposited stake is kept;
    ``vault_secret`` (URI, mnemonic or seed of the vault's coldkey), ``contract_secret`` (key of the
    contract's owner): ``env:NAME`` or ``file:PATH``; without both of them the server only reads.
    ``timeout_s`` for one call; ``inclusion_s`` until a transaction must be in a block; ``finalized``: wait
    until that block is final; ``operations`` that may wait for a chain at once; ``balance_cache_s``: how
    long a balance is believed.
    """

    enabled: bool = True
    backend: Literal["local", "chain"] = "local"
    balance_max: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 1000.0
    usd_per_theta: Annotated[float, msgspec.Meta(gt=0)] = 500.0
    asset_classes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("crypto", "forex")
    ss58_prefix: Annotated[int, msgspec.Meta(ge=0, le=16383)] = 42
    vault_coldkey: str | None = None
    metadata_file: str | None = None
    genesis_hash: str | None = None
    owners_file: str | None = None
    node_url: str | None = None
    evm_url: str | None = None
    evm_chain_id: Annotated[int, msgspec.Meta(ge=1)] | None = None
    contract: str | None = None
    vault_hotkey: str | None = None
    vault_secret: str | None = None
    contract_secret: str | None = None
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    inclusion_s: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    finalized: bool = False
    operations: Annotated[int, msgspec.Meta(ge=1)] = 4
    balance_cache_s: Annotated[float, msgspec.Meta(ge=0)] = 5.0

    def __post_init__(self) -> None:
        needed = {
            "local": ("genesis_hash", "vault_coldkey") if self.metadata_file else (),
            "chain": ("node_url", "evm_url", "evm_chain_id", "contract", "vault_coldkey", "vault_hotkey"),
        }[self.backend]
        if missing := [name for name in needed if getattr(self, name) is None]:
            raise ValueError(f"the {self.backend} backend also needs {', '.join(missing)}")
        if (self.vault_secret is None) != (self.contract_secret is None):
            raise ValueError("vault_secret and contract_secret go together")


class RulesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Challenge period and eliminations; the defaults are Vanta's.

    Fields:
        enabled: whether hotkeys are promoted, demoted and eliminated by these rules. Without, eliminations
            that an operator asks for are still carried out.
        drawdown_percent: from this loss below its highest value on a hotkey is eliminated, in any bucket.
        challenge_minimum_days: complete trading days before a hotkey can enter the main competition.
        challenge_days, probation_days, plagiarism_days: longest stay in each bucket; over it, eliminated.
        promotion_rank: size of the main competition, per class of assets.
        subaccount_days, subaccount_gain_percent, subaccount_drawdown_percent: the challenge of an entity's
            subaccount: within these days that gain, without that drawdown.
        default_asset_class: class in which a hotkey that selected none is ranked (unset: in none).
        minimum_collateral_usd: account sizes that collateral made are penalised below this.
        check_s: seconds between two looks at drawdowns; ``challenge_check_s``: at ranks and time limits.
    """

    enabled: bool = True
    drawdown_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 10.0
    challenge_minimum_days: Annotated[int, msgspec.Meta(ge=0)] = 61
    challenge_days: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    probation_days: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    plagiarism_days: Annotated[float, msgspec.Meta(ge=0)] = 14.0
    promotion_rank: Annotated[int, msgspec.Meta(ge=0)] = 25
    subaccount_days: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    subaccount_gain_percent: Annotated[float, msgspec.Meta(gt=0)] = 3.0
    subaccount_drawdown_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 6.0
    default_asset_class: str | None = None
    minimum_collateral_usd: Annotated[float, msgspec.Meta(ge=0)] = 150_000.0
    check_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    challenge_check_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0


class EmissionsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where emissions are read from. Without a source every figure about emissions is null.

    Fields:
        source: a file, or an http(s) URL, with JSON as ``validator.debt.emissions`` describes it.
        api_key: ``env:NAME`` or ``file:PATH`` of a bearer token for the URL.
        refresh_s: seconds between two looks; ``timeout_s``: longest wait for the URL.
    """

    source: str | None = None
    api_key: str | None = None
    refresh_s: Annotated[float, msgspec.Meta(ge=1)] = 600.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0


class PeerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another node that is told of new subaccounts.

    ``url``: its REST address, https (http only on this machine). ``api_key``: ``env:NAME`` or ``file:PATH``
    of a tier-200 key of that node.
    """

    url: str
    api_key: str


class EntitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entities and their subaccounts.

    Fields:
        enabled: whether the entity routes are there (else 503).
        max_subaccounts: active subaccounts of an entity that says nothing; ``max_subaccounts_limit``: the
            most that an entity may ask for.
        account_size: USD that a subaccount is measured against where its creation says nothing;
            ``asset_class`` likewise.
        api_key_secret: ``env:NAME`` or ``file:PATH`` of the secret that entities' API keys are derived from,
            at least 32 characters (default: a random file in ``data_dir``). A new one revokes them all.
        peers: nodes that are told of every subaccount created here; ``peer_timeout_s`` for one call,
            ``peer_retry_s``: longest wait before the next attempt.
        close_after_s: an elimination whose positions are still open after this long is completed.
    """

    enabled: bool = True
    max_subaccounts: Annotated[int, msgspec.Meta(ge=1)] = 500
    max_subaccounts_limit: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    account_size: Annotated[float, msgspec.Meta(gt=0, le=1e15)] = 100_000.0
    asset_class: Annotated[str, msgspec.Meta(min_length=1)] = "crypto"
    api_key_secret: str | None = None
    peers: list[PeerSettings] = []
    peer_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    peer_retry_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    close_after_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue sandboxes that ``--sandbox`` starts: ``accounts`` per venue, all drawn from ``seed``."""

    enabled: bool = False
    seed: int = 7
    accounts: int = 3


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a process of ours is told. ``repo_version`` is what positions carry on the stream."""

    api_host: str = "127.0.0.1"
    api_rest_port: int = 48888
    api_ws_port: int = 8765
    netuid: int = 8
    data_dir: Path = Path("data")
    api_keys: Path = Path("vanta_api/api_keys.json")
    log_level: str = "info"
    repo_version: str = "8.8.9"
    venues: dict[str, VenueSettings] = {}
    sandbox: SandboxSettings = SandboxSettings()
    journal: JournalSettings = JournalSettings()
    rest: RestSettings = RestSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    validator: ValidatorSettings = ValidatorSettings()
    entities: EntitySettings = EntitySettings()
    rules: RulesSettings = RulesSettings()
    emissions: EmissionsSettings = EmissionsSettings()
    collateral: CollateralSettings = CollateralSettings()

    @property
    def journal_path(self) -> Path:
        """The journal's database."""
        return self.data_dir / "journal" / "journal.sqlite3"

    @property
    def marks_path(self) -> Path:
        """The marks' database."""
        return self.data_dir / "journal" / "marks.sqlite3"

    @property
    def checkpoint_dir(self) -> Path:
        """Where checkpoints are kept."""
        return self.data_dir / "checkpoints"

    @property
    def witness_path(self) -> Path:
        """The file that remembers the journal's heads.

        Beside ``data_dir``, so that an old copy of the whole directory is noticed; inside it only where
        the place beside it cannot be written.
        """
        if self.journal.witness:
            return Path(self.journal.witness)
        inside, directory = self.data_dir / "witness.json", Path(os.path.abspath(self.data_dir))
        beside = directory.parent / f"{directory.name}.witness.json"
        is_free = not inside.exists() and os.access(directory.parent, os.W_OK)
        return beside if is_free or beside.exists() else inside
