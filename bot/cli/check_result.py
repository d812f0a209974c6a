"""The result of one check of `signalbox doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "wrong"


MARKS = {CheckStatus.OK: "✓", CheckStatus.WARNING: "!", CheckStatus.FAILED: "✗"}


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One line of the report."""

    status: CheckStatus
    message: str


def passed(message: str) -> CheckResult:
    """What is as it should be."""
    return CheckResult(status=CheckStatus.OK, message=message)


def warned(message: str) -> CheckResult:
    """What works, but probably not as intended."""
    return CheckResult(status=CheckStatus.WARNING, message=message)


def failed(message: str) -> CheckResult:
    """What has to be mended."""
    return CheckResult(status=CheckStatus.FAILED, message=message)
