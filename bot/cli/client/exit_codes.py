"""The exit codes of commands that act through the API; `docs/cli.md` has the same table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from bot.cli.client.errors import ApiRefusal, NoToken, NotSignalbox
from core.domain.errors import BadRequest, OpsError, Unavailable


class ExitCode(IntEnum):
    """Why a command ended; the end of a run counts only for a command that waited for it."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_PERMITTED = 4
    UNREACHABLE = 5
    KILLED = 6
    LIMIT = 7
    ATTENTION = 8
    CONFLICT = 9
    INTERRUPTED = 130


_BY_HTTP_STATUS: Mapping[int, ExitCode] = MappingProxyType(
    {
        400: ExitCode.USAGE,
        401: ExitCode.NOT_PERMITTED,
        403: ExitCode.NOT_PERMITTED,
        404: ExitCode.NOT_FOUND,
        409: ExitCode.CONFLICT,
        413: ExitCode.USAGE,
        502: ExitCode.UNREACHABLE,
        503: ExitCode.UNREACHABLE,
        504: ExitCode.UNREACHABLE,
    }
)


def code_of_error(error: OpsError) -> ExitCode:
    """The exit code of a command that an error ended."""
    if isinstance(error, ApiRefusal):
        return _BY_HTTP_STATUS.get(error.status, ExitCode.FAILED)
    if isinstance(error, NoToken):
        return ExitCode.NOT_PERMITTED
    if isinstance(error, Unavailable | NotSignalbox):
        return ExitCode.UNREACHABLE
    return ExitCode.USAGE if isinstance(error, BadRequest) else ExitCode.FAILED
