"""A cross-process wake-up: every waiting reader has a socket in one directory, a writer knocks at each.

Rule: a bell is a hint. It may be lost, late or rung for nothing; a reader that never hears one is still
correct, because it also looks at the clock. So nothing here raises when a bell cannot be rung.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from pathlib import Path
from typing import Final, Protocol

SUFFIX: Final = ".bell"
ADDRESS_BYTES: Final = 100  # a socket address holds 108 bytes on Linux, 104 elsewhere, with its NUL
TRUST_LISTING_S: Final = 0.1  # a directory's mtime moves in kernel ticks: younger listings may be stale
_SELF_FDS: Final = "/proc/self/fd"


class Bell(Protocol):
    """What a reader waits on; ``fileno`` fits ``loop.add_reader``."""

    def fileno(self) -> int: ...

    def clear(self) -> bool:
        """Forget the rings so far; True when there was one."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring; True when there was one. Does not clear it."""

    def close(self) -> None: ...


class SocketBell:
    """A bell on a datagram socket."""

    def __init__(self, ear: socket.socket) -> None:
        self._ear = ear
        self._ear.setblocking(False)
        self._poll = select.poll()
        self._poll.register(ear.fileno(), select.POLLIN)

    def fileno(self) -> int:
        return self._ear.fileno()

    def clear(self) -> bool:
        rung = False
        try:
            while self._ear.recv(16):
                rung = True
        except BlockingIOError:
            pass
        return rung

    def wait(self, timeout_s: float) -> bool:
        return bool(self._poll.poll(max(0.0, timeout_s) * 1000))

    def close(self) -> None:
        self._ear.close()


class Doorbell(SocketBell):
    """This reader's bell among those in ``directory``; ``ring(directory)`` rings them all."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._path = directory / f"{os.getpid()}-{os.urandom(6).hex()}{SUFFIX}"
        with _Directory(directory) as address:
            if (name := address(self._path.name)) is not None:
                self._ear.bind(name)

    def close(self) -> None:
        super().close()
        self._path.unlink(missing_ok=True)


class MemoryBell(SocketBell):
    """A bell inside one process."""

    def __init__(self) -> None:
        ear, self._hand = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._hand.setblocking(False)
        super().__init__(ear)

    def ring(self) -> None:
        _knock(self._hand, None)

    def close(self) -> None:
        super().close()
        self._hand.close()


class Ringer:
    """Rings every bell in a directory; keeps the listing while the directory does not change."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._hand: socket.socket | None = None  # made at the first bell
        self._lock = threading.Lock()
        self._listing: tuple[str, ...] = ()
        self._listed_ns = -1  # the directory's mtime when it was listed

    def ring(self) -> None:
        """Knock at every bell; those whose owner is gone are removed."""
        with self._lock:
            names = self._names()
            if not names:
                return
            if self._hand is None:
                self._hand = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._hand.setblocking(False)
            with _Directory(self._directory) as address:
                for name in names:
                    target = address(name)
                    if target is not None and not _knock(self._hand, target):
                        (self._directory / name).unlink(missing_ok=True)

    def close(self) -> None:
        if self._hand is not None:
            self._hand.close()

    def _names(self) -> tuple[str, ...]:
        try:
            changed_ns = self._directory.stat().st_mtime_ns
            if changed_ns != self._listed_ns:
                self._listing = tuple(name for name in os.listdir(self._directory) if name.endswith(SUFFIX))
                settled = time.time_ns() - changed_ns > TRUST_LISTING_S * 1e9
                self._listed_ns = changed_ns if settled else -1
        except OSError:
            return ()
        return self._listing


def ring(directory: Path) -> None:
    """Ring every bell in ``directory`` once; whoever rings often keeps a Ringer."""
    ringer = Ringer(directory)
    try:
        ringer.ring()
    finally:
        ringer.close()


class _Directory:
    """Gives socket addresses of files in a directory, also where the plain path is too long for one."""

    def __init__(self, directory: Path) -> None:
        self._prefix = str(directory)
        self._fd = -1

    def __enter__(self) -> _Directory:
        return self

    def __call__(self, name: str) -> str | None:
        """Return an address for the file, or None where the platform has none (the reader then polls)."""
        if self._fd < 0:
            plain = f"{self._prefix}/{name}"
            if len(os.fsencode(plain)) <= ADDRESS_BYTES:
                return plain
            if not os.path.isdir(_SELF_FDS):
                return None
            self._fd = os.open(self._prefix, os.O_RDONLY | os.O_DIRECTORY)
            self._prefix = f"{_SELF_FDS}/{self._fd}"
        return f"{self._prefix}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _knock(hand: socket.socket, address: str | None) -> bool:
    """Send one datagram; False when nobody will ever answer at this address."""
    try:
        if address is None:
            hand.send(b"!")
        else:
            hand.sendto(b"!", address)
    except OSError as error:
        # EAGAIN: rung already and not yet heard. EACCES: another user's bell.
        return error.errno not in (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTSOCK)
    return True
