"""The few figures of a run that its card shows; what is unknown is left out, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.words import counts, money, times
from bot.words.markup import Markup
from bot.words.runs.recovery import RECOVERY_LABEL
from bot.words.runs.work.evidence import tests_of
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import Step, StepStatus
from core.domain.sessions.recovery import is_recovery

NO_CHANGE = "no file changed"
# Keeps a number and its mark on one line of a phone.
_NO_BREAK = "\u00a0"
_STEP_LIMIT = 100
# Of the steps that are left only so many are named on the card; the details have all.
_LEFT_NAMED = 2
_REPOSITORY_LIMIT = 60


def outcome_figures(run: Run) -> list[str]:
    """What came out of an ended run: `2 files +49 −0`, `1 commit`, `tests 4 ✅`; plain text."""
    return [*_change_figures(run), *_test_figures(run)]


def context_facts(snapshot: RunSnapshot, now: datetime, markup: Markup) -> list[str]:
    """Who, how much, how long and where: `@owner`, `18/60 turns`, `~$0.099`, `7.5 s`."""
    run, total = snapshot.run, snapshot.total
    facts = [markup.person(snapshot.owner)]
    if total is not None and total.legs > 1:
        label = f", {RECOVERY_LABEL}" if is_recovery(run) else ""
        facts.append(f"leg {snapshot.leg} of {total.legs}{label}")
    turns = _turn_figures(run)
    if turns:
        facts.append(turns)
    if run.cost_usd is not None:
        mark = "" if run.cost_source is CostSource.REPORTED else "~"
        facts.append(f"{mark}{money.dollars(run.cost_usd)}")
    took = _time_figures(run, now)
    if took:
        facts.append(took)
    where = short_source(run, markup)
    return [*facts, where] if where else facts


def short_source(run: Run, markup: Markup) -> str:
    """Repository and branch in short form, `acme/api@main`; empty for a new repository."""
    if run.git_repo is None:
        return ""
    name = run.git_repo.rstrip("/").removesuffix(".git")
    if "://" in name:
        name = name.split("://", 1)[1].partition("/")[2] or name
    elif name.startswith("/"):
        name = name.rsplit("/", 1)[-1]
    elif ":" in name:
        name = name.partition(":")[2]
    branch = f"@{run.git_branch}" if run.git_branch else ""
    return markup.inline(f"{name}{branch}", _REPOSITORY_LIMIT)


def current_step_words(steps: Sequence[Step], markup: Markup) -> str:
    """The step in progress and how many are done: `Running tests · 2 of 4 done`."""
    if not steps:
        return ""
    current = next((step for step in steps if step.status is StepStatus.IN_PROGRESS), None)
    done = _done_words(steps)
    if current is None:
        return done
    name = markup.inline(current.active_name or current.name, _STEP_LIMIT)
    return f"{name or f'Step {current.step_id}'} · {done}"


def ended_steps_words(steps: Sequence[Step], markup: Markup) -> str:
    """The steps of an ended run in one line: the one it was on, and those that are left."""
    if not steps:
        return ""
    parts = [f"Steps: {_done_words(steps)}"]
    paused = next((step for step in steps if step.is_interrupted), None)
    parts += [] if paused is None else [f"⏸️ {_name(paused, markup)}"]
    parts += [f"❌ {_name(step, markup)}" for step in steps if step.status is StepStatus.FAILED]
    left = [step for step in steps if step.status is StepStatus.PENDING and step is not paused]
    if left:
        named = ", ".join(_name(step, markup) for step in left[:_LEFT_NAMED])
        more = f" and {len(left) - _LEFT_NAMED} more" if len(left) > _LEFT_NAMED else ""
        parts.append(f"left: {named}{more}")
    skipped = sum(step.status is StepStatus.SKIPPED for step in steps)
    if skipped:
        parts.append(f"{skipped} dropped")
    return " · ".join(parts)


def _change_figures(run: Run) -> list[str]:
    diff = run.diff
    if diff is None and run.is_work_pending:
        # The title of a run that ended by itself says it already.
        return [] if run.stop_reason is StopReason.SUCCESS else ["saving the work…"]
    if diff is None:
        return ["changes unknown"] if run.changes_unknown else []
    is_told = OutcomeReason.NOTHING_COMMITTED in run.outcome_reasons
    if not diff.files and not diff.commits:
        return [] if is_told else [NO_CHANGE]
    files = counts.plural(diff.file_count, "file")
    lines = f"{files} +{diff.added_lines:,} −{diff.removed_lines:,}"
    figures = [lines.replace(" ", _NO_BREAK)]
    if diff.commits:
        figures.append(counts.plural(diff.commit_count, "commit"))
    elif not is_told:
        figures.append("not committed")
    return figures


def _test_figures(run: Run) -> list[str]:
    tests = tests_of(run)
    if tests is None:
        return []
    failed = f" {tests.failed:,} ❌" if tests.failed else ""
    count = "" if tests.passed is None else f" {tests.passed:,}"
    passed = f"{count} ✅" if tests.passed or not tests.failed else ""
    return [f"tests{passed}{failed}".replace(" ", _NO_BREAK)]


def _turn_figures(run: Run) -> str:
    # The title of a turn limit says it already.
    has_begun = run.started_at is not None and (run.is_live or run.turns)
    if not has_begun or run.stop_reason is StopReason.MAX_TURNS:
        return ""
    if run.max_turns is None:
        return counts.plural(run.turns, "turn")
    return f"{run.turns}/{run.max_turns} turns"


def _time_figures(run: Run, now: datetime) -> str:
    if run.duration is not None:
        return times.duration(run.duration)
    if not run.is_live:
        return ""
    if run.status is RunStatus.PENDING:
        since = run.updated_at if run.attempt > 1 else run.created_at
        return f"waiting {times.elapsed(since, now)}"
    return times.elapsed(run.started_at, now) if run.started_at is not None else ""


def _done_words(steps: Sequence[Step]) -> str:
    done = sum(step.status is StepStatus.COMPLETED for step in steps)
    return f"{done} of {len(steps)} done"


def _name(step: Step, markup: Markup) -> str:
    return markup.inline(step.name, _STEP_LIMIT) or f"Step {step.step_id}"
