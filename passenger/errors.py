"""The error tree: every error says who is at fault and which exit status the command answers with.

Rules.
1. A message names what happened, where, and what to do next; it never carries a secret.
2. Foreign exceptions are mapped once, at the seam where the foreign call is made.
3. Errors that only one layer needs to tell apart live in that layer, as subclasses of these.
"""

from __future__ import annotations

import enum

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_SUCH_INSTANCE = 3
EXIT_DIFFERENT = 4  # only where differences were asked for by status (`config diff --exit-code`)
EXIT_INVALID_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


class Fault(enum.Enum):
    """Who has to act."""

    OURS = "passenger"
    APP = "application"
    PEER = "peer"
    CONFIGURATION = "configuration"
    HOST = "host"


class PassengerError(Exception):
    """Root of everything this product raises on purpose.

    `hint` is the next step for the reader ("" when the message says it all).
    """

    fault = Fault.OURS
    exit_status = EXIT_FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class HostError(PassengerError):
    """The machine refuses: a port in use, a directory that is not ours, a missing program."""

    fault = Fault.HOST


class InvalidConfigurationError(PassengerError):
    """The configuration cannot be used; nothing was started. The text is the rendered caret report."""

    fault = Fault.CONFIGURATION
    exit_status = EXIT_INVALID_CONFIGURATION


class InstanceSelectionError(PassengerError):
    """No instance runs, or several run and none was chosen."""

    fault = Fault.HOST
    exit_status = EXIT_NO_SUCH_INSTANCE


class ProtocolError(PassengerError):
    """Bytes that break the protocol on a socket we read; `fault` says whose bytes they were."""

    fault = Fault.PEER
