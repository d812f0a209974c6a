"""`stats`: what a period adds up to, in words and one table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from bot.slack import figures, text
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.wording import STATUS_ICONS
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import KillStats, Period, Quantiles, RunStats, Spend, Stats

PERIOD_TITLES: Mapping[Period, str] = MappingProxyType(
    {
        Period.DAY: "Last 24 hours",
        Period.WEEK: "Last 7 days",
        Period.MONTH: "Last 30 days",
    }
)

STATUS_WORDS: Mapping[RunStatus, str] = MappingProxyType(
    {
        RunStatus.PENDING: "waiting",
        RunStatus.RUNNING: "running",
        RunStatus.COMPLETED: "completed",
        RunStatus.FAILED: "stopped unfinished",
        RunStatus.KILLED: "killed",
    }
)

REASON_WORDS: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.SUCCESS: "done",
        StopReason.MAX_TURNS: "turn limit",
        StopReason.BUDGET: "cost limit",
        StopReason.TIMEOUT: "time limit",
        StopReason.KILLED: "killed",
        StopReason.USAGE_LIMIT: "usage limit of the account",
        StopReason.API_ERROR: "the model's API failed",
        StopReason.AGENT_ERROR: "the agent program failed",
        StopReason.NO_RESULT: "no result",
        StopReason.WORKER_LOST: "worker lost",
        StopReason.WORKSPACE_ERROR: "workspace not ready",
        StopReason.SETUP_ERROR: "not set up",
    }
)

# What a kill does in a phase, for the table's first column.
PHASE_WORDS: Mapping[Phase, str] = MappingProxyType(
    {
        Phase.REQUESTED: "until its worker heard",
        Phase.ACKNOWLEDGED: "looking at its processes",
        Phase.DRAINING: "critical command finishes",
        Phase.INTERRUPTED: "agent asked to stop",
        Phase.TERMINATED: "SIGTERM to the tree",
        Phase.KILLED: "SIGKILL to the rest",
        Phase.CONFIRMED: "proven",
        Phase.UNCONFIRMED: "not proven yet",
    }
)
_TOTAL_LABEL = "request to proof"
_SHOWN_AS_STATUS = frozenset({StopReason.SUCCESS, StopReason.KILLED})


def stats_message(stats: Stats) -> Message:
    """Draw the figures."""
    period = PERIOD_TITLES[stats.period]
    drawn: list[Block] = [
        blocks.header(period),
        blocks.section("\n".join(_run_lines(stats.runs))),
        blocks.section("\n".join(_kill_lines(stats.kills))),
    ]
    table = _table(stats.kills)
    if table:
        drawn.append(blocks.section(table))
    drawn.append(
        blocks.context(
            f"Runs asked for and kills asked for since {figures.date_time(stats.since)}. "
            + text.escape("`/workflow stats 24h`, `7d` or `30d` looks at another period.")
        )
    )
    runs = figures.plural(stats.runs.count, "run")
    kills = figures.plural(stats.kills.count, "kill")
    return Message(text=f"{period}: {runs}, {kills}", blocks=tuple(drawn))


def _run_lines(runs: RunStats) -> list[str]:
    if not runs.count:
        return ["*Runs:* none in this period."]
    statuses = " · ".join(
        f"{STATUS_ICONS[status]} {count:,} {STATUS_WORDS[status]}"
        for status, count in runs.by_status.items()
    )
    lines = [f"*{figures.plural(runs.count, 'run')}:* {statuses}"]
    reasons = ", ".join(
        f"{REASON_WORDS[reason]} {count:,}"
        for reason, count in runs.by_stop_reason.items()
        if reason not in _SHOWN_AS_STATUS
    )
    if reasons:
        lines.append(f"*Why unfinished:* {reasons}")
    lines.append(f"*Spend:* {_spend(runs.spend)}")
    return lines


def _spend(spend: Spend) -> str:
    parts = []
    if spend.reported_runs:
        runs = figures.plural(spend.reported_runs, "run")
        parts.append(f"{figures.money(spend.reported_usd)} reported by {runs}")
    if spend.estimated_runs:
        runs = figures.plural(spend.estimated_runs, "run")
        parts.append(f"{figures.money(spend.estimated_usd)} estimated for {runs}")
    if spend.unknown_runs:
        runs = figures.plural(spend.unknown_runs, "run")
        parts.append(f"not known for {runs}, which is in neither sum")
    return "; ".join(parts) or "nothing: no run has begun"


def _kill_lines(kills: KillStats) -> list[str]:
    if not kills.count:
        return ["*Kills:* none in this period."]
    parts = [f"{kills.confirmed:,} proven"]
    if kills.unconfirmed:
        parts.append(f"{kills.unconfirmed:,} unconfirmed")
    if kills.in_progress:
        parts.append(f"{kills.in_progress:,} under way")
    if kills.success_rate is not None:
        parts.append(f"success {_percent(kills.success_rate)}")
    lines = [f"*{figures.plural(kills.count, 'kill')}:* {' · '.join(parts)}"]
    if kills.confirmed_late:
        lines.append(
            f"{kills.confirmed_late:,} of the proven were unconfirmed for a while before they "
            "were proven."
        )
    if kills.before_start:
        lines.append(
            f"{kills.before_start:,} of the proven had not begun; they are not in the table."
        )
    if kills.unconfirmed:
        left = figures.plural(kills.survivors, "process was", "processes were")
        known = (
            f"At the last look {left} still alive."
            if kills.survivors
            else "No process is known to be alive, but nobody could look on the machine."
        )
        lines.append(
            f"⚠️ {known} `/workflow list live` shows the runs, and `/workflow list failed` those "
            "that were given up; each thread says what to do."
        )
    return lines


def _table(kills: KillStats) -> str:
    """A table in a code block, which every client shows in columns."""
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
        _took(measured.p50),
        _took(measured.p95),
        _took(measured.p99),
    )


def _took(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return figures.duration(timedelta(milliseconds=milliseconds))


def _percent(share: float) -> str:
    """A share that says 100 only if nothing is missing."""
    if share == 1:
        return "100 %"
    return f"{min(share * 100, 99.9):.1f} %"
