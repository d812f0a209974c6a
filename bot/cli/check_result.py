"""The result of one check of `signalbox doctor`, and the verdict on all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "wrong"


class Part(StrEnum):
    """A command that serves, and may be kept from it."""

    UP = "up"
    BOT = "bot"
    WORKER = "worker"


EVERY_PART = frozenset(Part)
SLACK_PARTS = frozenset({Part.UP, Part.BOT})
WORKER_PARTS = frozenset({Part.UP, Part.WORKER})
NO_PART: frozenset[Part] = frozenset()

MARKS = {CheckStatus.OK: "✓", CheckStatus.WARNING: "!", CheckStatus.FAILED: "✗"}


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One line of the report.

    Attributes:
        stops: The commands that would not start, or only wait, because of it.
        spoils_runs: Whether runs would fail because of it, although the worker starts.
    """

    status: CheckStatus
    message: str
    stops: frozenset[Part] = NO_PART
    spoils_runs: bool = False

    @property
    def line(self) -> str:
        """The line, with what it keeps from working."""
        consequence = f" → {_listed(self.stops)} would not work." if self.stops else ""
        return f"{MARKS[self.status]} {self.message}{consequence}"


def passed(message: str) -> CheckResult:
    """What is as it should be."""
    return CheckResult(status=CheckStatus.OK, message=message)


def warned(
    message: str, *, stops: frozenset[Part] = NO_PART, spoils_runs: bool = False
) -> CheckResult:
    """What works, but probably not as intended; or what only some commands need."""
    return CheckResult(
        status=CheckStatus.WARNING, message=message, stops=stops, spoils_runs=spoils_runs
    )


def failed(
    message: str, *, stops: frozenset[Part] = NO_PART, spoils_runs: bool = False
) -> CheckResult:
    """What has to be mended."""
    return CheckResult(
        status=CheckStatus.FAILED, message=message, stops=stops, spoils_runs=spoils_runs
    )


def verdict(results: Sequence[CheckResult]) -> str:
    """The last line of the report: how much is wrong, and which commands would work."""
    stopped = frozenset[Part]().union(*(result.stops for result in results))
    started = EVERY_PART - stopped
    sentences = [f"{_listed(stopped)} would not work"] if stopped else []
    sentences += [f"{_listed(started)} would work"] if started else []
    if started & WORKER_PARTS and any(result.spoils_runs for result in results):
        sentences.append("but runs would fail")
    return f"{_counts(results)}: {', '.join(sentences)}."


def _counts(results: Sequence[CheckResult]) -> str:
    counts = {
        "error": sum(result.status is CheckStatus.FAILED for result in results),
        "warning": sum(result.status is CheckStatus.WARNING for result in results),
    }
    named = [
        f"{count} {noun if count == 1 else noun + 's'}" for noun, count in counts.items() if count
    ]
    return " and ".join(named) or "No warnings"


def _listed(parts: Collection[Part]) -> str:
    names = [f"`{part}`" for part in Part if part in parts]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
