"""The public names and signatures: what a program written today may rely on tomorrow."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import vanta_api
from vanta_api import (
    close_codes,
    messages,
    records,
    rest_client,
    websocket_client,
    wire,
)

SIGNATURES = {
    websocket_client.VantaWebSocketClient.__init__: (
        "self, api_key, host, port, secure, slack_webhook_url, server_alias, state_dir, name, start_at, "
        "rest_url, on_gap, on_resync, on_reconnect, on_stale, stale_after_s, raise_when_stale"
    ),
    websocket_client.VantaWebSocketClient.run: "self, handler",
    websocket_client.VantaWebSocketClient.subscribe: "self, hotkeys, venues, trade_pairs, streams",
    websocket_client.VantaWebSocketClient.unsubscribe: "self",
    websocket_client.VantaWebSocketClient.stop: "self",
    websocket_client.VantaWebSocketClient.send_ping: "self",
    websocket_client.VantaWebSocketMessage.__init__: "self, raw_message, clock_offset_ms",
    websocket_client.VantaWebSocketMessage.format_slack_message: "self, server_host, server_alias",
    websocket_client.setup_logger: "name",
    websocket_client.send_to_slack: "message, webhook_url",
    rest_client.VantaRestClient.__init__: "self, base_url, api_key, timeout_s, retries, sleep, backoff",
    rest_client.VantaRestClient.miner_positions: "self, tier",
    rest_client.VantaRestClient.miner_position: "self, hotkey",
    rest_client.VantaRestClient.hotkeys: "self",
    rest_client.VantaRestClient.limit_orders: "self, hotkey, status",
    rest_client.VantaRestClient.orders: "self, hotkey, status",
    rest_client.VantaRestClient.trade_pairs: "self, asset_class",
    rest_client.VantaRestClient.checkpoint: "self, path, progress",
    rest_client.VantaRestClient.events: "self, after, limit, stream",
    rest_client.VantaRestClient.iter_events: "self, after, limit, stream",
    rest_client.VantaRestClient.health: "self",
    rest_client.VantaRestClient.get: "self, path, params",
    messages.data_frame: "sequence, time_ms, body",
    messages.filtered_frame: "sequence, time_ms, body, prev_sequence",
    messages.stream_frame: "stream, sequence, time_ms, body",
    messages.batch_frame: "frames",
    wire.from_vanta: "value",
    wire.to_vanta: "position, rest",
    wire.rest_fragment: "position, sources_since_ms",
}
PUBLISHED_ATTRIBUTES = (
    *(
        "uri",
        "api_key",
        "host",
        "slack_webhook_url",
        "server_alias",
        "connected",
        "websocket",
        "last_sequence",
    ),
    *("subscribed", "message_handlers", "messages_received", "messages_processed", "force_quit"),
    *("clock_offset_estimate_ms", "n_pongs"),
)


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures_are_kept(function: object) -> None:
    parameters = inspect.signature(function).parameters  # type: ignore[arg-type]

    assert ", ".join(parameters) == SIGNATURES[function]  # type: ignore[index]


def test_the_published_clients_attributes_are_there(tmp_path: Path) -> None:
    client = websocket_client.VantaWebSocketClient("k", "h", 1, state_dir=tmp_path)

    assert [name for name in PUBLISHED_ATTRIBUTES if not hasattr(client, name)] == []
    assert (client.uri, client.last_sequence, client.connected) == ("ws://h:1", -1, False)
    assert websocket_client.VantaWebSocketClient("k", "h", 1, True, state_dir=None).uri == "wss://h:1"


@pytest.mark.parametrize("module", [websocket_client, rest_client, messages])
def test_every_exported_name_exists(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]

    assert [name for name in names if not hasattr(module, name)] == []
    assert sorted(names) == sorted(set(names))


def test_records_have_vantas_fields_first_and_in_its_order() -> None:
    assert records.Position.__struct_fields__[:8] == (
        *("miner_hotkey", "position_uuid", "open_ms", "trade_pair", "orders", "current_return"),
        *("close_ms", "net_leverage"),
    )
    assert records.Position.__struct_fields__[-1] == records.Order.__struct_fields__[-1] == "venue"


def test_the_package_is_typed_and_versioned() -> None:
    assert vanta_api.__file__ is not None
    assert (Path(vanta_api.__file__).parent / "py.typed").exists()
    assert vanta_api.__version__.count(".") == 2
    assert len(close_codes.CLOSE_CODES) == 19
