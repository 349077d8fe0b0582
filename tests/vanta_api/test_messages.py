"""Frames both ways: exact bytes, limits, and any bytes become a frame or a documented error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vanta_api import messages
from vanta_api.close_codes import advice
from vanta_api.messages import Auth, FrameError, Ping, Subscribe, Unsubscribe

BODY = b'{"position":{"miner_hotkey":"hk"}}'
ERROR_CODES = {"AUTH_REQUIRED", "INVALID_FRAME", "UNKNOWN_TYPE", "FRAME_TOO_LARGE", "NOTHING_SUBSCRIBED"}


# --- from the client --------------------------------------------------------------------------------


def test_the_published_clients_frames_are_understood() -> None:
    assert messages.decode_auth('{"api_key": "k", "last_sequence": -1}') == Auth(api_key="k")
    assert messages.decode_request(b'{"type":"ping","timestamp":17}') == Ping(timestamp=17)
    assert messages.decode_request('{"type":"subscribe","all":true,"sender_timestamp":5}') == Subscribe(
        all=True, sender_timestamp=5
    )
    assert messages.decode_request('{"type":"unsubscribe","all":true}') == Unsubscribe()


def test_a_filter_is_understood() -> None:
    frame = {
        "type": "subscribe",
        "hotkeys": ["hk"],
        "venues": ["o2"],
        "streams": ["positions", "orders"],
        "trade_pairs": ["BTCUSD"],
        "cursors": {"orders": 7},
        "of_the_future": [1],
    }

    request = messages.decode_request(json.dumps(frame))

    assert isinstance(request, Subscribe)
    assert request.is_filtered
    assert request.cursors == {"orders": 7}
    assert request.streams == ("positions", "orders")


@pytest.mark.parametrize(
    ("raw", "code", "close_code"),
    [
        ("", "INVALID_FRAME", 4002),
        ("[]", "INVALID_FRAME", 4002),
        ("{}", "AUTH_REQUIRED", 4002),
        ('{"api_key":""}', "AUTH_REQUIRED", 4002),
        ('{"api_key":null}', "AUTH_REQUIRED", 4002),
        ('{"api_key":"k","last_sequence":1.5}', "INVALID_FRAME", 4002),
        ('{"api_key":"k","last_sequence":true}', "INVALID_FRAME", 4002),
        ('{"api_key":"k","last_sequence":-2}', "INVALID_FRAME", 4002),
        ('{"api_key":"k","last_sequence":9223372036854775808}', "INVALID_FRAME", 4002),
        ("x" * 5000, "FRAME_TOO_LARGE", 1009),
        ('{"api_key":"k","x":' + "[" * 2000, "INVALID_FRAME", 4002),
        ("\ud800", "INVALID_FRAME", 4002),
    ],
)
def test_a_bad_first_frame_closes_with_a_reason(raw: str, code: str, close_code: int) -> None:
    with pytest.raises(FrameError) as caught:
        messages.decode_auth(raw)

    assert (caught.value.code, caught.value.close_code) == (code, close_code)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("nonsense", "INVALID_FRAME"),
        ('{"type":"dance"}', "UNKNOWN_TYPE"),
        ("{}", "UNKNOWN_TYPE"),
        ('{"type":7}', "UNKNOWN_TYPE"),
        ('{"type":"subscribe"}', "NOTHING_SUBSCRIBED"),
        ('{"type":"subscribe","all":false,"hotkeys":[]}', "NOTHING_SUBSCRIBED"),
        ('{"type":"subscribe","hotkeys":"hk"}', "INVALID_FRAME"),
        ('{"type":"subscribe","hotkeys":[""]}', "INVALID_FRAME"),
        ('{"type":"subscribe","all":true,"cursors":{"orders":-5}}', "INVALID_FRAME"),
        ('{"type":"ping","timestamp":"now"}', "INVALID_FRAME"),
    ],
)
def test_a_bad_later_frame_is_answered_and_the_connection_stays(raw: str, code: str) -> None:
    with pytest.raises(FrameError) as caught:
        messages.decode_request(raw)

    assert caught.value.code == code
    assert caught.value.close_code is None


def test_a_filter_has_a_size() -> None:
    names = ["x"] * (messages.MAX_FILTER_ITEMS + 1)

    with pytest.raises(FrameError):
        messages.decode_request(json.dumps({"type": "subscribe", "hotkeys": names}))
    assert messages.decode_request(json.dumps({"type": "subscribe", "hotkeys": names[1:]}))


def test_an_error_never_repeats_the_key() -> None:
    with pytest.raises(FrameError) as caught:
        messages.decode_auth('{"api_key":"TOPSECRET","last_sequence":"TOPSECRET"}')

    assert "TOPSECRET" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
request_like = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["ping", "subscribe", "unsubscribe"]) | json_values,
        "api_key": st.text() | json_values,
        "last_sequence": st.integers(-3, 2**70) | json_values,
        "timestamp": json_values,
        "all": st.booleans() | json_values,
        "hotkeys": st.lists(st.text()) | json_values,
        "cursors": st.dictionaries(st.text(), st.integers()) | json_values,
        "streams": json_values,
    },
).map(lambda frame: json.dumps(frame).encode())


@given(st.binary() | st.text() | request_like)
@example(b'{"api_key":"\\ud800"}')
@example(b'{"type":"ping","timestamp":1e400}')
def test_any_bytes_are_a_frame_or_a_documented_error(raw: bytes | str) -> None:
    for decode in (messages.decode_auth, messages.decode_request):
        frame = _outcome(decode, raw)
        if isinstance(frame, FrameError):
            assert frame.code in ERROR_CODES
            assert json.loads(messages.error(frame.message, frame.code))["code"] == frame.code
        if isinstance(frame, Subscribe | Unsubscribe):
            assert json.loads(messages.subscription_status(frame, 1))["status"] == "success"
        if isinstance(frame, Ping):
            assert json.loads(messages.pong(frame.timestamp, 1)).get("client_timestamp") == frame.timestamp


def _outcome(decode: Callable[[bytes | str], Any], raw: bytes | str) -> Any:
    try:
        return decode(raw)
    except FrameError as fault:
        return fault


# --- from the server --------------------------------------------------------------------------------


def test_data_frames_have_exactly_these_bytes() -> None:
    assert messages.data_frame(7, 99, BODY) == b'{"sequence":7,"timestamp":99,"data":' + BODY + b"}"
    assert (
        messages.filtered_frame(7, 99, BODY, 3)
        == b'{"sequence":7,"prev_sequence":3,"timestamp":99,"data":' + BODY + b"}"
    )
    assert (
        messages.stream_frame("orders", 7, 99, BODY)
        == b'{"stream":"orders","stream_sequence":7,"timestamp":99,"data":' + BODY + b"}"
    )
    assert (
        messages.filtered_stream_frame("orders", 7, 99, BODY, 3)
        == b'{"stream":"orders","stream_sequence":7,"prev_sequence":3,"timestamp":99,"data":' + BODY + b"}"
    )
    frames = [messages.data_frame(n, 99, BODY) for n in (1, 2)]
    assert (
        messages.batch_frame(frames)
        == b'{"type":"batch","messages":[' + frames[0] + b"," + frames[1] + b'],"count":2}'
    )


def test_the_answer_to_a_good_key_is_vantas_and_more() -> None:
    reply = json.loads(
        messages.auth_reply(current_sequence=12, tier=100, epoch="e1", oldest_sequence=1, recovered=True)
    )

    assert {name: reply[name] for name in ("status", "message", "current_sequence", "tier")} == {
        "status": "success",
        "message": "Authentication successful.",
        "current_sequence": 12,
        "tier": 100,
    }
    assert {"epoch", "oldest_sequence", "recovered", "reason", "protocol", "heartbeat_ms"} <= set(reply)


def test_refusals_are_vantas_words_with_their_close_codes() -> None:
    refusals = [messages.invalid_key(), messages.insufficient_tier(), messages.replaced()]

    assert [(json.loads(frame), code) for frame, code in refusals] == [
        (
            {
                "status": "error",
                "message": "Invalid API key. Authentication failed.",
                "code": "INVALID_API_KEY",
            },
            4003,
        ),
        (
            {
                "status": "error",
                "message": "WebSocket connections require tier 100 access. Please upgrade your API key.",
                "code": "INSUFFICIENT_TIER",
            },
            4004,
        ),
        (
            {
                "status": "error",
                "message": "Disconnected due to too many connections for this API key",
                "code": "MAX_CONNECTIONS_EXCEEDED",
            },
            4006,
        ),
    ]


def test_only_a_positions_frame_carries_the_key_sequence() -> None:
    """The published client takes every frame with that key for data."""
    subscribe = Subscribe(all=True, sender_timestamp=1)
    others = [
        messages.heartbeat(5, "e1", 1),
        messages.pong(1, 2),
        messages.server_shutdown(100, 50, 5),
        messages.resync_required("slow_consumer", 4, 5),
        messages.subscription_status(subscribe, 2),
        messages.stream_frame("orders", 1, 2, BODY),
        messages.auth_reply(current_sequence=1, tier=100, epoch="e", oldest_sequence=1, recovered=True),
        messages.error("x", "X", retry_after_ms=5),
    ]

    assert all("sequence" not in json.loads(frame) for frame in others)


def test_subscription_status_is_vantas() -> None:
    status = messages.subscription_status(Subscribe(all=True, sender_timestamp=3, hotkeys=("hk",)), 9)

    assert json.loads(status) == {
        "type": "subscription_status",
        "status": "success",
        "all": True,
        "action": "subscribe",
        "sender_timestamp": 3,
        "received_timestamp": 9,
        "hotkeys": ["hk"],
    }


def test_a_time_that_was_not_sent_does_not_come_back_as_null() -> None:
    """The published client subtracts ``sender_timestamp`` from its clock whenever the key is there."""
    assert json.loads(messages.subscription_status(Unsubscribe(), 9)) == {
        "type": "subscription_status",
        "status": "success",
        "all": True,
        "action": "unsubscribe",
    }
    assert "client_timestamp" not in json.loads(messages.pong(None, 1))


@given(st.integers(1, 2**63), st.integers(0, 2**53), json_values)
def test_a_client_reads_back_what_a_server_framed(sequence: int, time_ms: int, value: Any) -> None:
    body = msgspec.json.encode(value)
    frame = messages.decode_server_frame(
        messages.batch_frame(
            [
                messages.data_frame(sequence, time_ms, body),
                messages.stream_frame("orders", sequence, time_ms, body),
            ]
        )
    )

    first, second = frame.messages
    assert (first.sequence, first.timestamp, bytes(first.data), first.is_data) == (
        sequence,
        time_ms,
        body,
        True,
    )
    assert (second.stream, second.stream_sequence, second.sequence) == ("orders", sequence, None)
    assert not frame.is_data


@given(st.binary() | st.text() | request_like)
def test_a_client_survives_any_bytes_of_a_server(raw: bytes | str) -> None:
    frame = _outcome(messages.decode_server_frame, raw)

    assert isinstance(frame, messages.ServerFrame) or frame.code == "INVALID_FRAME"


# --- close codes ------------------------------------------------------------------------------------


def test_every_close_code_has_a_name_and_advice() -> None:
    assert [code for code, row in messages.CLOSE_CODES.items() if row.retry == "never"] == [4003, 4004, 4005]
    assert set(range(4001, 4011)) < set(messages.CLOSE_CODES)
    assert len({row.name for row in messages.CLOSE_CODES.values()}) == len(messages.CLOSE_CODES)
    assert all(code == row.code for code, row in messages.CLOSE_CODES.items())
    assert (advice(4003), advice(1012), advice(4999), advice(None)) == ("never", "hint", "backoff", "backoff")
