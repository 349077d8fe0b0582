"""How connections end: limits, revoked keys, slow readers; and that every published code really occurs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from websockets.datastructures import Headers

from journal.entry import POSITIONS
from runtime.api_keys import Quota
from runtime.clock import SystemClock
from runtime.usage import Usage
from tests.ws_server import test_rfc6455, test_server
from tests.ws_server.helpers import Keys, api_key, settings
from tests.ws_server.live import Live, live, wait_for
from tests.ws_server.raw import BINARY, PING, TEXT, RawClient, close_frame, frame
from vanta_api.close_codes import CLOSE_CODES
from ws_server.reception import Reception
from ws_server.server import CROWD_ROOM

ALL = {"all": True}


def closes(server: Live, code: int) -> int:
    """How often the server has closed with this code."""
    value = REGISTRY.get_sample_value("vanta_ws_closes_total", {"by": "server", "code": str(code)})
    return int(value or 0)


def test_the_sixth_connection_of_a_key_makes_the_oldest_leave() -> None:
    """Vanta's frame first, then 4006; the other five stay."""
    with live() as server:
        clients = [server.client(subscribe=ALL) for _ in range(6)]
        farewell = clients[0].hear()

        assert farewell == {
            "status": "error",
            "message": "Disconnected due to too many connections for this API key",
            "code": "MAX_CONNECTIONS_EXCEEDED",
        }
        assert clients[0].close_code() == 4006
        server.append(1)
        assert [client.hear()["sequence"] for client in clients[1:]] == [1] * 5


def test_the_oldest_is_told_before_the_newest_is_welcomed() -> None:
    """Not one data frame reaches the one that left."""
    with live() as server:
        oldest = server.client(subscribe=ALL)
        for _ in range(5):
            server.client(subscribe=ALL)
        server.append(5)
        server.caught_up()

        assert oldest.hear()["code"] == "MAX_CONNECTIONS_EXCEEDED"
        assert oldest.close_code() == 4006


def test_a_stranger_who_says_nothing_is_closed_with_4001() -> None:
    """The deadline is the server's, not the client's."""
    with live(auth_timeout_s=0.3) as server:
        client = server.raw()
        began = time.monotonic()

        assert client.close_code() == 4001
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (frame(TEXT, b"hello"), 4002),
        (frame(BINARY, b"\xff\x00"), 4002),
        (frame(TEXT, b"{}"), 4002),
        (frame(TEXT, b'{"api_key":"wrong"}'), 4003),
        (frame(TEXT, b'{"api_key":"low"}'), 4004),
        (frame(TEXT, b'{"api_key":"' + b"x" * 5000 + b'"}'), 1009),
    ],
)
def test_a_bad_start_is_closed_with_its_code(first: bytes, code: int) -> None:
    """The frame before the close is Vanta's (see the session's tests)."""
    keys = Keys([("good", api_key()), ("low", api_key("low", 50))])
    with live(keys=keys) as server:
        client = server.raw()
        client.send(first)

        assert client.close_code() == code


def test_a_revoked_key_gets_not_one_entry_more() -> None:
    """While entries are appended without a pause: told, closed with 4005, within a second, in that order."""
    with live() as server:
        stop = threading.Event()
        writer = threading.Thread(target=_append_until, args=(server, stop))
        writer.start()
        client = server.client(subscribe=ALL)
        other = server.client("good", subscribe=ALL)
        heard = client.hear_sequences(20)

        position_at_swap = server.ask(lambda: _revoke(server, "good"))
        began = time.monotonic()
        rest = _until_error(client)
        assert client.close_code() == 4005
        assert time.monotonic() - began < 1
        assert other.close_code() == 4005
        stop.set()
        writer.join()

    numbers = heard + [frame["sequence"] for frame in rest[:-1]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] == position_at_swap
    assert rest[-1]["code"] == "KEY_REVOKED"


def _append_until(server: Live, stop: threading.Event) -> None:
    while not stop.is_set():
        server.append(1)
        stop.wait(0.0005)


def _revoke(server: Live, secret: str) -> int:
    """Swap the table in the server's loop; the newest number that was sent before."""
    position = server.server._broadcaster.position(POSITIONS)
    server.keys.keys.pop(secret)
    server.server._swap_keys()
    assert server.server._broadcaster.live_count == 0  # in the same turn of the loop
    return position


def _until_error(client: RawClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or found[-1].get("status") != "error":
        found.append(client.hear())
    return found


@pytest.mark.parametrize(
    "after", [api_key(tier=50), api_key(scopes=frozenset({"rest"}))], ids=["downgraded", "scope removed"]
)
def test_a_key_that_no_longer_includes_streaming_is_closed(after: Any) -> None:
    """A tier change takes effect on open connections."""
    with live() as server:
        client = server.client(subscribe=ALL)
        server.keys.keys["good"] = after
        server.server.keys_changed()

        assert client.hear()["code"] == "KEY_REVOKED"
        assert client.close_code() == 4005


def test_a_key_below_its_stream_is_closed_and_others_stay() -> None:
    """The registry needs tier 200; positions go on at 100."""
    with live(keys=Keys([("good", api_key(tier=200))])) as server:
        registry = server.client(subscribe={"streams": ["registry"]})
        positions = server.client(subscribe=ALL)
        server.keys.keys["good"] = api_key(tier=100)
        server.server.keys_changed()

        assert registry.hear()["code"] == "KEY_REVOKED"
        server.append(1)
        assert positions.hear()["sequence"] == 1


def test_a_key_that_may_now_see_other_pairs_has_to_start_again() -> None:
    """Its stream is another one from here on."""
    with live() as server:
        client = server.client(subscribe=ALL)
        server.keys.keys["good"] = api_key(trade_pairs="vanta")
        server.server.keys_changed()

        assert client.hear()["reason"] == "key_changed"
        assert client.close_code() == 4010


def test_an_expired_key_is_closed() -> None:
    """Also when nobody touches the key file."""
    keys = Keys([("good", api_key(expires_ms=SystemClock().now_ms() + 300))])
    with live(keys=keys) as server:
        client = server.client(subscribe=ALL)

        assert client.hear()["code"] == "KEY_REVOKED"
        assert client.close_code() == 4005


def test_a_client_that_does_not_read_is_closed_and_others_do_not_notice() -> None:
    """Memory per slow client is bounded; the hint and 4008 wait in its buffer."""
    with live(slow_limit_s=0.6, write_buffer_bytes=32 * 1024, turn_bytes=32 * 1024) as server:
        before = closes(server, 4008)
        slow = server.raw(receive_buffer=4096)
        slow.say({"api_key": "good"})
        slow.hear()
        slow.say({"type": "subscribe", "all": True})
        slow.hear()
        quick = server.client(subscribe=ALL)
        count = 0
        while closes(server, 4008) == before:
            count += 20
            server.append(20, pad=2000)
            assert quick.hear_sequences(count)[-1] == count
            assert server.facts()["buffered_bytes"] < 3 * 32 * 1024
            assert count < 20_000
        wait_for(lambda: server.facts()["connections"] == 1, "the slow one is gone")
        server.append(1)

        assert quick.hear_sequences(count + 1) == [count + 1]


def test_a_slow_client_that_reads_again_in_time_gets_the_hint() -> None:
    """resync_required says from where to resume, then 4008; no heartbeat was piled on the full buffer."""
    with live(
        heartbeat_ms=100, slow_limit_s=0.6, write_buffer_bytes=32 * 1024, turn_bytes=32 * 1024
    ) as server:
        before = closes(server, 4008)
        slow = server.raw(receive_buffer=4096)
        slow.say({"api_key": "good"})
        slow.hear()
        slow.say({"type": "subscribe", "all": True})
        slow.hear()
        while closes(server, 4008) == before:
            server.append(20, pad=2000)
            time.sleep(0.005)
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1].get("type") != "resync_required":
            heard.append(slow.hear())

        numbers = [i["sequence"] for h in heard for i in h.get("messages", [h]) if "sequence" in i]
        assert heard[-1]["reason"] == "slow_consumer"
        assert heard[-2].get("type") != "heartbeat"
        assert heard[-1]["expected_sequence"] == numbers[-1] + 1
        assert numbers == list(range(1, len(numbers) + 1))
        assert slow.close_code() == 4008


def test_a_client_that_pauses_for_less_than_the_limit_misses_nothing() -> None:
    """Falling behind is not the end: it reads pages until it has met the live stream."""
    with live(slow_limit_s=5.0, write_buffer_bytes=16 * 1024, turn_bytes=16 * 1024) as server:
        client = server.raw(receive_buffer=4096)
        client.say({"api_key": "good"})
        client.hear()
        client.say({"type": "subscribe", "all": True})
        client.hear()
        total = 0
        while server.facts()["behind"] == 0:
            total += 50
            server.append(50, pad=2000)
            server.caught_up()
        server.append(100, pad=2000)
        total += 100

        assert client.hear_sequences(total) == list(range(1, total + 1))
        wait_for(lambda: server.facts()["live"] == 1, "the client is live again")


def test_too_many_messages_close_with_4007() -> None:
    """The hint says when to come back."""
    with live(messages_per_s=1.0, messages_burst=5) as server:
        client = server.client()
        for _ in range(6):
            client.say({"type": "ping"})
        heard = [client.hear() for _ in range(6)]

        assert heard[-1]["code"] == "RATE_LIMITED"
        assert client.close_code() == 4007


@pytest.mark.parametrize("with_key", [True, False])
def test_a_flood_of_control_frames_is_cut(with_key: bool) -> None:
    """Pings are answered by the library, so they are counted apart; a stranger may not flood either."""
    with live(control_frames_per_s=50) as server:
        client = server.client() if with_key else server.raw()
        client.send(frame(PING, b"x") * 2000)

        assert client.close_code() == 4007


def test_a_quota_ends_the_day(tmp_path: Path) -> None:
    """The key's messages per UTC day, counted over all its connections and restarts of the server."""
    usage = Usage(tmp_path, "ws", SystemClock())
    keys = Keys([("good", api_key(quota=Quota(messages=5)))])
    with live(keys=keys, usage=usage) as server:
        client = server.client(subscribe=ALL)
        server.append(5)
        assert client.hear_sequences(5)[-1] == 5
        farewell = client.hear()
        assert (farewell["code"], client.close_code()) == ("QUOTA_EXCEEDED", 4007)
        assert 0 < farewell["retry_after_ms"] <= 86_400_000

        again = server.raw()
        again.say({"api_key": "good"})
        assert again.hear()["code"] == "QUOTA_EXCEEDED"
        assert again.close_code() == 4007
    assert usage.today(api_key().id)[2] == 5
    usage.close()


def test_more_connections_than_there_is_room_for_are_sent_away() -> None:
    """1013 with a hint; those inside are not disturbed."""
    with live(connections=2) as server:
        inside = server.client(subscribe=ALL)
        server.client()
        outside = server.raw()

        refusal = outside.hear()
        assert (refusal["code"], refusal["retry_after_ms"]) == ("CONNECTIONS", 5000)
        assert outside.close_code() == 1013
        server.append(1)
        assert inside.hear()["sequence"] == 1


def test_a_crowd_at_the_door_is_cut_before_the_handshake() -> None:
    """Beyond the limit and its margin nothing is read at all."""
    with live(connections=4) as server:
        for _ in range(4 + CROWD_ROOM):
            server.raw()

        assert _is_cut(server.port)


def _is_cut(port: int) -> bool:
    try:
        client = RawClient(port)
    except ConnectionError:
        return True
    client.close()
    return client.response == b""


def test_strangers_of_one_address_have_their_own_limit() -> None:
    """Who has authenticated is no stranger and does not count."""
    with live(unauthenticated_per_ip=2) as server:
        for _ in range(3):
            server.client()
        server.raw()
        server.raw()
        outside = server.raw()

        assert outside.hear()["code"] == "UNAUTHENTICATED"
        assert outside.close_code() == 1013


def test_guessing_keys_is_stopped() -> None:
    """After the third wrong key even a right one is not looked at for a minute."""
    with live(failed_auth_per_minute=3) as server:
        for number in range(3):
            guesser = server.raw()
            guesser.say({"api_key": f"guess-{number}"})
            assert guesser.close_code() == 4003
        client = server.raw()

        refusal = client.hear()
        assert refusal["code"] == "FAILED_KEYS"
        assert 50_000 < refusal["retry_after_ms"] <= 60_000
        assert client.close_code() == 1008


def test_the_address_behind_our_own_proxy_counts() -> None:
    """Without a trusted proxy the header means nothing; with one, its last foreign entry does."""
    headers = Headers([("X-Forwarded-For", "6.6.6.6, 9.9.9.9"), ("X-Forwarded-For", "10.0.0.2")])
    plain = Reception(settings(), SystemClock(), lambda: 0)
    proxied = Reception(settings(trusted_proxies=["10.0.0.1", "10.0.0.2"]), SystemClock(), lambda: 0)

    assert plain.address_of("10.0.0.1", headers) == "10.0.0.1"
    assert proxied.address_of("10.0.0.1", headers) == "9.9.9.9"
    assert proxied.address_of("8.8.8.8", headers) == "8.8.8.8"
    assert proxied.address_of("10.0.0.1", Headers()) == "10.0.0.1"


def test_our_own_bug_is_1011_for_one_client_only(caplog: pytest.LogCaptureFixture) -> None:
    """A session that raises ends its connection and nobody else's."""
    with live() as server:
        other = server.client(subscribe=ALL)
        broken = server.client()

        def explode(_: object) -> None:
            raise ZeroDivisionError

        client = server.ask(lambda: list(server.server.clients._everyone)[-1])
        client.session.receive = explode  # type: ignore[method-assign, assignment]
        broken.say({"type": "ping"})  # already being waited for with the real method
        broken.say({"type": "ping"})

        assert broken.close_code() == 1011
        server.append(1)
        assert other.hear()["sequence"] == 1
    assert "connection handler failed" in caplog.text


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_client_that_says_goodbye_hears_it_back(code: int) -> None:
    """Normal closure and going away."""
    with live() as server:
        client = server.client(subscribe=ALL)
        client.send(close_frame(code))

        assert client.close_code() == code
        client.close()
        wait_for(lambda: server.facts()["connections"] == 0)


def test_a_client_that_never_ends_its_goodbye_is_cut() -> None:
    """Half-closed connections do not pile up."""
    with live(close_timeout_s=0.4) as server:
        client = server.client()
        client.send(close_frame(1000))
        assert client.close_code() == 1000

        wait_for(lambda: server.facts()["connections"] == 0, "the half-closed connection is gone", 3)


PROOFS = {
    1000: test_a_client_that_says_goodbye_hears_it_back,
    1001: test_a_client_that_says_goodbye_hears_it_back,
    1002: test_rfc6455.test_a_frame_that_breaks_the_protocol_is_closed_with_its_code,
    1007: test_rfc6455.test_a_frame_that_breaks_the_protocol_is_closed_with_its_code,
    1008: test_guessing_keys_is_stopped,
    1009: test_a_bad_start_is_closed_with_its_code,
    1011: test_our_own_bug_is_1011_for_one_client_only,
    1012: test_server.test_draining_tells_everybody_and_closes_with_1012,
    1013: test_more_connections_than_there_is_room_for_are_sent_away,
    4001: test_a_stranger_who_says_nothing_is_closed_with_4001,
    4002: test_a_bad_start_is_closed_with_its_code,
    4003: test_a_bad_start_is_closed_with_its_code,
    4004: test_a_bad_start_is_closed_with_its_code,
    4005: test_a_revoked_key_gets_not_one_entry_more,
    4006: test_the_sixth_connection_of_a_key_makes_the_oldest_leave,
    4007: test_too_many_messages_close_with_4007,
    4008: test_a_slow_client_that_reads_again_in_time_gets_the_hint,
    4009: test_server.test_a_client_that_answers_pings_stays_and_one_that_does_not_is_closed,
    4010: test_server.test_a_new_epoch_while_running_ends_every_stream,
}


def test_no_published_code_is_without_a_test() -> None:
    """A new code in the table needs a test that produces it."""
    assert set(PROOFS) == set(CLOSE_CODES)
