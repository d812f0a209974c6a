"""Words about a completed run whose evidence shows that something is left to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.words import counts
from bot.words.runs.work.evidence import tests_of
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import Run

ATTENTION_ICON = "⚠️"
# The same outcome where many runs are counted.
ATTENTION_WORDS = "finished, with something left to do"


def attention_title(run: Run) -> str:
    """What is left to do, as plain text: `Finished, 1 test fails, nothing committed`."""
    parts = [REASON_PHRASES[reason](run) for reason in run.outcome_reasons]
    return ", ".join(["Finished", *filter(None, parts)])


def _tests_failed(run: Run) -> str:
    tests = tests_of(run)
    failed = tests.failed if tests is not None else 0
    return f"{counts.plural(failed, 'test')} {'fails' if failed == 1 else 'fail'}"


def _nothing_committed(run: Run) -> str:
    has_files = run.diff is not None and run.diff.files
    return "nothing committed" if has_files else "nothing changed"


def _uncommitted_changes(run: Run) -> str:
    if OutcomeReason.NOTHING_COMMITTED in run.outcome_reasons:
        return ""
    files = () if run.diff is None else run.diff.files
    left = sum(not change.committed for change in files)
    return f"{counts.plural(left, 'file')} not committed"


REASON_PHRASES: Mapping[OutcomeReason, Callable[[Run], str]] = MappingProxyType(
    {
        OutcomeReason.TESTS_FAILED: _tests_failed,
        OutcomeReason.NOTHING_COMMITTED: _nothing_committed,
        OutcomeReason.STEPS_LEFT: lambda _: "steps left",
        OutcomeReason.UNCOMMITTED_CHANGES: _uncommitted_changes,
    }
)
