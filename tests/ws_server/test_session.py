"""The protocol without a socket: what every message is answered with, at which moment."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import FakeClock
from tests.ws_server.helpers import EPOCH, Keys, api_key, close_code, horizon, sent, settings
from vanta_api.close_codes import CLOSE_CODES
from vanta_api.messages import MAX_FRAME_AFTER_AUTH, MAX_FRAME_BEFORE_AUTH
from ws_server.actions import Admit, Close, Follow, Pause, reason_for
from ws_server.resume import Horizon
from ws_server.session import Session, State

KEYS = Keys(
    [
        ("good", api_key()),
        ("low", api_key("low", 50)),
        ("high", api_key("high", 200)),
        ("vanta", api_key("vanta", trade_pairs="vanta")),
        ("rest", api_key("rest", scopes=frozenset({"rest"}))),
    ]
)


class Harness:
    """A session with a clock of its own."""

    def __init__(self, view: Horizon | None = None, **changes: Any) -> None:
        self.clock = FakeClock(1_700_000_000_000)
        self.horizon = view or horizon()
        self.session = Session(settings(**changes), self.clock, KEYS.find, lambda: self.horizon)

    def say(self, message: Any) -> list[Any]:
        raw = message if isinstance(message, bytes | str) else json.dumps(message)
        return self.session.receive(raw)

    def open(self, secret: str = "good", **fields: Any) -> list[Any]:
        return self.say({"api_key": secret, **fields})


def test_a_good_key_is_admitted_before_it_is_welcomed() -> None:
    """Vanta makes room for the newcomer before it tells it that all is well."""
    actions = Harness().open(last_sequence=-1)

    assert isinstance(actions[0], Admit)
    assert actions[0].key.id == api_key().id
    (reply,) = sent(actions)
    assert reply["status"] == "success"
    assert reply["message"] == "Authentication successful."
    assert reply["current_sequence"] == 10
    assert reply["tier"] == 100
    assert reply["epoch"] == EPOCH.id
    assert reply["recovered"] is True
    assert reply["heartbeat_ms"] == 5000
    assert "sequence" not in reply


@pytest.mark.parametrize(
    ("secret", "streams"), [("good", {"positions"}), ("high", {"positions", "registry"})]
)
def test_the_welcome_names_the_heads_of_the_streams_the_key_may_see(secret: str, streams: set[str]) -> None:
    """``actions`` are their traders' own, the registry needs tier 200."""
    (reply,) = sent(Harness(horizon(registry=4, actions=9)).open(secret))

    assert set(reply["heads"]) == streams


@pytest.mark.parametrize(
    ("raw", "code", "frame"),
    [
        (b"not json", 4002, None),
        (b"\xff\xfe", 4002, None),
        (b"", 4002, None),
        (b"[]", 4002, "Expected"),
        (b"5", 4002, "Expected"),
        (b"{}", 4002, "Authentication required. Please provide an API key."),
        (b'{"api_key":""}', 4002, "Authentication required. Please provide an API key."),
        (b'{"api_key":null}', 4002, "Authentication required. Please provide an API key."),
        (b'{"api_key":5}', 4002, "Authentication required. Please provide an API key."),
        (b'{"api_key":"good","last_sequence":"x"}', 4002, "last_sequence"),
        (b'{"api_key":"good","last_sequence":-2}', 4002, "last_sequence"),
        (b'{"api_key":"good","last_sequence":1e400}', 4002, None),
        (b'{"type":"subscribe","all":true}', 4002, "Authentication required. Please provide an API key."),
        (b'{"api_key":"nobody"}', 4003, "Invalid API key. Authentication failed."),
        (
            b'{"api_key":"low"}',
            4004,
            "WebSocket connections require tier 100 access. Please upgrade your API key.",
        ),
        (b'{"api_key":"rest"}', 4004, "This API key may not be used for streaming."),
        (b'{"api_key":"' + b"x" * MAX_FRAME_BEFORE_AUTH + b'"}', 1009, "at most 4096 bytes"),
    ],
)
def test_a_bad_first_message_is_refused_with_its_own_code(raw: bytes, code: int, frame: str | None) -> None:
    """Each way to fail has its close code, and Vanta's frame where Vanta sends one."""
    actions = Harness().say(raw)

    assert close_code(actions) == code
    assert isinstance(actions[-1], Close)
    if frame is None:
        assert sent(actions) == []
    else:
        (reply,) = sent(actions)
        assert reply["status"] == "error"
        assert frame in reply["message"]


def test_the_tier_refusal_carries_vantas_code() -> None:
    """Clients stop for good on INSUFFICIENT_TIER."""
    (reply,) = sent(Harness().open("low"))

    assert reply["code"] == "INSUFFICIENT_TIER"


def test_nothing_is_answered_after_a_refusal() -> None:
    """A closed conversation stays closed, even for the right key."""
    harness = Harness()
    harness.open("nobody")

    assert harness.open("good") == []
    assert harness.session.state is State.CLOSED


def test_a_stranger_is_closed_after_the_deadline_and_not_before() -> None:
    """Five seconds to authenticate, then 4001."""
    harness = Harness()
    harness.clock.advance(4.999)
    assert harness.session.tick() == []

    harness.clock.advance(0.001)

    assert close_code(harness.session.tick()) == 4001
    assert harness.session.tick() == []


def test_an_authenticated_client_may_idle() -> None:
    """The deadline is for strangers only."""
    harness = Harness()
    harness.open()
    harness.clock.advance(3600)

    assert harness.session.tick() == []


def test_ping_is_answered_as_vanta_does() -> None:
    """The client's own time comes back beside the server's."""
    harness = Harness()
    harness.open()

    assert sent(harness.say({"type": "ping", "timestamp": 17})) == [
        {
            "type": "pong",
            "client_timestamp": 17,
            "server_timestamp": 1_700_000_000_000,
            "timestamp": 1_700_000_000_000,
        }
    ]


def test_subscribe_is_confirmed_before_data_may_flow() -> None:
    """The confirmation is the last frame before the first data frame."""
    harness = Harness()
    harness.open(last_sequence=4)
    actions = harness.say({"type": "subscribe", "all": True, "sender_timestamp": 5})

    (status,) = sent(actions)
    assert status == {
        "type": "subscription_status",
        "status": "success",
        "all": True,
        "action": "subscribe",
        "sender_timestamp": 5,
        "received_timestamp": 1_700_000_000_000,
    }
    assert isinstance(actions[-1], Follow)
    assert actions[-1].cursors == {"positions": 4}
    assert not actions[-1].view.is_filtered


def test_the_first_subscribe_starts_where_the_welcome_said() -> None:
    """Entries between the welcome and the subscribe are not lost."""
    harness = Harness(horizon(position=10))
    harness.open()
    harness.horizon = horizon(position=15)

    follow = harness.say({"type": "subscribe", "all": True})[-1]

    assert follow.cursors == {"positions": 10}


def test_a_later_subscribe_is_live() -> None:
    """What a client asked to miss is not sent afterwards."""
    harness = Harness()
    harness.open()
    harness.say({"type": "subscribe", "all": True})
    harness.say({"type": "unsubscribe", "all": True})

    follow = harness.say({"type": "subscribe", "all": True})[-1]

    assert follow.cursors == {}


def test_unsubscribe_is_answered_only_when_subscribed() -> None:
    """Vanta is silent to a client that has nothing to unsubscribe."""
    harness = Harness()
    harness.open()
    assert harness.say({"type": "unsubscribe", "all": True}) == []

    harness.say({"type": "subscribe", "all": True})
    actions = harness.say({"type": "unsubscribe", "all": True})

    assert isinstance(actions[0], Pause)
    (status,) = sent(actions)
    assert (status["action"], status["status"], status["all"]) == ("unsubscribe", "success", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"[1",
        b'{"type":"somersault"}',
        b'{"no":"type"}',
        b'{"type":"subscribe"}',
        b'{"type":"subscribe","all":false}',
        b'{"api_key":"good"}',
    ],
)
def test_what_means_nothing_is_met_with_silence(raw: bytes) -> None:
    """Unknown types may come from newer clients: they are ignored, as Vanta does."""
    harness = Harness()
    harness.open()

    assert harness.say(raw) == []
    assert harness.session.state is State.OPEN


def test_a_filter_that_cannot_be_read_is_explained() -> None:
    """A typo in a filter must not look like an empty stream."""
    harness = Harness()
    harness.open()

    (reply,) = sent(harness.say({"type": "subscribe", "hotkeys": "hk"}))

    assert reply["status"] == "error"
    assert "hotkeys" in reply["message"]
    assert not harness.session.is_subscribed


def test_filters_reach_the_view_and_the_confirmation() -> None:
    """The client sees which filters are in force."""
    harness = Harness()
    harness.open()
    actions = harness.say(
        {"type": "subscribe", "hotkeys": ["a", "b"], "venues": ["o2"], "trade_pairs": ["BTCUSD"]}
    )

    view = actions[-1].view
    assert (view.hotkeys, view.venues, view.trade_pairs) == ({"a", "b"}, {"o2"}, {"BTCUSD"})
    assert view.is_filtered
    (status,) = sent(actions)
    assert status["hotkeys"] == ["a", "b"]
    assert status["all"] is False


def test_a_vanta_only_key_sees_only_vantas_pairs_whatever_it_asks() -> None:
    """The limit belongs to the key, not to the request."""
    harness = Harness()
    harness.open("vanta")

    view = harness.say({"type": "subscribe", "all": True})[-1].view

    assert view.only_vanta
    assert view.is_filtered


@pytest.mark.parametrize(
    ("secret", "stream"), [("high", "actions"), ("high", "nonsense"), ("good", "registry")]
)
def test_a_stream_that_the_key_may_not_see_is_refused(secret: str, stream: str) -> None:
    """Trade actions belong to their trader; the registry needs tier 200."""
    harness = Harness()
    harness.open(secret)

    (reply,) = sent(harness.say({"type": "subscribe", "streams": [stream]}))

    assert reply["code"] == "FORBIDDEN_STREAM"
    assert not harness.session.is_subscribed


def test_other_streams_resume_from_their_cursors() -> None:
    """``cursors`` is to ``orders`` what ``last_sequence`` is to ``positions``."""
    harness = Harness(horizon(orders=20))
    harness.open("high")

    actions = harness.say(
        {"type": "subscribe", "streams": ["orders", "registry"], "cursors": {"orders": 7, "ledger": 3}}
    )

    follow = actions[-1]
    assert follow.view.streams == ("orders", "registry")
    assert follow.cursors == {"orders": 7}


def test_a_cursor_that_cannot_be_used_is_told_with_its_stream() -> None:
    """The stream then goes on live, and the client knows what it lost."""
    harness = Harness(horizon(orders=20))
    harness.open()

    actions = harness.say({"type": "subscribe", "streams": ["orders"], "cursors": {"orders": 99}})

    notice = sent(actions)[1]
    assert notice["type"] == "resync_required"
    assert notice["reason"] == "future_sequence"
    assert notice["stream"] == "orders"
    assert actions[-1].cursors == {"orders": 20}


def test_too_many_messages_close_with_a_hint() -> None:
    """The bucket holds the burst, fills with time, and its end is 4007."""
    harness = Harness(messages_per_s=1.0, messages_burst=3)
    harness.open()
    for _ in range(3):
        assert close_code(harness.say({"type": "ping"})) is None
    harness.clock.advance(1.0)
    assert close_code(harness.say({"type": "ping"})) is None

    actions = harness.say({"type": "ping"})

    assert close_code(actions) == 4007
    (reply,) = sent(actions)
    assert reply["code"] == "RATE_LIMITED"
    assert 0 < reply["retry_after_ms"] <= 3000


def test_a_message_over_the_limit_closes() -> None:
    """1009 is what the library says for the same fault on the wire."""
    harness = Harness()
    harness.open()

    assert close_code(harness.say(b" " * (MAX_FRAME_AFTER_AUTH + 1))) == 1009


@given(st.lists(st.one_of(st.binary(max_size=80), st.text(max_size=40)), max_size=8))
def test_any_bytes_are_answered_or_closed_with_a_documented_code(noise: list[bytes | str]) -> None:
    """Before authentication: one answer at most, then silence."""
    harness = Harness()
    answers = [harness.say(raw) for raw in noise]

    for actions in answers[:1]:
        assert close_code(actions) in CLOSE_CODES
    assert all(actions == [] for actions in answers[1:])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["ping", "subscribe", "unsubscribe", "batch", ""])},
    optional={
        "all": _json,
        "timestamp": _json,
        "sender_timestamp": _json,
        "hotkeys": st.lists(st.text(max_size=4), max_size=3) | _json,
        "streams": st.lists(st.sampled_from(["positions", "orders", "x"]), max_size=3) | _json,
        "cursors": st.dictionaries(st.sampled_from(["positions", "orders"]), st.integers(), max_size=2),
        "trade_pairs": _json,
        "venues": _json,
    },
)


@given(
    st.lists(st.one_of(st.binary(max_size=60), _frames.map(json.dumps), _json.map(json.dumps)), max_size=12)
)
def test_any_bytes_after_authentication_keep_the_conversation_in_order(noise: list[bytes | str]) -> None:
    """Every answer is JSON without ``sequence``, closes are documented, and nothing follows a close."""
    harness = Harness()
    harness.open()
    is_closed = False

    for raw in noise:
        actions = harness.say(raw)
        assert not (is_closed and actions)
        is_closed = is_closed or close_code(actions) is not None
        assert close_code(actions) in {None, *CLOSE_CODES}
        assert all("sequence" not in frame for frame in sent(actions))


def test_every_close_reason_fits_into_a_close_frame() -> None:
    """A control frame has room for 123 bytes of reason."""
    assert all(0 < len(reason_for(code).encode()) <= 123 for code in CLOSE_CODES)
