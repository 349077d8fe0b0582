"""Goes on, in the background, with operations that a crash or a silent chain left unfinished."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from journal.entry import JournalError
from validator.collateral.backend import CollateralBackend, CollateralError

EVERY_S: Final = 60.0

_log = structlog.get_logger()


class Settler:
    """Looks at once and every ``every_s`` seconds; what cannot be settled yet waits for the next time."""

    def __init__(self, backend: CollateralBackend, every_s: float = EVERY_S) -> None:
        self._backend, self._every_s = backend, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; an operation under way is gone on with after the next start."""
        self._stopped.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._backend.settle()
            except (JournalError, CollateralError) as error:
                _log.warning("unfinished operations have to wait", problem=str(error))
            self._stopped.wait(self._every_s)
