"""One sentence of evidence for each kind of alert, with its numbers.

What the sentences read, by kind; everything may be missing:

- ends of runs: `task`, `stop_reason`, `reasons`, `failed_tests`, `cause`, `cause_subject`, `turns`,
  `max_turns`, `cost_usd`, `cost_source`, `duration_seconds`
- `budget`, `cost`: `task`, `cost_usd`, `limit_usd`, `has_ended`, `stopped_at`
- `stalled`: `task`, `awaited`, `name`, `awaited_since`, `heard_at`, `output_at`, `busy_at`
- `waiting`: `task`, `waiting_on`; `long_running`: `task`, `turns`, `limit_seconds`
- `worker_lost`: `machine`, `last_heard_at`, `live_runs`; `no_worker`: `pending`, `last_heard_at`
- `kill_unconfirmed`: `task`, `survivors`, `machine`; `queue_backlog`: `pending`, `oldest_at`
- `failure_rate`: `failures`, `runs`, `failures_before`, `runs_before`, `p`, `interval`
- `cost_spike`: `cost_usd`, `median_usd`, `factor`, `compared`; `slack_trouble`: `outdated`,
  `refused`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from bot.words.alerts import ends, fleet, live_runs, trends
from bot.words.alerts.figures import Evidence
from bot.words.alerts.telling import Telling
from bot.words.markup import Markup
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind

SENTENCES: Mapping[AlertKind, Callable[[Telling], str]] = MappingProxyType(
    {
        AlertKind.FAILED: ends.failed,
        AlertKind.KILLED: ends.killed,
        AlertKind.COMPLETED: ends.completed,
        AlertKind.ATTENTION: ends.attention,
        AlertKind.MAX_TURNS: ends.max_turns,
        AlertKind.BUDGET: live_runs.budget,
        AlertKind.COST: live_runs.cost,
        AlertKind.STALLED: live_runs.stalled,
        AlertKind.LONG_RUNNING: live_runs.long_running,
        AlertKind.WAITING: live_runs.waiting,
        AlertKind.WORKER_LOST: fleet.worker_lost,
        AlertKind.NO_WORKER: fleet.no_worker,
        AlertKind.KILL_UNCONFIRMED: fleet.kill_unconfirmed,
        AlertKind.QUEUE_BACKLOG: fleet.queue_backlog,
        AlertKind.FAILURE_RATE: trends.failure_rate,
        AlertKind.COST_SPIKE: trends.cost_spike,
        AlertKind.SLACK_TROUBLE: fleet.slack_trouble,
    }
)


def evidence_sentence(alert: Episode, now: datetime, markup: Markup) -> str:
    """What is the matter, with its numbers, in a sentence.

    Of an alert that has ended it is what was the matter.  Durations of an open one are rounded, so
    that the sentence changes at most once a minute.
    """
    told = Telling(
        alert=alert,
        evidence=Evidence(stored=alert.evidence),
        now=alert.resolved_at or now,
        markup=markup,
    )
    words = SENTENCES[alert.kind](told)
    return f"{words[:1].upper()}{words[1:]}."
