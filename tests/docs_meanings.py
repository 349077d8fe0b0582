"""What settings mean where their docstring, cut into lines, reads badly: key → sentence."""

from __future__ import annotations

from typing import Final

MEANINGS: Final[dict[str, str]] = {
    "api_host": "address that both servers bind to",
    "api_rest_port": "port of the REST server",
    "api_ws_port": "port of the WebSocket server",
    "netuid": "subnet whose metagraph names the hotkeys",
    "data_dir": "directory of the journal, checkpoints and run files",
    "api_keys": "the API keys file",
    "log_level": "`debug`, `info`, `warning` or `error`",
    "repo_version": "version that positions carry on the stream and `/api/health` shows",
    "sandbox.enabled": "start the venue sandboxes and poll them, as `--sandbox` does",
    "sandbox.seed": "what the sandboxes' world is drawn from",
    "sandbox.accounts": "accounts that trade at each sandbox",
    "rest.request_timeout_s": "seconds in which a request must have arrived whole",
    "rest.idle_timeout_s": "seconds after which a silent connection is closed",
    "rest.drain_s": "seconds that requests in flight get at shutdown",
    "rest.poll_s": "seconds between two looks at the journal when no bell rings",
    "rest.stale_after_s": "seconds without a sign of the journal's reader until `/readyz` says no",
    "rest.threads": "threads that answer requests",
    "rest.connections": "connections open at once",
    "rest.body_bytes": "longest body of a request",
    "rest.requests_per_minute": "requests a minute, per key",
    "rest.open_per_minute": "requests a minute, per client address, on routes that need no key",
    "rest.failed_auth_per_minute": "wrong or missing keys a minute, per client address; then 429",
    "rest.requests_per_day": (
        "requests per UTC day and key by tier, where the key's own quota says nothing: `{ 0 = 1000 }`"
    ),
    "rest.bytes_per_day": "the same for bytes of answers",
    "rest.trusted_proxies": "addresses or networks whose `X-Forwarded-For` is believed",
    "rest.metagraph_file": "JSON list of the subnet's hotkeys, read again when it changes",
    "journal.retention_hours": (
        "entries are kept at least this long, whatever the checkpoints hold: lagged tiers look 24 hours back"
    ),
    "journal.closed_window_days": (
        "closed positions and finished orders older than this leave the State; their totals stay"
    ),
    "journal.marks_hours": "history of marks that is kept, at one-minute resolution",
    "validator.checkpoint_hours": "span of a ledger checkpoint, aligned to 00:00 UTC",
    "entities.account_size": "USD that a subaccount is measured against where its creation says nothing",
    "entities.asset_class": "class of assets of a subaccount where its creation says nothing",
    "entities.peer_timeout_s": "seconds for one call to a peer",
    "entities.peer_retry_s": "longest wait before a peer is tried again",
    "rules.challenge_days": "longest stay in the challenge; over it, eliminated",
    "rules.probation_days": "longest stay in probation; over it, eliminated",
    "rules.plagiarism_days": "longest stay in the bucket for plagiarism; over it, eliminated",
    "rules.subaccount_days": "days that an entity's subaccount has for its challenge",
    "rules.subaccount_gain_percent": "gain that it needs within them",
    "rules.subaccount_drawdown_percent": "drawdown that ends it",
    "rules.challenge_check_s": "seconds between two looks at ranks and time limits",
    "collateral.genesis_hash": "local backend: the chain's genesis hash",
    "collateral.metadata_file": (
        "local backend: the runtime's metadata (version 14, bytes or hex), without which no deposits "
        "are taken"
    ),
    "collateral.owners_file": (
        "local backend: JSON object of hotkeys and their coldkeys, in addition to those who deposited first"
    ),
    "collateral.node_url": "chain backend: JSON-RPC of a Substrate node",
    "collateral.evm_url": "chain backend: JSON-RPC of the collateral contract's chain",
    "collateral.evm_chain_id": "chain backend: its chain id",
    "collateral.contract": "chain backend: the contract's address",
    "collateral.vault_hotkey": "chain backend: where deposited stake is kept",
    "collateral.vault_secret": (
        "`env:NAME` or `file:PATH` of the vault's coldkey (URI, mnemonic or seed); without it and "
        "`contract_secret` the server only reads"
    ),
    "collateral.contract_secret": "`env:NAME` or `file:PATH` of the key of the contract's owner",
    "collateral.timeout_s": "seconds for one call to a chain",
    "collateral.inclusion_s": "seconds until a transaction must be in a block",
    "collateral.finalized": "wait until that block is final",
    "collateral.operations": "operations that may wait for a chain at once",
    "collateral.balance_cache_s": "seconds that a balance is believed",
    "websocket.auth_timeout_s": "seconds until a stranger must have authenticated",
    "websocket.heartbeat_ms": "milliseconds between heartbeats",
    "websocket.ping_interval_s": "seconds of silence before a protocol ping",
    "websocket.ping_timeout_s": "seconds until its answer; must be above `slow_limit_s`",
    "websocket.slow_limit_s": "seconds that a full write buffer may take to drain",
    "websocket.close_timeout_s": "seconds for a closing handshake",
    "websocket.drain_s": "seconds between the shutdown notice and the close",
    "websocket.write_buffer_bytes": (
        "unsent bytes after which a subscriber leaves the live stream and reads pages at its own pace"
    ),
    "websocket.buffer_limit_bytes": "unsent bytes that end the connection at once",
    "websocket.turn_bytes": "bytes in one coalesced write",
    "websocket.batch_entries": "entries in one replay batch",
    "websocket.batch_bytes": "bytes in one replay batch",
    "websocket.recent_entries": "entries per stream that a replay finds in memory",
    "websocket.recent_bytes": "bytes per stream that a replay finds in memory",
    "websocket.send_buffer_bytes": "send buffer of each socket (SO_SNDBUF)",
    "websocket.connections_per_key": "connections of one key; then the oldest leaves",
    "websocket.connections": "connections in all; then 1013",
    "websocket.unauthenticated_per_ip": "connections of one address that have not authenticated; then 1013",
    "websocket.failed_auth_per_minute": "wrong keys a minute, per address; then 1008",
    "websocket.messages_per_s": "messages a second that a client may send for long",
    "websocket.messages_burst": "messages that a client may send at once",
    "websocket.control_frames_per_s": "frames of any kind a second that a client may send",
    "websocket.messages_per_day": (
        "data messages per UTC day and key where the key's own quota says nothing; 0 is no limit"
    ),
    "websocket.snapshot_url": (
        "where clients that cannot resume are sent; absolute where REST has another origin"
    ),
    "websocket.trusted_proxies": "addresses whose `X-Forwarded-For` is believed",
    "venues.<name>.urls": "lists of URLs by role (`rest`, `subgraph`, ...), tried in order",
    "venues.<name>.accounts": "what to poll; none means that the venue is not polled",
    "venues.<name>.poll_interval_s": "seconds between two polls of an account",
    "venues.<name>.timeout_s": "seconds that a request may take",
    "venues.<name>.requests_per_s": "our own pace; the venue's 429 slows it further",
    "venues.<name>.options": "what only this venue understands; see venues.md",
    "account": "the account's address or id at the venue",
    "hotkey": "hotkey that its records carry (default: `<venue>:<account>`)",
    "account_size": "USD that returns are measured against (default: equity at first sight, else 100,000)",
    "secrets": "where its secrets are, by name: `env:NAME` or `file:PATH`",
    "options": "what only this venue understands; see venues.md",
}
