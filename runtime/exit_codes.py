"""Exit codes of every command, documented in docs/operations.md."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a supervisor or a shell script can decide on."""

    OK = 0
    FAILED = 1  # ran, and found or hit a fault; starting it again may help
    USAGE = 2  # wrong command line or settings
    CANNOT_BOOT = 3  # port in use, unwritable directory, damaged journal: starting it again will not help
