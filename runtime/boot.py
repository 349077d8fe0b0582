"""Checks before anything is started: each failure is one clear line that names the next step."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path


class CannotBoot(Exception):
    """Starting again will not help; the text says what to do."""


def claim_data_dir(directory: Path) -> int:
    """Make the directory, check that it can be written, and lock it for this process.

    Returns the lock's file descriptor, to be kept open. Raises CannotBoot.
    """
    try:
        (directory / "run").mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "run" / "manager.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotBoot(
            f"data directory {directory} cannot be written ({error.strerror}): "
            "give this user access to it or choose another with --data-dir"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise CannotBoot(
            f"data directory {directory} is in use by another api_manager: "
            "stop that one or choose another --data-dir"
        ) from None
    return lock


def require_free_port(host: str, port: int, flag: str) -> None:
    """Raise CannotBoot when nobody can listen on ``host:port`` any more. Nobody is ever killed for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error.strerror})"
            raise CannotBoot(
                f"{host}:{port} {reason}: stop what listens there or choose another with {flag}"
            ) from None
