"""What a subscription wants: checked before it is kept, and compared with others."""

from __future__ import annotations

from dataclasses import replace

from core.agent.definitions.catalog import Catalog
from core.domain.alerts.channels.bounds import require_within_bounds
from core.domain.alerts.channels.subscription import Subscription

_OWN = (
    "team_id", "channel_id", "kinds", "filter", "pending_for", "mention", "broadcasts",
    "time_zone", "quiet_hours", "digest", "digest_hour", "progress_every",
)  # fmt: skip


def checked(catalog: Catalog, wanted: Subscription) -> Subscription:
    """The subscription with the workflow's real name, if all values are within bounds.

    Raises:
        BadSubscription: If a value is out of bounds.
        BadQuietHours: If there is no such time zone.
        UnknownWorkflow: If it names an unknown workflow.
    """
    chosen = wanted.filter
    if chosen.workflow is not None:
        chosen = replace(chosen, workflow=catalog.get(chosen.workflow).name)
    require_within_bounds(wanted)
    quiet = wanted.quiet_hours
    if quiet is not None:
        quiet = replace(quiet, time_zone=wanted.time_zone)
    return replace(wanted, filter=chosen, quiet_hours=quiet)


def is_same(one: Subscription, other: Subscription) -> bool:
    """Whether two subscriptions want the same; their ids, authors and times do not count."""
    return all(getattr(one, name) == getattr(other, name) for name in _OWN)
