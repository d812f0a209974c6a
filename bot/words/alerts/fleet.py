"""Sentences of evidence about workers, the queue, kills and Slack."""

from __future__ import annotations

from bot.words import counts
from bot.words.alerts.figures import rough_plural
from bot.words.alerts.telling import Telling

_NAME_LIMIT = 60


def worker_lost(told: Telling) -> str:
    """Since when a worker is silent, and what it was executing."""
    evidence, markup = told.evidence, told.markup
    heard = evidence.time("last_heard_at") or told.alert.opened_at
    machine = evidence.text("machine")
    where = f" on {markup.code(machine, _NAME_LIMIT)}" if machine is not None else ""
    runs = evidence.count("live_runs") or 0
    are = told.verb("is", "was") if runs == 1 else told.verb("are", "were")
    has_runs = f"; {counts.plural(runs, 'run')} {are} still assigned to it" if runs else ""
    return (
        f"the worker{where} was last heard of at {told.at(heard)}{told.so_far(heard, ' ago')}"
        f"{has_runs}"
    )


def no_worker(told: Telling) -> str:
    """How many runs wait, and since when there is no worker."""
    pending = told.evidence.count("pending") or 0
    heard = told.evidence.time("last_heard_at")
    waiting = f"{_waiting(told, pending)}, and " if pending else ""
    if heard is None:
        since = told.alert.opened_at
        has = told.verb("has been", "was")
        return f"{waiting}no worker {has} started since {told.at(since)}{told.so_far(since)}"
    return f"{waiting}no worker was heard of since {told.at(heard)}{told.so_far(heard)}"


def kill_unconfirmed(told: Telling) -> str:
    """Which proof of a kill is missing."""
    survivors, machine = told.evidence.count("survivors"), told.evidence.text("machine")
    where = f" on {told.markup.code(machine, _NAME_LIMIT)}" if machine is not None else ""
    since = told.alert.opened_at
    asked = f"the kill was requested at {told.at(since)}{told.so_far(since, ' ago')}"
    if survivors:
        alive = told.verb("is", "was") if survivors == 1 else told.verb("are", "were")
        processes = counts.plural(survivors, "process", "processes")
        return f"{asked}, and {processes}{where} {alive} still alive"
    return f"{asked}, and no worker {told.verb('can', 'could')} check its machine{where}"


def queue_backlog(told: Telling) -> str:
    """How many runs wait, and for how long."""
    pending = told.evidence.count("pending") or 0
    oldest = told.evidence.time("oldest_at") or told.alert.opened_at
    return (
        f"{_waiting(told, pending)} for a free slot, the oldest since {told.at(oldest)}"
        f"{told.so_far(oldest)}"
    )


def slack_trouble(told: Telling) -> str:
    """How far what Slack shows is behind."""
    outdated, refused = told.evidence.count("outdated") or 0, told.evidence.count("refused")
    since = told.alert.opened_at
    behind = rough_plural(
        outdated,
        told.verb("message is behind", "message was behind"),
        told.verb("messages are behind", "messages were behind"),
    )
    gone = f"; {counts.plural(refused, 'message')} refused for good today" if refused else ""
    return f"{behind} since {told.at(since)}{told.so_far(since)}{gone}"


def _waiting(told: Telling, pending: int) -> str:
    return rough_plural(
        pending, told.verb("run waits", "run waited"), told.verb("runs wait", "runs waited")
    )
