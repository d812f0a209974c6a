"""Moments in mrkdwn: each reader sees them in a zone of their own."""

from datetime import datetime

from bot.words import times

_MINUTE = 60


def date_time(at: datetime) -> str:
    """A day and time in the reader's own zone, to the minute."""
    return _date(at, "{date_short_pretty} {time}", times.utc_date_time(at))


def clock_time(at: datetime) -> str:
    """A time of day in the reader's own zone, to the minute."""
    return _date(at, "{time}", times.utc_clock_time(at))


def _date(at: datetime, form: str, fallback: str) -> str:
    # Whole minutes: the text stays equal while nothing visible changes.
    seconds = int(at.timestamp()) // _MINUTE * _MINUTE
    return f"<!date^{seconds}^{form}|{fallback}>"
