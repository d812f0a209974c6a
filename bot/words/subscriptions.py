"""Subscriptions to alerts in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bot.words import counts, money, times
from bot.words.markup import Markup
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.alerts.trends.readiness import TrendReadiness

_MANY = 6


def kinds_words(subscription: Subscription, markup: Markup) -> str:
    """The kinds that it tells."""
    chosen = [kind for kind in AlertKind if kind in subscription.chosen_kinds]
    left_out = [kind for kind in AlertKind if kind not in subscription.chosen_kinds]
    if not left_out:
        return "every kind"
    if len(left_out) < _MANY:
        return f"every kind but {_listed(left_out, markup)}"
    return _listed(chosen, markup)


def subscription_words(
    subscription: Subscription, markup: Markup, *, owner: str = "", mention: str = ""
) -> list[str]:
    """What a subscription tells and how, in parts, the kinds first.

    Args:
        subscription: The subscription.
        markup: How names are written.
        owner: The person whose runs it tells, as the surface shows people.
        mention: The one that it mentions, as the surface shows people and groups.
    """
    wanted = subscription.filter
    severity = wanted.least_severity
    zone = markup.inline(subscription.time_zone, 64)
    parts = [kinds_words(subscription, markup)]
    parts += [f"workflow {markup.code(wanted.workflow, 42)}"] if wanted.workflow else []
    parts += [f"repository {markup.code(wanted.repository, 100)}"] if wanted.repository else []
    parts += [f"runs of {owner}"] if owner else []
    if severity is Severity.CRITICAL:
        parts.append("only critical ones")
    elif severity is Severity.WARNING:
        parts.append("warnings and critical ones")
    cost = wanted.least_cost_usd
    parts += [f"runs of {money.dollars(cost)} or more"] if cost is not None else []
    if subscription.pending_for:
        parts.append(f"what has lasted {times.duration(subscription.pending_for)}")
    parts += [f"mentions {mention}"] if mention else []
    parts += ["ends shown in the channel"] if subscription.broadcasts else []
    if subscription.quiet_hours is not None:
        parts.append(f"quiet {subscription.quiet_hours} ({zone})")
    if subscription.digest is not None:
        parts.append(f"{subscription.digest} digest at {subscription.digest_hour}:00 ({zone})")
    if subscription.progress_every is not None:
        parts.append(f"progress every {times.duration(subscription.progress_every)}")
    return parts


def _listed(kinds: list[AlertKind], markup: Markup) -> str:
    return ", ".join(markup.code(kind.value) for kind in kinds)


def too_few_runs_words(
    readiness: Sequence[TrendReadiness], kinds: Collection[AlertKind], markup: Markup
) -> list[str]:
    """Why subscribed trends say nothing yet: a line for each workflow with too few runs.

    Args:
        readiness: How many runs of each workflow there are.
        kinds: The kinds that are subscribed to.
        markup: How names are written.
    """
    lines: list[str] = []
    for one in readiness:
        needs: list[str] = []
        if AlertKind.FAILURE_RATE in kinds and one.missing_for_failure_rate:
            runs = counts.plural(one.missing_for_failure_rate, "more run")
            needs.append(f"{markup.code(AlertKind.FAILURE_RATE, 42)} needs {runs} within 30 days")
        if AlertKind.COST_SPIKE in kinds and one.missing_for_cost_spike:
            runs = counts.plural(one.missing_for_cost_spike, "more run")
            needs.append(f"{markup.code(AlertKind.COST_SPIKE, 42)} needs {runs} with a known cost")
        if needs:
            lines.append(f"{markup.code(one.workflow, 42)}: {', '.join(needs)}")
    return lines
