"""The answer to `stats`: totals of a period, in words and one table."""

from __future__ import annotations

from bot.slack import dates, text
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.words import counts, times
from bot.words.digests import outcome_counts
from bot.words.kills import PHASE_WORDS
from bot.words.runs.endings import REASON_WORDS
from bot.words.runs.outcomes import ATTENTION_ICON, ATTENTION_WORDS
from bot.words.runs.states import STATUS_ICONS, STATUS_WORDS
from bot.words.stats import (
    PERIOD_TITLES,
    kill_parts,
    kill_remarks,
    spend_words,
    survivors_known,
)
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import KillStats, Quantiles, RunStats, Stats

_TOTAL_LABEL = "request to proof"
_SHOWN_AS_STATUS = frozenset({StopReason.SUCCESS, StopReason.KILLED})


def stats_message(stats: Stats) -> Message:
    """Draw the statistics of a period."""
    period = PERIOD_TITLES[stats.period]
    drawn: list[Block] = [
        blocks.header(period),
        blocks.section("\n".join(_run_lines(stats.runs))),
        blocks.section("\n".join(_kill_lines(stats.kills))),
    ]
    table = _table(stats.kills)
    if table:
        drawn.append(blocks.section(table))
    ended = outcome_counts(stats.runs)
    if any(ended.values()):
        drawn.append(
            blocks.bar_chart(
                "Ended runs by outcome", list(ended), {period: list(ended.values())}, unit="runs"
            )
        )
    drawn.append(
        blocks.context(
            f"Runs and kills requested since {dates.date_time(stats.since)}. "
            + text.escape("`/workflow stats 24h`, `7d` or `30d` shows another period.")
        )
    )
    runs = counts.plural(stats.runs.count, "run")
    kills = counts.plural(stats.kills.count, "kill")
    return Message(text=f"{period}: {runs}, {kills}", blocks=tuple(drawn))


def _run_lines(runs: RunStats) -> list[str]:
    if not runs.count:
        return ["*Runs:* none in this period."]
    lines = [f"*{counts.plural(runs.count, 'run')}:* {' · '.join(_status_parts(runs))}"]
    reasons = ", ".join(
        f"{REASON_WORDS[reason]} {count:,}"
        for reason, count in runs.by_stop_reason.items()
        if reason not in _SHOWN_AS_STATUS
    )
    if reasons:
        lines.append(f"*Why unfinished:* {reasons}")
    lines.append(f"*Spend:* {spend_words(runs.spend)}")
    return lines


def _status_parts(runs: RunStats) -> list[str]:
    """The numbers of runs by status; completed ones with something left to do are apart."""
    parts = []
    for status, count in runs.by_status.items():
        is_completed = status is RunStatus.COMPLETED
        clean = count - runs.attention if is_completed else count
        if clean:
            parts.append(f"{STATUS_ICONS[status]} {clean:,} {STATUS_WORDS[status]}")
        if is_completed and runs.attention:
            parts.append(f"{ATTENTION_ICON} {runs.attention:,} {ATTENTION_WORDS}")
    return parts


def _kill_lines(kills: KillStats) -> list[str]:
    if not kills.count:
        return ["*Kills:* none in this period."]
    lines = [f"*{counts.plural(kills.count, 'kill')}:* {' · '.join(kill_parts(kills))}"]
    lines += kill_remarks(kills)
    if kills.unconfirmed:
        lines.append(
            f"⚠️ {survivors_known(kills)} `/workflow list live` shows the runs, and `/workflow list "
            "failed` those that were given up; each thread says what to do."
        )
    return lines


def _table(kills: KillStats) -> str:
    """The durations of kills as a table in a code block, so that its columns align."""
    if kills.overall is None and not kills.by_phase:
        return ""
    rows = [("", "kills", "p50", "p95", "p99")]
    if kills.overall is not None:
        rows.append(_row(_TOTAL_LABEL, kills.overall))
    rows += [_row(f"  {PHASE_WORDS[phase]}", stay) for phase, stay in kills.by_phase.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]
    return text.fence("\n".join(lines), blocks.SECTION_LIMIT)


def _row(label: str, measured: Quantiles) -> tuple[str, str, str, str, str]:
    return (
        label,
        f"{measured.count:,}",
        times.milliseconds(measured.p50),
        times.milliseconds(measured.p95),
        times.milliseconds(measured.p99),
    )
