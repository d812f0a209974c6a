"""A subscription written as the command that makes it, to be typed again elsewhere."""

from __future__ import annotations

from bot.slack.commands.command import Subcommand
from bot.words.times import time_limit
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.kinds import AlertKind


def subscribe_command_text(subscription: Subscription) -> str:
    """The text after `/workflow`.  A person or a group in it is in Slack's form."""
    wanted = subscription.filter
    severity = wanted.least_severity
    words: list[str] = [Subcommand.ALERTS, "subscribe", *_kinds(subscription)]
    words += [f"workflow={wanted.workflow}"] if wanted.workflow else []
    words += [f"repo={wanted.repository}"] if wanted.repository else []
    words += [f"owner={wanted.owner}"] if wanted.owner else []
    words += [f"severity>={severity.name.lower()}"] if severity is not None else []
    words += [f"cost>={wanted.least_cost_usd:f}"] if wanted.least_cost_usd is not None else []
    words += [f"for={time_limit(subscription.pending_for)}"] if subscription.pending_for else []
    words += [f"mention={subscription.mention}"] if subscription.mention else []
    words += [f"quiet={subscription.quiet_hours}"] if subscription.quiet_hours else []
    words += [f"tz={subscription.time_zone}"] if _uses_time_zone(subscription) else []
    if subscription.digest is not None:
        words += [f"digest={subscription.digest}", f"at={subscription.digest_hour}"]
    every = subscription.progress_every
    words += [f"progress={time_limit(every)}"] if every is not None else []
    words += ["broadcast=on"] if subscription.broadcasts else []
    return " ".join(words)


def _kinds(subscription: Subscription) -> list[str]:
    if not subscription.kinds:
        return ["usual"]
    if subscription.kinds == frozenset(AlertKind):
        return ["all"]
    return [kind.value for kind in AlertKind if kind in subscription.kinds]


def _uses_time_zone(subscription: Subscription) -> bool:
    return subscription.quiet_hours is not None or subscription.digest is not None
