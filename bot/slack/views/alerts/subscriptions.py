"""Subscriptions of a channel: the list, and what was done to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import dates, ids, text
from bot.slack.commands.alerts.readers import Given, parse_mention
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.words import counts
from bot.words.subscriptions import subscription_words, too_few_runs_words
from core.domain.actor import Actor
from core.domain.alerts.channels.subscription import Source, Subscription
from core.domain.alerts.trends.readiness import TrendReadiness

_HELP = (
    "`/workflow alerts subscribe` adds one, `mute 2h` silences this channel, `unsubscribe 1` ends "
    "the first, `test stalled` shows what comes."
)
_LINES_LIMIT = 6500
_SILENT_LIMIT = 1000


def subscription_line(subscription: Subscription) -> str:
    """What a subscription tells and how, on one line; seen in private only, so it mentions."""
    return " · ".join(_parts(subscription, mention=_mention(subscription.mention)))


def subscription_list_message(
    subscriptions: Sequence[Subscription],
    *,
    now: datetime,
    question: str | None = None,
    readiness: Sequence[TrendReadiness] = (),
) -> Message:
    """`alerts list`: a row for each subscription, with a button.

    Args:
        subscriptions: Those of the channel, oldest first.
        now: The present time.
        question: Which of them is asked for; then the buttons end one instead of changing it.
        readiness: Whether there are enough runs for trends, which say nothing otherwise.
    """
    count = counts.plural(len(subscriptions), "subscription")
    lead = question or f"*This channel has {count} to alerts*"
    lines = blocks.fit_lines(
        [_row(number, one) for number, one in enumerate(subscriptions, 1)], _LINES_LIMIT
    )
    drawn: list[Block] = [blocks.section(lead), *_muted(subscriptions, now)]
    for number, line in enumerate(lines):
        shown = subscriptions[number] if number < len(subscriptions) else None
        if shown is None or line.startswith("_+") or shown.source is Source.CONFIG:
            drawn.append(blocks.section(line))
        else:
            drawn.append(blocks.section_with(line, _button(shown, ends=question is not None)))
    kinds = {kind for one in subscriptions for kind in one.chosen_kinds}
    silent = too_few_runs_words(readiness, kinds, MRKDWN)
    if silent:
        told = blocks.fit_lines(silent, _SILENT_LIMIT)
        drawn.append(blocks.context("Too few runs to compare yet. " + "; ".join(told) + "."))
    drawn.append(blocks.context(_HELP))
    return Message(text=lead.replace("*", ""), blocks=tuple(drawn))


def no_subscription_message() -> Message:
    """The answer where a channel has no subscription."""
    return _message(
        "This channel has no subscription to alerts: nothing is told here. "
        "`/workflow alerts subscribe` asks what to tell; `/workflow alerts subscribe usual` takes "
        "all that a person should act on."
    )


def no_form_message(subscription: Subscription | None) -> Message:
    """The answer where no form can be opened, such as to a mention."""
    example = (
        "`/workflow alerts subscribe failed stalled mention=@oncall quiet=22:00-07:00`"
        if subscription is None
        else "`/workflow alerts edit`"
    )
    return _message(
        "No form can be opened from here. Type it in the channel itself, for example "
        f"{example}; `/workflow help alerts` explains it."
    )


def subscribed_message(subscription: Subscription, *, number: int, is_new: bool) -> Message:
    """The private answer to a subscription."""
    lead = (
        f"Subscribed (number {number})."
        if is_new
        else f"This channel has exactly that subscription already: it is number {number}."
    )
    return _message(
        f"{lead} It tells {subscription_line(subscription)}.",
        "`/workflow alerts test` shows what comes, `/workflow alerts edit "
        f"{number}` changes it, `/workflow alerts unsubscribe {number}` ends it.",
    )


def changed_message(subscription: Subscription) -> Message:
    """The private answer to a change."""
    return _message(f"Changed. It tells {subscription_line(subscription)}.")


def muted_message(subscriptions: Sequence[Subscription]) -> Message:
    """The private answer to a mute, or to its end."""
    until = subscriptions[0].muted_until
    count = counts.plural(len(subscriptions), "subscription")
    if until is None:
        return _message(f"Alerts are told here again ({count}).")
    return _message(
        f"Muted until {dates.date_time(until)} ({count}): nobody is told here, not even of "
        "critical alerts. What is open at its end is told then. `/workflow alerts mute off` ends "
        "it now."
    )


def unsubscribed_message(ended: Sequence[Subscription], *, left: Sequence[Subscription]) -> Message:
    """The private answer to the end of subscriptions."""
    if not ended:
        lead = "Nothing was ended."
    else:
        lead = f"Ended {counts.plural(len(ended), 'subscription')}:"
    rest = (
        f"{counts.plural(len(left), 'subscription')} left here."
        if left
        else "No alerts are told here any more."
    )
    fixed = sum(one.source is Source.CONFIG for one in left)
    note = f" {fixed} of them in `signalbox.toml`, to be ended there." if fixed else ""
    lines = blocks.fit_lines([subscription_line(one) for one in ended], _LINES_LIMIT)
    return Message(
        text=f"{lead} {rest}",
        blocks=(*blocks.paragraphs([lead, *lines]), blocks.context(rest + note)),
    )


def public_line(words: str, actor: Actor) -> Message:
    """What everybody in the channel sees of a change: who, and `words`, which are escaped."""
    person = text.person(actor.external_id, actor.name)
    line = f"🔔 {person} {words}"
    return Message(text=line, blocks=(blocks.context(line),))


def public_subscription_words(subscription: Subscription) -> str:
    """What a subscription tells, for everybody: it calls nobody."""
    mention = subscription.mention or ""
    named = "a user group" if mention.startswith("<!") else "a person" if mention else ""
    return " · ".join(_parts(subscription, mention=named))


def _parts(subscription: Subscription, *, mention: str) -> list[str]:
    owner = subscription.filter.owner
    return subscription_words(
        subscription, MRKDWN, owner=text.person(owner, owner) if owner else "", mention=mention
    )


def _mention(mention: str | None) -> str:
    """A mention in Slack's form as it is; anything else as text."""
    read = parse_mention(Given(text="", raw=mention)) if mention else None
    return read if read is not None and read.startswith("<") else text.escape(mention or "")


def _row(number: int, subscription: Subscription) -> str:
    if subscription.source is Source.CONFIG:
        by = "kept in `signalbox.toml`, changed there"
    else:
        name = text.one_line(subscription.created_by or "somebody", 80)
        by = f"by {name}, {dates.date_time(subscription.created_at)}"
    return f"*{number}* · {subscription_line(subscription)}\n_{by}_"


def _button(subscription: Subscription, *, ends: bool) -> Block:
    if ends:
        return blocks.button(
            "Unsubscribe", action_id=ids.UNSUBSCRIBE_ALERTS, value=str(subscription.id)
        )
    return blocks.button("Edit…", action_id=ids.EDIT_ALERTS, value=str(subscription.id))


def _muted(subscriptions: Sequence[Subscription], now: datetime) -> list[Block]:
    muted = [one for one in subscriptions if one.is_muted(now)]
    until = max((one.muted_until for one in muted if one.muted_until), default=None)
    if until is None:
        return []
    by = text.one_line(muted[0].muted_by or "somebody", 80)
    which = "Muted" if len(muted) == len(subscriptions) else f"{len(muted)} muted"
    words = (
        f"🔕 *{which} until {dates.date_time(until)}* by {by}: nobody is told. "
        "`/workflow alerts mute off` ends it."
    )
    return [blocks.section(words)]


def _message(words: str, more: str | None = None) -> Message:
    small: tuple[Block, ...] = () if more is None else (blocks.context(more),)
    return Message(text=words, blocks=(blocks.section(words), *small))
