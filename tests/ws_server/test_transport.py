"""Writing beside the library, the self-test that allows it, and the judgement over a connection."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from runtime.clock import FakeClock
from tests.ws_server.helpers import Keys, api_key, horizon, settings
from ws_server import selftest, transport
from ws_server.client import ABORT, Client, verdict
from ws_server.selftest import SelfTestError, self_test
from ws_server.session import Session
from ws_server.subscriber import Subscriber


def test_the_installed_library_passes_the_self_test() -> None:
    """What every boot does."""
    asyncio.run(self_test())


def test_a_write_into_a_closing_connection_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose state could not be trusted must not be served with."""

    def careless(link: Any, frames: bytes) -> int:
        connection = link._connection
        connection.transport.write(frames)
        return int(connection.transport.get_write_buffer_size())

    monkeypatch.setattr(transport.Link, "write", careless)

    with pytest.raises(SelfTestError, match="closing connection was written to"):
        asyncio.run(self_test())


def test_other_bytes_on_the_wire_fail_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that framed differently would corrupt the stream."""
    monkeypatch.setattr(transport, "text_frame", lambda payload: b"\x82\x03" + payload)

    with pytest.raises(SelfTestError, match="bytes on the wire"):
        asyncio.run(self_test())


def test_a_library_that_hangs_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The boot ends with a reason instead of waiting for ever."""

    async def silent(_: int) -> bytes:
        await asyncio.sleep(60)
        return b""

    monkeypatch.setattr(selftest, "_listen", silent)
    monkeypatch.setattr(selftest, "TIMEOUT_S", 0.1)

    with pytest.raises(SelfTestError):
        asyncio.run(self_test())


class Wire:
    """A link whose facts a test sets."""

    def __init__(self) -> None:
        self.is_open = True
        self.waiting = 0
        self.frames_in = 0
        self.heard_at = 0.0
        self.pings = 0

    def ping(self) -> None:
        self.pings += 1


class Judged:
    """A client at time 0 and a judge with a clock."""

    def __init__(self, **changes: Any) -> None:
        self.clock = FakeClock(0)
        self.settings = settings(**changes)
        self.wire = Wire()
        session = Session(self.settings, self.clock, Keys().find, horizon)
        self.client = Client(cast(Any, self.wire), session, "1.1.1.1")

    def authenticate(self, **key: Any) -> Subscriber:
        self.client.subscriber = Subscriber(cast(Any, self.wire), api_key(**key), 0)
        return self.client.subscriber

    def after(self, seconds: float) -> int | None:
        self.clock.advance(seconds)
        return verdict(self.client, self.settings, self.clock.monotonic(), self.clock.now_ms())


def test_a_quiet_client_is_pinged_once_and_then_given_up() -> None:
    """Twenty seconds of silence, a ping, twenty more, 4009."""
    judged = Judged()
    assert judged.after(20) is None
    assert judged.wire.pings == 0
    assert judged.after(0.5) is None
    assert judged.wire.pings == 1
    assert judged.after(20) is None
    assert judged.wire.pings == 1
    assert judged.after(0.5) == 4009


def test_any_byte_is_a_sign_of_life() -> None:
    """A pong, a ping or a message: all count."""
    judged = Judged()
    judged.after(21)
    judged.wire.heard_at = 22.0
    assert judged.after(15) is None
    assert judged.after(4) is None
    assert judged.wire.pings == 1
    assert judged.after(3) is None
    assert judged.wire.pings == 2


def test_a_full_buffer_may_take_its_time_but_not_longer() -> None:
    """Ten seconds from the moment it was full."""
    judged = Judged()
    subscriber = judged.authenticate()
    subscriber.full_since = 1.0
    judged.wire.heard_at = 100.0
    assert judged.after(11) is None
    assert judged.after(0.5) == 4008


def test_a_buffer_over_the_hard_limit_is_slow_at_once_even_for_a_stranger() -> None:
    """Answers to a flood of pings count as well."""
    judged = Judged(buffer_limit_bytes=100_000)
    judged.wire.waiting = 100_001

    assert judged.after(0.1) == 4008


def test_an_expired_key_is_noticed_without_the_key_file() -> None:
    """The first moment at which it no longer works."""
    judged = Judged()
    judged.authenticate(expires_ms=5000)
    assert judged.after(4.999) is None
    assert judged.after(0.001) == 4005


def test_frames_are_counted_per_second() -> None:
    """A burst inside the limit is fine, more is 4007."""
    judged = Judged(control_frames_per_s=100)
    judged.wire.frames_in = 100
    assert judged.after(0.5) is None
    judged.wire.frames_in = 301
    assert judged.after(2.0) == 4007


def test_a_closing_handshake_has_an_end() -> None:
    """Whoever never finishes it is cut."""
    judged = Judged(close_timeout_s=5.0)
    judged.wire.is_open = False
    assert judged.after(1) is None
    assert judged.after(5) is None
    assert judged.after(0.5) == ABORT


def test_a_ping_timeout_below_the_slow_limit_is_refused() -> None:
    """A slow client must be told that it is slow, not be taken for dead."""
    with pytest.raises(ValueError, match="ping_timeout_s must be above slow_limit_s"):
        settings(ping_timeout_s=5.0, slow_limit_s=5.0)
