"""When people are back at work, for snoozes that last until then.  Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from core.domain.alerts.channels.quiet_hours import require_time_zone

MORNING = time(9)
# Somebody who snoozes at 8:30 means the next day.
_LEAST = timedelta(hours=1)


def next_morning(now: datetime, *, time_zone: str) -> datetime:
    """The next 9:00 in a time zone that is at least an hour away, in the zone of `now`.

    Raises:
        BadQuietHours: If there is no such time zone.
    """
    zone = require_time_zone(time_zone)
    day = now.astimezone(zone).date()
    while True:
        morning = datetime.combine(day, MORNING, tzinfo=zone).astimezone(now.tzinfo)
        if morning - now >= _LEAST:
            return morning
        day += timedelta(days=1)
