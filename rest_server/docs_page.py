"""``/docs``: the OpenAPI document as a page that needs nothing from anywhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("docs.html")


@cache
def docs_page() -> bytes:
    """The page's bytes."""
    return PAGE.read_bytes()
