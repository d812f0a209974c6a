"""Words about a run of which nothing was heard for a while: how long, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from bot.words import times
from bot.words.markup import Markup
from core.domain.runs.awaited import AwaitedKind
from core.domain.runs.snapshot import RunSnapshot

# Shorter silences are part of the work.
SILENT_AFTER = timedelta(minutes=1)
# From here on a card says so visibly; the same time after which an idle run counts as stalled.
WORRYING_AFTER = timedelta(minutes=5)
_NAME_LIMIT = 120
_MINUTE = timedelta(minutes=1)

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


def silence_of(snapshot: RunSnapshot, now: datetime) -> timedelta | None:
    """How long nothing was heard of a running run, in whole minutes.

    `None` for a run of which something was heard within the last minute, that waits for a person,
    that is being stopped, or that does not run.
    """
    run, awaited = snapshot.run, snapshot.awaited
    if awaited is None or run.waiting_on is not None or run.kill_requested_at is not None:
        return None
    silent = now - awaited.heard_at
    return None if silent < SILENT_AFTER else silent // _MINUTE * _MINUTE


def silence_title(silence: timedelta) -> str:
    """A silence as a title, plain text: `Nothing heard for 9 min`."""
    return f"Nothing heard for {times.duration(silence)}"


def awaited_words(snapshot: RunSnapshot, markup: Markup) -> str:
    """What a running run waits for; empty for one that does not run."""
    awaited = snapshot.awaited
    if awaited is None:
        return ""
    name = awaited.name or "a tool call"
    shown = (
        markup.code(name, _NAME_LIMIT)
        if awaited.kind is AwaitedKind.TOOL
        else markup.inline(name, _NAME_LIMIT)
    )
    return AWAITED_WORDS[awaited.kind].format(name=shown)
