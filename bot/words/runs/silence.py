"""Words about a run of which nothing was heard for a while: how long, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from bot.words import times
from bot.words.markup import Markup
from core.domain.runs.awaited import Awaited, AwaitedKind
from core.domain.runs.snapshot import RunSnapshot

# Shorter silences are part of the work.
SILENT_AFTER = timedelta(minutes=1)
# From here on a card says so visibly; the same time after which an idle run counts as stalled.
WORRYING_AFTER = timedelta(minutes=5)
_NAME_LIMIT = 120

# What is waited for; `{name}` is the tool call, or the reason of a retry.
AWAITED_WORDS: Mapping[AwaitedKind, str] = MappingProxyType(
    {
        AwaitedKind.WORKSPACE: "its workspace is being prepared",
        AwaitedKind.PROGRAM: "the agent program is starting",
        AwaitedKind.MODEL: "the model has not answered yet",
        AwaitedKind.RETRY: "the model is asked again after an error ({name})",
        AwaitedKind.TOOL: "{name} is still running",
    }
)


def silence_words(snapshot: RunSnapshot, now: datetime, markup: Markup) -> str:
    """How long nothing was heard of a running run, and what it waits for.

    Empty for a run of which something was heard within the last minute, that waits for a person,
    that is being stopped, or that does not run.  The time is given in whole minutes.
    """
    run, awaited = snapshot.run, snapshot.awaited
    if awaited is None or run.waiting_on is not None or run.kill_requested_at is not None:
        return ""
    silent = now - awaited.heard_at
    if silent < SILENT_AFTER:
        return ""
    minutes = timedelta(minutes=silent // timedelta(minutes=1))
    icon = "⚠️" if silent >= WORRYING_AFTER else "⏳"
    return f"{icon} Nothing heard for {times.duration(minutes)}: {_awaited(awaited, markup)}."


def _awaited(awaited: Awaited, markup: Markup) -> str:
    name = awaited.name or "a tool call"
    shown = (
        markup.code(name, _NAME_LIMIT)
        if awaited.kind is AwaitedKind.TOOL
        else markup.inline(name, _NAME_LIMIT)
    )
    return AWAITED_WORDS[awaited.kind].format(name=shown)
