"""RFC 6455 byte by byte, without any WebSocket library on the client's side.

Each row of ``BROKEN`` is what an authenticated client sends and the code that it must be closed with. Each
row of ``SOUND`` is a way to ask for a pong (or, for control frames, the control frame that must come back).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.ws_server.live import Live, live
from tests.ws_server.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    RawClient,
    close_frame,
    frame,
)

ASK = b'{"type":"ping","timestamp":1}'
NOT_UTF8 = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xce")


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    """One server for all rows."""
    with live(
        auth_timeout_s=1.0, messages_burst=10_000, messages_per_s=10_000.0, connections_per_key=10_000
    ) as running:
        yield running


BROKEN = {
    "an unmasked text frame": (frame(TEXT, ASK, mask=None), 1002),
    "an unmasked ping": (frame(PING, b"x", mask=None), 1002),
    "an unmasked close": (close_frame(1000, mask=None), 1002),
    "reserved bit 1": (frame(TEXT, ASK, rsv=4), 1002),
    "reserved bit 2": (frame(TEXT, ASK, rsv=2), 1002),
    "reserved bit 3": (frame(TEXT, ASK, rsv=1), 1002),
    "reserved bit 1 on a ping": (frame(PING, b"x", rsv=4), 1002),
    "data opcode 3": (frame(0x3, ASK), 1002),
    "data opcode 7": (frame(0x7, ASK), 1002),
    "control opcode 11": (frame(0xB), 1002),
    "control opcode 15": (frame(0xF), 1002),
    "a continuation of nothing": (frame(CONTINUATION, ASK), 1002),
    "an unfinished continuation of nothing": (frame(CONTINUATION, ASK, fin=False), 1002),
    "text inside a fragmented text": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "binary inside a fragmented text": (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), 1002),
    "a continuation after the last one": (
        frame(TEXT, ASK[:5], fin=False) + frame(CONTINUATION, ASK[5:]) + frame(CONTINUATION, b"x"),
        1002,
    ),
    "a fragmented ping": (frame(PING, b"a", fin=False), 1002),
    "a fragmented close": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a pong of 126 bytes": (frame(PONG, b"x" * 126), 1002),
    "a close of 126 bytes": (close_frame(1000, b"x" * 124), 1002),
    "a close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "close code 999": (close_frame(999), 1002),
    "close code 1004": (close_frame(1004), 1002),
    "close code 1005": (close_frame(1005), 1002),
    "close code 1006": (close_frame(1006), 1002),
    "close code 1015": (close_frame(1015), 1002),
    "close code 2999": (close_frame(2999), 1002),
    "close code 5000": (close_frame(5000), 1002),
    "a close reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007),
    "a close inside a fragmented text": (frame(TEXT, b"a", fin=False) + close_frame(1000), 1002),
    **{f"text that is not UTF-8 ({raw.hex()})": (frame(TEXT, raw), 1007) for raw in NOT_UTF8},
    "UTF-8 broken over two fragments": (
        frame(TEXT, b"\xce", fin=False) + frame(CONTINUATION, b"\xff"),
        1007,
    ),
    "a message over the limit": (frame(TEXT, b" " * (64 * 1024 + 1)), 1009),
    "a length of 2 GiB": (frame(BINARY, b"", length=2**31), 1009),
    "a length over 63 bits": (frame(BINARY, b"", length=2**63), 1009),
    "fragments over the limit together": (
        frame(TEXT, b" " * 40_000, fin=False) + frame(CONTINUATION, b" " * 40_000),
        1009,
    ),
}

SOUND = {
    "one frame": frame(TEXT, ASK),
    "a mask of zeroes": frame(TEXT, ASK, mask=b"\0\0\0\0"),
    "a length written in 2 bytes without need": frame(TEXT, ASK, wide=2),
    "a length written in 8 bytes without need": frame(TEXT, ASK, wide=8),
    "a message of 126 bytes": frame(TEXT, ASK.ljust(126)),
    "a message of 65535 bytes": frame(TEXT, ASK.ljust(65535)),
    "a message of the limit": frame(TEXT, ASK.ljust(65536)),
    "two fragments": frame(TEXT, ASK[:9], fin=False) + frame(CONTINUATION, ASK[9:]),
    "a fragment per byte": b"".join(
        [frame(TEXT, b"", fin=False)]
        + [frame(CONTINUATION, ASK[n : n + 1], fin=False) for n in range(len(ASK))]
        + [frame(CONTINUATION, b"")]
    ),
    "a binary message": frame(BINARY, ASK),
    "a pong that nobody asked for": frame(PONG, b"unasked") + frame(TEXT, ASK),
    "a message of nothing": frame(TEXT, b"") + frame(TEXT, ASK),
    "UTF-8 cut by a fragment": (
        frame(TEXT, '{"type":"ping","timestamp":1,"x":"ä'.encode()[:-1], fin=False)
        + frame(CONTINUATION, b"\xa4" + b'"}')
    ),
}


@pytest.mark.parametrize("row", BROKEN)
def test_a_frame_that_breaks_the_protocol_is_closed_with_its_code(server: Live, row: str) -> None:
    """1002 for the protocol, 1007 for text, 1009 for length."""
    raw, code = BROKEN[row]
    client = server.client()
    client.send(raw)

    assert client.close_code() == code


@pytest.mark.parametrize("pieces", ["at once", "byte by byte"])
@pytest.mark.parametrize("row", SOUND)
def test_a_sound_message_is_answered(server: Live, row: str, pieces: str) -> None:
    """However it is fragmented, masked, measured or delivered."""
    client = server.client()
    raw = SOUND[row]
    if pieces == "at once" or len(raw) > 1000:
        client.send(raw)
    else:
        for index in range(len(raw)):
            client.send(raw[index : index + 1])

    assert client.hear()["type"] == "pong"


@pytest.mark.parametrize("payload", [b"", b"x", b"\xff\x00", b"y" * 125])
def test_a_ping_comes_back_as_a_pong_with_its_bytes(server: Live, payload: bytes) -> None:
    """Also when the bytes are not text."""
    client = server.client()
    client.send(frame(PING, payload))

    assert client.next() == Frame(PONG, payload)


def test_a_ping_inside_a_fragmented_message_is_answered_first(server: Live) -> None:
    """Control frames may come between fragments."""
    client = server.client()
    client.send(frame(TEXT, ASK[:5], fin=False) + frame(PING, b"now") + frame(CONTINUATION, ASK[5:]))

    assert client.next() == Frame(PONG, b"now")
    assert client.hear()["type"] == "pong"


@pytest.mark.parametrize(
    ("raw", "payload"),
    [
        (frame(CLOSE), b""),
        (close_frame(1000, b"bye"), struct.pack("!H", 1000) + b"bye"),
        (close_frame(3000), struct.pack("!H", 3000)),
        (close_frame(4999), struct.pack("!H", 4999)),
    ],
)
def test_a_close_is_answered_and_ends_the_connection(server: Live, raw: bytes, payload: bytes) -> None:
    """The same code comes back, then the end of the stream; what follows a close is not read."""
    client = server.client()
    client.send(raw + frame(TEXT, ASK))

    assert client.next() == Frame(CLOSE, payload)
    assert client.next() is None


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 426),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
            400,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 8\r\n\r\n",
            400,
        ),
    ],
)
def test_a_wrong_handshake_is_refused_in_http(server: Live, request_head: bytes, status: int) -> None:
    """Method, version, upgrade, key and protocol version."""
    client = RawClient(server.port, path=None)
    client.send(request_head)

    assert client.read_all().startswith(b"HTTP/1.1 %d" % status)
    client.close()


NOISE = {
    "zeroes": b"\x00" * 100,
    "a TLS greeting": b"\x16\x03\x01\x02\x00",
    "half a request": b"GET\r\n\r\n",
    "an endless line": b"G" * 20_000,
    "empty lines": b"\r\n" * 50,
}


@pytest.mark.parametrize("noise", NOISE)
def test_what_is_no_http_at_all_is_cut(server: Live, noise: str) -> None:
    """TLS, zeroes or an endless line: the connection ends without a handshake."""
    client = RawClient(server.port, path=None)
    client.send(NOISE[noise])

    answer = client.read_all()
    client.close()
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))


def test_the_table_is_long_enough_to_mean_something() -> None:
    """The suite's sections on framing, pings, reserved bits, opcodes, fragments, UTF-8 and closing."""
    assert len(BROKEN) + 2 * len(SOUND) > 60
