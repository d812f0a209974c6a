"""When digests are due: at an hour of a time zone, each day or each Monday.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from core.domain.alerts.channels.subscription import DigestPeriod, Subscription

# A bot that was down makes up for the newest digest if it is not later than this.
MAX_LATENESS = timedelta(hours=12)
_LENGTHS = {DigestPeriod.DAILY: timedelta(days=1), DigestPeriod.WEEKLY: timedelta(days=7)}
_LONGER = timedelta(days=2)
_EXPRESSIONS = {DigestPeriod.DAILY: "0 {hour} * * *", DigestPeriod.WEEKLY: "0 {hour} * * 1"}


@dataclass(frozen=True, kw_only=True)
class DueDigest:
    """A digest that is to be written now.

    Attributes:
        before: The beginning of the period with which it is compared.
        since: Its own beginning, inclusive, which is when the one before was due.
        until: Its end, exclusive, which is when it was due.
        skipped: How many digests before it were due and not written.
    """

    before: datetime
    since: datetime
    until: datetime
    skipped: int


def due_digest(
    subscription: Subscription, *, last: datetime | None, now: datetime
) -> DueDigest | None:
    """The digest of a subscription that is to be written now; `None` if there is none.

    The first one is due after the subscription was made or changed.

    Args:
        subscription: A subscription with a digest.
        last: Until when its newest digest goes; `None` if it has none.
        now: The present time.
    """
    if subscription.digest is None:
        return None
    length = _LENGTHS[subscription.digest]
    changed_at = subscription.updated_at or subscription.created_at
    known = changed_at if last is None else max(last, changed_at)
    # Two periods before the newest, however the clocks change between them.
    first = min(known, now - 2 * length) - length - _LONGER
    due = list(takewhile(lambda at: at <= now, _times(subscription, first)))
    if len(due) < 3 or due[-1] <= known or now - due[-1] > MAX_LATENESS:
        return None
    return DueDigest(
        before=due[-3],
        since=due[-2],
        until=due[-1],
        skipped=sum(before > known for before, _ in pairwise(due)),
    )


def _times(subscription: Subscription, after: datetime) -> Iterator[datetime]:
    """All times at which it is due after a time, in UTC.

    In spring an hour that a day does not have comes when the clocks have changed; in autumn one
    that a day has twice comes once.
    """
    period = subscription.digest or DigestPeriod.DAILY
    expression = _EXPRESSIONS[period].format(hour=subscription.digest_hour)
    local = after.astimezone(ZoneInfo(subscription.time_zone))
    for at in CronSim(expression, local):
        yield at.astimezone(UTC)
