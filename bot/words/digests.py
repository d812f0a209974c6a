"""Words of digests: what happened in a day or a week, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words import counts, times
from bot.words.markup import Markup
from bot.words.runs.endings import REASON_WORDS
from bot.words.runs.outcomes import ATTENTION_ICON, ATTENTION_WORDS
from bot.words.runs.states import STATUS_ICONS, STATUS_WORDS
from bot.words.stats import spend_words
from core.domain.alerts.channels.subscription import DigestPeriod
from core.domain.alerts.posts.digest_figures import DigestFigures
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import RunStats

TITLES: Mapping[DigestPeriod, str] = MappingProxyType(
    {DigestPeriod.DAILY: "Daily digest", DigestPeriod.WEEKLY: "Weekly digest"}
)
THIS_PERIOD: Mapping[DigestPeriod, str] = MappingProxyType(
    {DigestPeriod.DAILY: "This day", DigestPeriod.WEEKLY: "This week"}
)
BEFORE: Mapping[DigestPeriod, str] = MappingProxyType(
    {DigestPeriod.DAILY: "the day before", DigestPeriod.WEEKLY: "the week before"}
)
_SHOWN_AS_STATUS = frozenset({StopReason.SUCCESS, StopReason.KILLED})
_NAME_LIMIT = 100


def summary(figures: DigestFigures, period: DigestPeriod) -> str:
    """The digest in one line, as plain text: for notifications, and where nothing else is shown."""
    runs = figures.runs
    if not runs.count:
        words = "no run ended"
    else:
        failed = runs.by_status.get(RunStatus.FAILED, 0)
        parts = [f"{counts.plural(runs.count, 'run')} ended"]
        if failed:
            parts.append(f"{failed:,} {STATUS_WORDS[RunStatus.FAILED]}")
        if runs.attention:
            parts.append(f"{runs.attention:,} {ATTENTION_WORDS}")
        words = ", ".join(parts)
    fired = sum(figures.alerts_fired.values())
    return f"{TITLES[period]}: {words}; {counts.plural(fired, 'alert')}"


def run_lines(figures: DigestFigures, period: DigestPeriod, markup: Markup) -> list[str]:
    """The runs by outcome, why some did not finish, and what they cost."""
    runs, before = figures.runs, figures.before
    lead = markup.strong(f"{counts.plural(runs.count, 'run')} ended")
    if not runs.count:
        lead = markup.strong("No run ended")
    lines = [f"{lead} ({_compared(runs.count, before.count, BEFORE[period])})"]
    if runs.count:
        lines.append(" · ".join(f"{icon} {count:,} {words}" for icon, words, count in _parts(runs)))
    reasons = ", ".join(
        f"{REASON_WORDS[reason]} {count:,}"
        for reason, count in runs.by_stop_reason.items()
        if reason not in _SHOWN_AS_STATUS
    )
    if reasons:
        lines.append(f"{markup.strong('Why unfinished:')} {reasons}")
    if runs.count:
        lines.append(f"{markup.strong('Spend:')} {spend_words(runs.spend)}")
    if before.count:
        lines.append(markup.quiet(f"Spend {BEFORE[period]}: {spend_words(before.spend)}"))
    return lines


def failure_line(figures: DigestFigures, markup: Markup) -> str:
    """The failures by workflow; empty if nothing failed."""
    parts = [
        f"{markup.inline(one.workflow, _NAME_LIMIT)} {one.failures:,} of {one.ended:,}"
        for one in figures.failures
    ]
    return f"{markup.strong('Failures by workflow:')} {', '.join(parts)}" if parts else ""


def kill_line(figures: DigestFigures, markup: Markup) -> str:
    """The kills and how long they took; empty if there were none."""
    kills = figures.kills
    if not kills.count:
        return ""
    parts = [f"{kills.confirmed:,} proven"]
    if kills.unconfirmed:
        parts.append(f"{kills.unconfirmed:,} unconfirmed")
    if kills.p95_ms is not None:
        parts.append(f"95 % within {times.milliseconds(kills.p95_ms)}")
    return f"{markup.strong(counts.plural(kills.count, 'kill') + ':')} {' · '.join(parts)}"


def alert_line(figures: DigestFigures, markup: Markup) -> str:
    """The alerts that fired, by kind, and how many are open now."""
    fired = sum(figures.alerts_fired.values())
    by_kind = ", ".join(
        f"{kind.value.replace('_', ' ')} {count:,}" for kind, count in figures.alerts_fired.items()
    )
    words = f"{fired:,} fired" + (f" ({by_kind})" if by_kind else "")
    return f"{markup.strong('Alerts:')} {words}, {figures.alerts_open:,} open now"


def skipped_line(figures: DigestFigures) -> str:
    """What is said of digests that were not written; empty if none is missing."""
    if not figures.skipped:
        return ""
    were = counts.plural(
        figures.skipped, "digest before this one is", "digests before this one are"
    )
    return f"{were} missing: Signalbox was not running when they were due."


def outcome_counts(runs: RunStats) -> dict[str, int]:
    """How many runs had which outcome, by a short name; every outcome is there."""
    completed = runs.by_status.get(RunStatus.COMPLETED, 0)
    return {
        "Completed": completed - runs.attention,
        "To look at": runs.attention,
        "Unfinished": runs.by_status.get(RunStatus.FAILED, 0),
        "Killed": runs.by_status.get(RunStatus.KILLED, 0),
    }


def _parts(runs: RunStats) -> list[tuple[str, str, int]]:
    """Icon, words and number of each outcome that occurred."""
    completed = runs.by_status.get(RunStatus.COMPLETED, 0) - runs.attention
    parts = [(STATUS_ICONS[RunStatus.COMPLETED], STATUS_WORDS[RunStatus.COMPLETED], completed)]
    parts.append((ATTENTION_ICON, ATTENTION_WORDS, runs.attention))
    parts += [
        (STATUS_ICONS[status], STATUS_WORDS[status], runs.by_status.get(status, 0))
        for status in (RunStatus.FAILED, RunStatus.KILLED)
    ]
    return [part for part in parts if part[2]]


def _compared(number: int, before: int, when: str) -> str:
    if number == before:
        return f"as many as {when}"
    more = "more" if number > before else "fewer"
    return f"{abs(number - before):,} {more} than {when}"
