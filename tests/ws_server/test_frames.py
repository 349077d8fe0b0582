"""Frames as bytes: headers, purity, batches within their limits."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.entry import ORDERS
from tests.ws_server.helpers import entry
from tests.ws_server.raw import TEXT, split
from ws_server.frames import Message, batches, select, text_frame
from ws_server.view import View


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_is_plain_text_with_the_shortest_length(size: int) -> None:
    """Three header sizes, FIN set, no reserved bit, no mask."""
    wire = text_frame(b"x" * size)

    (found,) = split(bytearray(wire))
    assert (found.opcode, found.bits, found.payload) == (TEXT, 0x80, b"x" * size)
    assert len(wire) - size == (2 if size <= 125 else 4 if size <= 65535 else 10)


def test_a_positions_frame_is_a_function_of_its_entry() -> None:
    """Two servers that read the same entry send the same bytes."""
    assert Message(entry(7)).payload == Message(entry(7)).payload
    decoded = msgspec.json.decode(Message(entry(7)).payload)
    assert (decoded["sequence"], decoded["timestamp"]) == (7, 1007)
    assert decoded["data"]["position"]["position_uuid"] == "p7"


def test_another_streams_frame_has_no_sequence() -> None:
    """The published client would take ``sequence`` for a position's number."""
    decoded = msgspec.json.decode(Message(entry(7, stream=ORDERS)).payload)

    assert "sequence" not in decoded
    assert (decoded["stream"], decoded["stream_sequence"]) == ("orders", 7)


def test_filtered_frames_name_their_predecessor() -> None:
    """Loss is one comparison: ``prev_sequence`` is the last number this subscription was sent."""
    found = [Message(entry(number, "a" if number % 3 else "b")) for number in range(5, 12)]
    last = {"positions": 4}

    payloads = [msgspec.json.decode(raw) for raw in select(View(hotkeys=frozenset({"a"})), found, last)]

    assert [(p["sequence"], p["prev_sequence"]) for p in payloads] == [
        (5, 4),
        (7, 5),
        (8, 7),
        (10, 8),
        (11, 10),
    ]
    assert last == {"positions": 11}


@given(st.lists(st.integers(10, 400), max_size=40), st.integers(1, 7), st.integers(50, 900))
def test_batches_keep_order_and_limits(sizes: list[int], entries_max: int, bytes_max: int) -> None:
    """Nothing is lost or repeated, and only a single frame may exceed the limit in bytes."""
    payloads = [b'{"sequence":%d,"x":"%s"}' % (n, b"y" * size) for n, size in enumerate(sizes)]
    frames = list(batches(payloads, entries_max, bytes_max))

    seen: list[int] = []
    for raw in frames:
        decoded = msgspec.json.decode(raw)
        inner = decoded.get("messages", [decoded])
        seen.extend(item["sequence"] for item in inner)
        assert len(inner) <= entries_max
        assert decoded.get("count", 1) == len(inner)
        assert len(inner) == 1 or sum(len(payloads[i["sequence"]]) for i in inner) <= bytes_max
    assert seen == list(range(len(sizes)))
