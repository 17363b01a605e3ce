"""Every error that a user can cause, each with the exit code the command line returns for it."""

from __future__ import annotations

from typing import ClassVar


class McupruneError(Exception):
    """Base class; the message says what happened, where, and what to do about it."""

    exit_code: ClassVar[int] = 1


def error_of(exit_code: int) -> type[McupruneError]:
    """The class whose exit code it is."""
    known = {kind.exit_code: kind for kind in McupruneError.__subclasses__()}
    return known.get(exit_code, McupruneError)


class UsageError(McupruneError):
    """A command line, configuration, board file or data set that cannot be used as given."""

    exit_code = 2


class BudgetError(McupruneError):
    """A budget that is exceeded, or that no width assignment can reach."""

    exit_code = 3


class MismatchError(McupruneError):
    """Two executions of one model that must agree byte for byte and do not."""

    exit_code = 4


class AccuracyError(McupruneError):
    """A compressed model below its accuracy floor, or collapsed to chance."""

    exit_code = 5


class UnsupportedError(McupruneError):
    """A layer, operator or option outside what mcuprune implements."""

    exit_code = 6


class ToolchainError(McupruneError):
    """A compiler, emulator or interpreter that is missing or failed."""

    exit_code = 7
