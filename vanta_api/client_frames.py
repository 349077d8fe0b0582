"""What a client may say: typed frames with limits.

Rule: any bytes become one of the frames below or a FrameError; nothing else is raised.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from vanta_api.close_codes import BAD_AUTH_MESSAGE, TOO_BIG

MAX_FRAME_BEFORE_AUTH: Final = 4 * 1024  # bytes: a stranger may not make us parse more
MAX_FRAME_AFTER_AUTH: Final = 64 * 1024  # bytes: room for the longest filter
MAX_FILTER_ITEMS: Final = 500

AUTH_REQUIRED_TEXT: Final = "Authentication required. Please provide an API key."

_Sequence = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
_Millis = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Names = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MAX_FILTER_ITEMS)]
_Streams = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=16)]
_Cursors = Annotated[dict[_Name, _Sequence], msgspec.Meta(max_length=16)]


class FrameError(Exception):
    """A client's frame that cannot be used.

    ``code`` is a stable upper-case word, ``message`` a sentence for a person. ``close_code`` None means
    that the connection goes on after the error frame.
    """

    def __init__(self, code: str, message: str, close_code: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.close_code = close_code


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame. ``last_sequence`` -1: live only; N >= 0: replay from N + 1."""

    api_key: str
    last_sequence: _Sequence = -1
    epoch: str | None = None


class Ping(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    """Application ping; the client's time comes back in the pong."""

    timestamp: _Millis | float | None = None


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="subscribe"):
    """Ask for data. A filter that is None or empty lets everything through; filters are joined by "and".

    ``streams`` None means ``positions`` only. ``cursors`` resumes streams other than ``positions``.
    """

    all: bool = False
    sender_timestamp: _Millis | float | None = None
    hotkeys: _Names | None = None
    venues: _Names | None = None
    trade_pairs: _Names | None = None
    streams: _Streams | None = None
    cursors: _Cursors | None = None

    @property
    def is_filtered(self) -> bool:
        """True when some entries of ``positions`` may be withheld, so frames need ``prev_sequence``."""
        return bool(self.hotkeys or self.venues or self.trade_pairs)


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="unsubscribe"):
    """Stop data; the connection stays."""

    all: bool = True
    sender_timestamp: _Millis | float | None = None


Request = Ping | Subscribe | Unsubscribe

_auth = msgspec.json.Decoder(Auth)
_request = msgspec.json.Decoder(Request)


def decode_auth(raw: bytes | str) -> Auth:
    """Read the first frame. Raises FrameError (every one closes the connection)."""
    body = _checked(raw, MAX_FRAME_BEFORE_AUTH)
    try:
        auth = _auth.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        if "`api_key`" in str(fault) or "$.api_key" in str(fault):
            raise FrameError("AUTH_REQUIRED", AUTH_REQUIRED_TEXT, BAD_AUTH_MESSAGE) from None
        raise FrameError("INVALID_FRAME", plain_reason(fault), BAD_AUTH_MESSAGE) from None
    if not auth.api_key:
        raise FrameError("AUTH_REQUIRED", AUTH_REQUIRED_TEXT, BAD_AUTH_MESSAGE)
    return auth


def decode_request(raw: bytes | str) -> Request:
    """Read a frame of an authenticated client. Raises FrameError."""
    body = _checked(raw, MAX_FRAME_AFTER_AUTH)
    try:
        request: Request = _request.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        code = "UNKNOWN_TYPE" if "$.type" in str(fault) or "`type`" in str(fault) else "INVALID_FRAME"
        raise FrameError(code, plain_reason(fault)) from None
    if isinstance(request, Subscribe) and not (request.all or request.is_filtered or request.streams):
        raise FrameError("NOTHING_SUBSCRIBED", "subscribe needs all: true or at least one filter")
    return request


def _checked(raw: bytes | str, limit: int) -> bytes:
    try:
        body = raw.encode() if isinstance(raw, str) else bytes(raw)
    except UnicodeEncodeError:
        raise FrameError("INVALID_FRAME", "the frame is not valid UTF-8", BAD_AUTH_MESSAGE) from None
    if len(body) > limit:
        raise FrameError("FRAME_TOO_LARGE", f"a frame may have at most {limit} bytes", TOO_BIG)
    return body


def plain_reason(fault: Exception) -> str:
    """The decoder's sentence without anything of the frame's own content beyond its field names."""
    if isinstance(fault, msgspec.ValidationError):
        return str(fault)[:200]
    return "the frame is nested too deeply" if isinstance(fault, RecursionError) else "the frame is not JSON"
