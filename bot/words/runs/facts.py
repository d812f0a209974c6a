"""Facts about a run for cards and lists: repository, turns, tokens and times."""

from __future__ import annotations

from datetime import datetime

from bot.words import counts, times
from bot.words.markup import Markup
from core.domain.runs.request import RunFilter
from core.domain.runs.run import CostSource, Run, RunStatus


def source_words(run: Run, markup: Markup) -> str:
    """Repository and branch."""
    if run.git_repo is None:
        return "a new, empty repository"
    branch = f" on {markup.code(run.git_branch, 80)}" if run.git_branch else ""
    return f"{markup.code(run.git_repo, 160)}{branch}"


def turns_words(run: Run) -> str:
    """The turns made, and the limit if there is one."""
    limit = f" of {run.max_turns}" if run.max_turns is not None else ""
    return f"{run.turns}{limit}"


def tokens_words(run: Run) -> str:
    """The tokens in and out, marked if they are estimated; unknown ones are not shown as 0."""
    if not run.has_known_tokens:
        return "not reported yet" if run.is_live else "not reported"
    # An answer that is being written reports its tokens only at its end.
    is_estimated = run.is_live or run.cost_source is CostSource.ESTIMATED
    return counts.tokens(run.usage, is_estimated=is_estimated)


def time_fact(run: Run, now: datetime, markup: Markup) -> tuple[str, str]:
    """The most relevant time of a run at present: a label and the value."""
    if run.duration is not None:
        return "Took", times.duration(run.duration)
    if run.status is RunStatus.PENDING:
        return "Waiting", times.elapsed(run.updated_at if run.attempt > 1 else run.created_at, now)
    if run.started_at is not None and run.is_live:
        return "Running for", times.elapsed(run.started_at, now)
    if run.completed_at is not None:
        return "Ended", markup.date_time(run.completed_at)
    return "Requested", markup.date_time(run.created_at)


def filter_words(run_filter: RunFilter, markup: Markup) -> str:
    """The runs that match a filter, in words: `live runs of yours of fix`."""
    states = [name for name, on in (("live", run_filter.live), ("failed", run_filter.failed)) if on]
    of = f" of {markup.code(run_filter.workflow, 42)}" if run_filter.workflow else ""
    mine = "runs of yours" if run_filter.mine else "runs"
    return " ".join([*states, mine]) + of
