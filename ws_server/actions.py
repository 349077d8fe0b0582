"""What a session asks its connection to do, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.api_keys import ApiKey
from vanta_api.close_codes import CLOSE_CODES
from ws_server.view import View


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame with this payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Admit:
    """The key is good: count the connection under it (the oldest may have to leave) before going on.

    ``cursor`` is the ``positions`` number after which this client's stream starts.
    """

    key: ApiKey
    cursor: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Stream ``view``. ``cursors`` names the streams with a start of their own: entries after it are sent.

    A stream of the view that is not named keeps the cursor it has, or starts live.
    """

    view: View
    cursors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Send no more data until the next ``Follow``."""


@dataclass(frozen=True, slots=True)
class Close:
    """Start the closing handshake; nothing may be sent after it."""

    code: int

    @property
    def reason(self) -> str:
        """The close frame's text."""
        return reason_for(self.code)


Action = Send | Admit | Follow | Pause | Close


def reason_for(code: int) -> str:
    """The published meaning of a close code (always short enough for a close frame)."""
    row = CLOSE_CODES.get(code)
    return row.meaning if row else ""
