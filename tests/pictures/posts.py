"""Digests and the progress of a run, for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

from bot.slack.views.alerts.digest import ShownDigest, digest_message
from bot.slack.views.message import Message
from bot.slack.views.replacement import without_charts
from bot.slack.views.runs.links import ThreadLinks
from bot.slack.views.thread.progress import progress_message
from core.domain.alerts.channels.subscription import DigestPeriod
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.digest_figures import (
    DayFigures,
    DigestFigures,
    KillFigures,
    SlowRun,
    WorkflowFailures,
)
from core.domain.alerts.posts.progress import ProgressFigures, ProgressPost
from core.domain.runs.run import CostSource, RunStatus, StopReason
from core.domain.runs.snapshot import CardPlace
from core.domain.runs.stats import RunStats, Spend
from tests.unit.view_helpers import NOW, make_ended_run, make_run, make_snapshot

LINKS = ThreadLinks(archive_url="https://acme.slack.com/archives")
_MONDAY = NOW.replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=2)
_DONE, _FAILED, _KILLED = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.KILLED


def _runs(completed: int, failed: int, killed: int, *, cost: str, attention: int = 0) -> RunStats:
    limits = failed // 3
    return RunStats(
        by_status={_DONE: completed, _FAILED: failed, _KILLED: killed},
        by_stop_reason={
            StopReason.SUCCESS: completed,
            StopReason.AGENT_ERROR: failed - limits,
            StopReason.MAX_TURNS: limits,
            StopReason.KILLED: killed,
        },
        attention=attention,
        spend=Spend(reported_usd=Decimal(cost), reported_runs=completed + failed + killed),
    )


def _slow(run_id: str, about: str, seconds: int, status: RunStatus = _DONE) -> SlowRun:
    return SlowRun(run_id=run_id, about=about, workflow="implement", seconds=seconds, status=status)


_DAY = DigestFigures(
    runs=_runs(9, 3, 1, cost="18.42", attention=2),
    before=_runs(7, 1, 0, cost="11.08", attention=1),
    kills=KillFigures(count=1, confirmed=1, p95_ms=1240.0),
    slowest=(
        _slow("run_1", "Move the invoices to the new schema", 5220),
        _slow("run_2", "Add rate limiting to the API", 2890),
        _slow("run_3", "Fix the flaky login test", 1410, _FAILED),
    ),
    failures=(
        WorkflowFailures(workflow="implement", failures=1, ended=8),
        WorkflowFailures(workflow="fix", failures=1, ended=4),
    ),
    alerts_fired={AlertKind.FAILED: 2, AlertKind.ATTENTION: 2, AlertKind.STALLED: 1},
    alerts_open=3,
)
_WEEK = replace(
    _DAY,
    runs=_runs(48, 9, 4, cost="96.10", attention=6),
    before=_runs(39, 12, 2, cost="81.75", attention=5),
    kills=KillFigures(count=4, confirmed=4, p95_ms=2890.0),
    days=tuple(
        DayFigures(day=date(2026, 11, 16) + timedelta(days=number), completed=c, failed=f, killed=k)
        for number, (c, f, k) in enumerate(
            ((11, 2, 1), (9, 1, 0), (12, 3, 2), (7, 0, 0), (8, 3, 1), (1, 0, 0))
        )
    ),
)


def _digest(period: DigestPeriod, figures: DigestFigures) -> Message:
    days = 1 if period is DigestPeriod.DAILY else 7
    digest = Digest(
        id=UUID(int=1),
        subscription_id=UUID(int=2),
        team_id="T0ACME",
        channel_id="C0BUILDS",
        period=period,
        since=_MONDAY - timedelta(days=days),
        until=_MONDAY,
        figures=figures.to_json(),
    )
    card = CardPlace(channel_id="C0BUILDS", message_ts="1769220155.940449")
    cards = {run.run_id: card for run in figures.slowest}
    return digest_message(ShownDigest(digest=digest, figures=figures, cards=cards), LINKS)


_TOLD = ProgressFigures(
    turns=31,
    max_turns=60,
    cost_usd=Decimal("0.84"),
    cost_source=CostSource.ESTIMATED,
    step="Running the tests",
    steps_done=2,
    steps_total=4,
    finished_ids=(1, 2),
    finished=("Write the limiter",),
    more_turns=12,
    more_cost_usd=Decimal("0.31"),
    since=NOW - timedelta(minutes=10),
    heard_at=NOW - timedelta(minutes=4),
)


def _progress(*, has_ended: bool = False, is_first: bool = False) -> Message:
    values = {"started_at": NOW - timedelta(minutes=10 if is_first else 20), "max_turns": 60}
    run = make_ended_run(StopReason.SUCCESS, **values) if has_ended else make_run(**values)
    told = _TOLD
    if is_first:
        told = replace(
            told,
            turns=19,
            cost_usd=Decimal("0.53"),
            step="Writing the limiter",
            steps_done=1,
            finished=("Look at the code",),
            more_turns=None,
            more_cost_usd=None,
            since=None,
            heard_at=NOW,
        )
    every = timedelta(minutes=10)
    post = ProgressPost(
        run_id=run.id, every=every, due_at=None, taken_at=NOW, count=2, figures=told.to_json()
    )
    message = progress_message(make_snapshot(run, progress=post))
    assert message is not None
    return message


POSTS: Mapping[str, Callable[[], Message]] = MappingProxyType(
    {
        "daily": lambda: _digest(DigestPeriod.DAILY, _DAY),
        "without charts": lambda: without_charts(_digest(DigestPeriod.DAILY, _DAY)),
        "weekly": lambda: _digest(DigestPeriod.WEEKLY, _WEEK),
        "first progress": lambda: _progress(is_first=True),
        "later progress": _progress,
        "progress of an ended run": lambda: _progress(has_ended=True),
    }
)
