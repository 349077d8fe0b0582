"""What the WebSocket server measures; no label ever names a key, a user or an address."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("vanta_ws_connections", "Open connections, by state", ["state"])
SEQUENCE = Gauge("vanta_ws_sequence", "Newest number sent, by stream", ["stream"])
BUFFERED = Gauge("vanta_ws_buffered_bytes", "Bytes waiting for slow clients")
MESSAGES = Counter("vanta_ws_messages_sent", "Data messages written")
BYTES = Counter("vanta_ws_sent_bytes", "Bytes of data messages written")
REPLAYED = Counter("vanta_ws_replayed_messages", "Data messages written by replays")
WRITES = Counter("vanta_ws_live_writes", "Coalesced writes to live subscribers")
CLOSES = Counter("vanta_ws_closes", "Connections closed, by who began and with which code", ["by", "code"])
REFUSED = Counter("vanta_ws_refused", "Connections refused before authentication, by reason", ["reason"])
DELIVERY = Histogram(
    "vanta_ws_delivery_seconds",
    "From the append of an entry to its last live write",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
