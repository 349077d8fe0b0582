"""WebSocket frames of entities: proving who one is by the hotkey's signature, and dashboards of subaccounts.

Rule 1: a dashboard frame never carries the key ``sequence`` (the published client takes such a frame for
data); it says the number of the ``positions`` entry it came with as ``current_sequence``.
Rule 2: what was signed is verified as it was received, so the frame's own values are kept beside the typed
ones.

Client to server::

    {"entity_hotkey":h,"timestamp":ms,"nonce":n,"signature":hex}                first frame, instead of a key
    {"type":"subscribe_subaccount","synthetic_hotkey":h}                        after authentication

Server to client::

    {"status":"success",...,"auth_type":"entity","subscribed_subaccounts":k}    entity_reply
    {"type":"subaccount_dashboard","synthetic_hotkey":h,"timestamp":ms,
     "current_sequence":n,"data":{...}}                                         dashboard_frame
    {"type":"subscription_status","status":"success",
     "action":"new_subaccount_subscribed","synthetic_hotkey":h,...}             subaccount_status
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

import msgspec

from vanta_api.client_frames import FrameError
from vanta_api.close_codes import BAD_AUTH_MESSAGE, INVALID_KEY, OVERLOADED

SIGNED_FIELDS: Final = ("entity_hotkey", "nonce", "timestamp")
FIELDS: Final = (*SIGNED_FIELDS, "signature")
TEXT_MAX: Final = 512  # characters of each

REQUIRES_TEXT: Final = "Entity authentication requires entity_hotkey, timestamp, nonce and signature."
INVALID_SIGNATURE_TEXT: Final = "Invalid signature. Entity authentication failed."
NOT_REGISTERED_TEXT: Final = "Entity {hotkey} not registered"
UNAVAILABLE_TEXT: Final = "Entity authentication is not available now."

StatusAction = Literal["new_subaccount_subscribed", "subscribe_subaccount"]

_encode = msgspec.json.Encoder().encode


class EntityAuth(msgspec.Struct, frozen=True, kw_only=True):
    """An entity's first frame. ``body`` is the frame as received; ``timestamp`` is ms.

    ``last_sequence`` and ``epoch`` mean what they mean beside an API key.
    """

    entity_hotkey: str
    timestamp: int
    nonce: str
    signature: str
    body: Mapping[str, Any]
    last_sequence: int = -1
    epoch: str | None = None


def decode_entity_auth(raw: bytes | str) -> EntityAuth | None:
    """Read a first frame without an API key; None when it is not an entity's.

    Raises FrameError when it is one and cannot be used.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or "entity_hotkey" not in body or "api_key" in body:
        return None
    texts = [body.get(name) for name in ("entity_hotkey", "nonce", "signature")]
    are_texts = all(isinstance(text, str) and 0 < len(text) <= TEXT_MAX for text in texts)
    if not are_texts or not _is_whole(body.get("timestamp")):
        raise FrameError("AUTH_REQUIRED", REQUIRES_TEXT, BAD_AUTH_MESSAGE)
    last_sequence, epoch = body.get("last_sequence", -1), body.get("epoch")
    if not _is_whole(last_sequence) or last_sequence < -1 or not isinstance(epoch, str | None):
        raise FrameError("INVALID_FRAME", "last_sequence or epoch is not what it should be", BAD_AUTH_MESSAGE)
    return EntityAuth(
        entity_hotkey=body["entity_hotkey"],
        timestamp=body["timestamp"],
        nonce=body["nonce"],
        signature=body["signature"],
        body=body,
        last_sequence=last_sequence,
        epoch=epoch,
    )


def invalid_signature() -> FrameError:
    """The hotkey did not sign this."""
    return FrameError("INVALID_SIGNATURE", INVALID_SIGNATURE_TEXT, INVALID_KEY)


def not_registered(entity_hotkey: str) -> FrameError:
    """There is no such entity."""
    return FrameError("NOT_REGISTERED", NOT_REGISTERED_TEXT.format(hotkey=entity_hotkey), INVALID_KEY)


def stale(reason: str) -> FrameError:
    """The frame is too old, ahead of time, or was used before; ``reason`` says which."""
    return FrameError("STALE_AUTH", reason, BAD_AUTH_MESSAGE)


def unavailable() -> FrameError:
    """What is needed to believe the frame cannot be written now."""
    return FrameError("UNAVAILABLE", UNAVAILABLE_TEXT, OVERLOADED)


def entity_reply(reply: bytes, subscribed: int) -> bytes:
    """An ``auth_reply`` for an entity that proved itself: ``subscribed`` of its subaccounts are watched."""
    return b'%b,"auth_type":"entity","subscribed_subaccounts":%d}' % (reply[:-1], subscribed)


def dashboard_frame(synthetic_hotkey: str, time_ms: int, current_sequence: int, data: bytes) -> bytes:
    """News of a subaccount; ``data`` is a JSON object of dashboard sections."""
    head = (_encode(synthetic_hotkey), time_ms, current_sequence, data)
    return (
        b'{"type":"subaccount_dashboard","synthetic_hotkey":%b,"timestamp":%d,'
        b'"current_sequence":%d,"data":%b}' % head
    )


def subaccount_status(action: StatusAction, synthetic_hotkey: str, server_ms: int) -> bytes:
    """A subaccount is watched from now on."""
    return _encode(
        {
            "type": "subscription_status",
            "status": "success",
            "action": action,
            "synthetic_hotkey": synthetic_hotkey,
            "timestamp": server_ms,
        }
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**63 - 1


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not JSON")
