"""Times in mrkdwn, which Slack shows in each reader's own time zone."""

from datetime import datetime

from bot.words import times

_MINUTE = 60


def date_time(at: datetime) -> str:
    """A date and time in the reader's time zone, to the minute."""
    return _date(at, "{date_short_pretty} {time}", times.utc_date_time(at))


def clock_time(at: datetime) -> str:
    """A time of day in the reader's time zone, to the minute."""
    return _date(at, "{time}", times.utc_clock_time(at))


def _date(at: datetime, form: str, fallback: str) -> str:
    # Whole minutes, so that the text changes only when the reader sees a change.
    seconds = int(at.timestamp()) // _MINUTE * _MINUTE
    return f"<!date^{seconds}^{form}|{fallback}>"
