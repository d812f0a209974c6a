"""Notices about a run that need no action: retries, limits, lost workers, carried work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.words.failures.retries import retry_lines
from bot.words.markup import Markup
from bot.words.restarts import put_back_lines
from bot.words.runs.failures import FAILURES, cause_words
from bot.words.runs.work.carried_work import not_carried_lines, restored_lines
from core.domain.failure_cause import FailureCause
from core.domain.fleet.attempt import node_of
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.snapshot import RunSnapshot

# The agent program retries automatically; one or two retries are not worth a notice.
_MIN_RETRIES_SHOWN = 3
_REQUEUES_SHOWN = 5
_LAST_HEARD_KEY = "last_heard_at"
_USAGE_LIMIT_TEXTS: Mapping[str, str] = {
    "rejected": "The Claude account's usage limit is reached. If the run stops for it, it can be "
    "continued later.",
    "allowed_warning": "The Claude account comes close to its usage limit. If it is reached, the "
    "run stops and can be continued later.",
}


def notice_lines(snapshot: RunSnapshot, markup: Markup) -> list[str]:
    """The notices of a run; frequent events share one line."""
    lines = _retries(_events_of(snapshot, EventKind.API_RETRY), markup)
    lines += _limits(_events_of(snapshot, EventKind.RATE_LIMIT), markup)
    lines += _servers(_events_of(snapshot, EventKind.MCP_SERVER_FAILED), markup)
    lines += retry_lines(snapshot.run, markup)
    lines += _requeues(_events_of(snapshot, EventKind.RUN_REQUEUED), markup)
    starts = _events_of(snapshot, EventKind.RUN_STARTED)
    lines += _losses(_events_of(snapshot, EventKind.WORKER_LOST), starts, markup)
    lines += restored_lines(_events_of(snapshot, EventKind.WORK_RESTORED), markup)
    lines += put_back_lines(_events_of(snapshot, EventKind.CHECKPOINT_RESTORED), markup)
    lines += not_carried_lines(_events_of(snapshot, EventKind.WORK_CARRIED), markup)
    return lines


def _events_of(snapshot: RunSnapshot, kind: EventKind) -> list[EventRecord]:
    return [notice for notice in snapshot.notices if notice.kind is kind]


def _retries(events: Sequence[EventRecord], markup: Markup) -> list[str]:
    if len(events) < _MIN_RETRIES_SHOWN:
        return []
    last = events[-1]
    error = markup.inline(str(last.data.get("error") or "no answer"), 160)
    words = cause_words(last.data.get("cause")) or FAILURES[FailureCause.API_FAILED]
    line = (
        f"🔁 {words.nameless or words.title} ({len(events)} calls, last at "
        f"{markup.clock_time(last.at)}: {error}). The agent tries again automatically"
    )
    if words.is_passing:
        return [f"{line}; nothing to do unless it lasts long."]
    return [f"{line}, but this does not pass. {words.remedy}"]


def _limits(events: Sequence[EventRecord], markup: Markup) -> list[str]:
    warned = [event for event in events if str(event.data.get("status")) in _USAGE_LIMIT_TEXTS]
    if not warned:
        return []
    last = warned[-1]
    words = _USAGE_LIMIT_TEXTS[str(last.data["status"])]
    at = _moment(last.data.get("resets_at"))
    reset = f" The limit resets {markup.date_time(at)}." if at is not None else ""
    return [f"⏳ {words}{reset}"]


def _servers(events: Sequence[EventRecord], markup: Markup) -> list[str]:
    """MCP servers that did not connect, each once."""
    reasons = {str(event.data.get("name")): event.data.get("reason") for event in events}
    return [
        f"🔌 The MCP server {markup.code(name, 60)} did not connect "
        f"({markup.inline(str(reason), 200)}), so the agent works without its tools. "
        f"{markup.code('signalbox doctor')} on the worker tries it again."
        for name, reason in reasons.items()
    ]


def _losses(
    events: Sequence[EventRecord], starts: Sequence[EventRecord], markup: Markup
) -> list[str]:
    """Lost workers, and where the run continued; a run that failed for it shows that at its end."""
    lines = []
    for event in events:
        if not event.data.get("resumes"):
            continue
        lost, heard = (
            markup.code(str(event.data.get("node")), 60),
            _moment(event.data.get(_LAST_HEARD_KEY)),
        )
        since = f" (last heartbeat at {markup.clock_time(heard)})" if heard is not None else ""
        start = next((one for one in starts if one.at >= event.at), None)
        where = (
            "It continues elsewhere as soon as a worker has a free slot"
            if start is None
            else f"It continues on {markup.code(node_of(str(start.data.get('worker'))), 60)}"
        )
        lines.append(
            f"⚠️ {markup.clock_time(event.at)}: worker {lost} was lost{since}. {where}, from its "
            "conversation and its newest stored work; nothing to do."
        )
    return lines


def _requeues(all_events: Sequence[EventRecord], markup: Markup) -> list[str]:
    # Lost workers and retries have lines of their own.
    events = [
        event for event in all_events if not (event.data.get("lost") or event.data.get("retry"))
    ]
    lines = [
        f"↪️ {markup.clock_time(event.at)}: back in the queue, {_requeue_reason(event, markup)}. "
        "It continues automatically where it was; nothing to do."
        for event in events[-_REQUEUES_SHOWN:]
    ]
    earlier = len(events) - len(lines)
    return [f"↪️ {earlier} times before that as well.", *lines] if earlier else lines


def _requeue_reason(event: EventRecord, markup: Markup) -> str:
    why = event.data.get("why")
    return markup.inline(why, 160).rstrip(".") if isinstance(why, str) and why else "worker lost"


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
