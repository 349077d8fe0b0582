"""Structured logs: one JSON line per event on stderr, with anything that looks like a secret masked.

Invariant: a value whose key names a secret never leaves this module unmasked, however deep it sits.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

MASK: Final = "***"
SECRET_NAMES: Final = re.compile(
    r"(api_?key|secret|token|private_?key|password|passphrase|authorization|cookie|signature|mnemonic|hmac)",
    re.I,
)
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+\S+")
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(worker: str, level: str = "info") -> None:
    """Send this process's logs, ours and the libraries', to stderr as JSON lines naming ``worker``."""

    def name_worker(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("worker", worker)  # a context variable would be lost in threads
        return event

    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        name_worker,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(), foreign_pre_chain=processors
        )
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), handlers=[handler], force=True)


def mask_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values under secret-looking keys, and bearer tokens inside texts, by ``***``."""
    for key, value in event.items():
        event[key] = MASK if SECRET_NAMES.search(str(key)) and value is not None else _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _BEARER.sub(rf"\1 {MASK}", value)
    if isinstance(value, dict):
        return {k: MASK if SECRET_NAMES.search(str(k)) else _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value
