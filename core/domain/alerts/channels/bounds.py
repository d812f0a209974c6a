"""The bounds of what a subscription may want.  Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

from core.domain.alerts.channels.quiet_hours import require_time_zone
from core.domain.alerts.channels.subscription import (
    MAX_FILTER_CHARS,
    MAX_FOR,
    BadSubscription,
    Subscription,
)
from core.domain.runs.request import MAX_PROGRESS, MIN_PROGRESS

MAX_OWNER_CHARS = 64
MAX_COST = Decimal(1_000_000)
# One mention and nothing else: the text reaches the message as it is.
_MENTION = re.compile(r"<[@!][^<>\s]{1,90}>")


def require_within_bounds(wanted: Subscription) -> None:
    """Check that a subscription can be kept, and means something.

    Raises:
        BadSubscription: If a value is out of bounds.
        BadQuietHours: If there is no such time zone.
    """
    chosen = wanted.filter
    for text, most in ((chosen.repository, MAX_FILTER_CHARS), (chosen.owner, MAX_OWNER_CHARS)):
        if text is not None and not 0 < len(text) <= most:
            raise BadSubscription(
                f"text of {len(text)} characters",
                user_message=f"This filter has 1 to {most} characters.",
            )
    if wanted.mention is not None and not _MENTION.fullmatch(wanted.mention):
        raise BadSubscription(
            f"mention of {len(wanted.mention)} characters",
            user_message="Who is to be mentioned is one person or one user group.",
        )
    if wanted.pending_for is not None and not timedelta(0) <= wanted.pending_for <= MAX_FOR:
        raise BadSubscription(
            f"for {wanted.pending_for}",
            user_message="`for` is a time of at most 24 hours, like 15m.",
        )
    every = wanted.progress_every
    if every is not None and not MIN_PROGRESS <= every <= MAX_PROGRESS:
        raise BadSubscription(
            f"progress every {every}",
            user_message="Progress can be posted every 1 minute to 24 hours.",
        )
    cost = chosen.least_cost_usd
    if cost is not None and not (cost.is_finite() and 0 < cost <= MAX_COST):
        raise BadSubscription(
            f"cost {cost}",
            user_message=f"A cost is more than 0 and at most {MAX_COST:,} US dollars.",
        )
    if wanted.digest_hour not in range(24):
        raise BadSubscription(
            f"digest hour {wanted.digest_hour}",
            user_message="A digest comes at a full hour, from 0 to 23.",
        )
    require_time_zone(wanted.time_zone)
