"""The private answer to `alerts test`: an example alert, as the channel would see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import dates
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import KIND_RULES, AlertKind, Severity


def example_answer(
    head: Message, example: Episode, subscriptions: Sequence[Subscription], *, now: datetime
) -> Message:
    """An example alert, with what it is and whether the channel would get it now.

    Args:
        head: The message as the view of alerts draws it.
        example: The alert in it.
        subscriptions: Those of the channel.
        now: The present time.
    """
    kind = example.kind
    lead = (
        f"*Example* of `{kind}`: {KIND_RULES[kind].meaning}. All of it is made up, and only you "
        "see it."
    )
    others = ", ".join(f"`{one}`" for one in AlertKind if one is not kind)
    drawn: list[Block] = [
        blocks.section(lead),
        blocks.divider(),
        *head.blocks,
        blocks.divider(),
        blocks.section(_verdict(example, subscriptions, now)),
        blocks.context(f"`/workflow alerts test <kind>` shows another kind: {others}."),
    ]
    return Message(text=f"Example: {head.text}", blocks=tuple(drawn))


def _verdict(example: Episode, subscriptions: Sequence[Subscription], now: datetime) -> str:
    """Whether the channel would get the alert now."""
    telling = [
        (number, one)
        for number, one in enumerate(subscriptions, 1)
        if example.kind in one.chosen_kinds
    ]
    if not telling:
        return (
            f"This channel would *not* get it: no subscription here tells `{example.kind}`. "
            f"`/workflow alerts subscribe {example.kind}` adds one."
        )
    which = " and ".join(f"number {number}" for number, _ in telling)
    lead = f"This channel is subscribed to `{example.kind}` ({which})"
    awake = [one for _, one in telling if not one.is_muted(now)]
    if not awake:
        until = max((one.muted_until for _, one in telling if one.muted_until), default=now)
        return (
            f"{lead}, but muted until {dates.date_time(until)}: it would be told "
            "then, if it is still open. `/workflow alerts mute off` ends the mute."
        )
    ends = [one.quiet_hours.ends_at(now) if one.quiet_hours else None for one in awake]
    is_held = example.severity < Severity.CRITICAL and all(end is not None for end in ends)
    until = min((end for end in ends if end is not None), default=now)
    if is_held:
        return f"{lead}. In its quiet hours now, it would come at {dates.date_time(until)}."
    filters = " if it passes the filters" if any(_has_filter(one) for one in awake) else ""
    return f"{lead}: it would come at once{filters}."


def _has_filter(subscription: Subscription) -> bool:
    wanted = subscription.filter
    restrictions = (
        wanted.workflow,
        wanted.repository,
        wanted.owner,
        wanted.least_severity,
        wanted.least_cost_usd,
        subscription.pending_for,
    )
    return any(one is not None for one in restrictions)
