"""Compact dashboards as documents: the same tag whenever nothing changed, whatever the time of the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from rest_server.documents import Document
from rest_server.dossier import Dossier, compact_sections
from rest_server.gzip_join import Incidental, Piece

_encode: Final = msgspec.json.Encoder().encode


def compact_dashboard(
    one: Dossier,
    since: Sequence[int],
    first: Mapping[str, Any] | None = None,
    *,
    without: Collection[str] = (),
) -> Document:
    """The dashboard's sections that have news; ``first``: sections before them."""
    sections = compact_sections(one, since)
    dashboard = {**(first or {}), **{name: told for name, told in sections.items() if name not in without}}
    body = b'{"status":"success","dashboard":%b' % _encode(dashboard)
    return Document((Piece(body), Incidental(b',"timestamp":%d}' % one.here.clock.now_ms())))
