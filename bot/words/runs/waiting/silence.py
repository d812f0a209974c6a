"""Words about a run of which nothing was heard for a while: how long, and what it waits for."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.words import times
from bot.words.markup import Markup
from bot.words.runs.waiting.awaited import awaited_phrase
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.snapshot import RunSnapshot

# Shorter silences are part of the work.
SILENT_AFTER = timedelta(minutes=1)
# From here on a card says so visibly; the same time after which an idle run usually counts as
# stalled.
WORRYING_AFTER = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)
# Programs are looked at while these are waited for.
_WATCHED_KINDS = frozenset({AwaitedKind.WORKSPACE, AwaitedKind.TOOL})


def silence_of(snapshot: RunSnapshot, now: datetime) -> timedelta | None:
    """How long nothing was heard of a running run, in whole minutes.

    `None` for a run of which something was heard within the last minute, that waits for a person,
    that is being stopped, or that does not run.
    """
    run, awaited = snapshot.run, snapshot.awaited
    if awaited is None or run.waiting_on is not None or run.kill_requested_at is not None:
        return None
    silent = now - awaited.heard_at
    return None if silent < SILENT_AFTER else _minutes(silent)


def silence_title(silence: timedelta) -> str:
    """A silence as a title, plain text: `Nothing heard for 9 min`."""
    return f"Nothing heard for {times.duration(silence)}"


def is_worrying(snapshot: RunSnapshot, now: datetime) -> bool:
    """Whether a running run is silent for long, and its programs do nothing either."""
    awaited, silence = snapshot.awaited, silence_of(snapshot, now)
    if awaited is None or silence is None:
        return False
    return min(silence, now - awaited.life_at) >= WORRYING_AFTER


def awaited_words(snapshot: RunSnapshot, markup: Markup) -> str:
    """What a running run waits for; empty for one that does not run."""
    awaited = snapshot.awaited
    return "" if awaited is None else _what(awaited, markup)


def waiting_words(
    awaited: Awaited, now: datetime, markup: Markup, *, told: timedelta | None = None
) -> str:
    """What a run waits for, for how long, and what its programs do, in one sentence.

    `make test is still running (11 min); its output grew 2 min ago`, or `…, but has used no
    processor and written nothing for 6 min`.

    Args:
        awaited: What it waits for.
        now: The present time.
        markup: Of the surface.
        told: A duration that stands beside it already, and is not said twice.
    """
    words, waited = _what(awaited, markup), _minutes(now - awaited.since)
    if awaited.kind is AwaitedKind.TOOL and waited >= SILENT_AFTER and waited != told:
        words += f" ({times.duration(waited)})"
    return words + _life(awaited, now)


def _what(awaited: Awaited, markup: Markup) -> str:
    return awaited_phrase(awaited.kind, awaited.name, markup)


def _life(awaited: Awaited, now: datetime) -> str:
    """What is known of the programs that are waited for; empty if nothing is yet."""
    if awaited.watched_since is None or awaited.kind not in _WATCHED_KINDS:
        return ""
    signs = [sign for sign in (awaited.output_at, awaited.busy_at) if sign is not None]
    is_of_git = awaited.kind is AwaitedKind.WORKSPACE
    quiet = now - max([awaited.watched_since, *signs])
    if signs and quiet < WORRYING_AFTER:
        if is_of_git:
            return f"; git was at work {_ago(quiet)}"
        if awaited.output_at is not None and awaited.output_at > max(signs) - _MINUTE:
            return f"; its output grew {_ago(now - awaited.output_at)}"
        return f"; it used the processor {_ago(quiet)}"
    if quiet < SILENT_AFTER:
        return ""
    nothing = "used no processor"
    if is_of_git:
        nothing = "done nothing"
    elif awaited.is_output_known:
        nothing += " and written nothing"
    subject = "git has" if is_of_git else "has"
    return f", but {subject} {nothing} for {times.duration(_minutes(quiet))}"


def _ago(length: timedelta) -> str:
    whole = _minutes(length)
    return f"{times.duration(whole)} ago" if whole else "less than a minute ago"


def _minutes(length: timedelta) -> timedelta:
    return length // _MINUTE * _MINUTE
