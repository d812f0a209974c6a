"""Durations, moments, money and tokens, as people read them."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from core.domain.runs.run import CostSource, Usage

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# A live card says how long it has lasted in steps of this many seconds: a message that
# changed every second would use up the workspace's updates.
ELAPSED_STEP = 15


def duration(length: timedelta) -> str:
    """How long: `0.4 s`, `42 s`, `4 min 12 s`, `1 h 03 min`, `2 d 3 h`."""
    seconds = max(length.total_seconds(), 0.0)
    # What would be rounded up to ten seconds is written as ten seconds.
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if whole < _DAY:
        hours, rest = divmod(whole, _HOUR)
        return f"{hours} h {rest // _MINUTE:02} min"
    days, rest = divmod(whole, _DAY)
    return f"{days} d {rest // _HOUR} h"


def elapsed(since: datetime, now: datetime) -> str:
    """How long something has lasted so far, in coarse steps."""
    seconds = max(int((now - since).total_seconds()), 0)
    step = ELAPSED_STEP if seconds < 10 * _MINUTE else _MINUTE
    rounded = seconds - seconds % step
    if rounded == 0:
        return f"under {ELAPSED_STEP} s"
    return duration(timedelta(seconds=rounded))


def time_limit(length: timedelta) -> str:
    """A time limit, as one types it: `90s`, `30m`, `2h`, `1h30m`."""
    whole = round(length.total_seconds())
    hours, rest = divmod(whole, _HOUR)
    minutes, seconds = divmod(rest, _MINUTE)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n]
    return "".join(parts) or "0s"


def date_time(at: datetime) -> str:
    """A day and time in the reader's own zone (mrkdwn), to the minute."""
    return _date(at, "{date_short_pretty} {time}", f"{at:%Y-%m-%d %H:%M} UTC")


def clock_time(at: datetime) -> str:
    """A time of day in the reader's own zone (mrkdwn), to the minute."""
    return _date(at, "{time}", f"{at:%H:%M} UTC")


def money(amount: Decimal) -> str:
    """US dollars with the digits that say something: `$12.40`, `$0.032`, `$0.0045`."""
    if amount == 0:
        return "$0.00"
    size = abs(amount)
    if size < Decimal("0.00005"):
        return "under $0.0001"
    digits = 2 if size >= Decimal("0.1") else 3 if size >= Decimal("0.01") else 4
    rounded = amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return f"${rounded:,}"


def cost(amount: Decimal | None, source: CostSource | None, *, is_live: bool) -> str:
    """A cost and where the figure comes from; what is not known is said, never 0."""
    if amount is None:
        return "not reported yet" if is_live else "not reported"
    if source is None:
        return money(amount)
    return f"{money(amount)} {source.value}"


def compact_count(number: int) -> str:
    """A large number, shortly: `940`, `1.2k`, `35k`, `1.4M`."""
    if number < 1_000:
        return str(number)
    for size, unit in ((1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G")):
        scaled = number / size
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < 999.5:
            return f"{scaled:.0f}{unit}"
    return f"{number / 1_000_000_000:,.0f}G"


def tokens(usage: Usage, *, is_estimated: bool = False) -> str:
    """Tokens in and out, the cache's apart since they are priced apart."""
    cached = usage.cache_read_tokens + usage.cache_creation_tokens
    parts = [f"{compact_count(usage.input_tokens)} in", f"{compact_count(usage.output_tokens)} out"]
    if cached:
        parts.append(f"{compact_count(cached)} cached")
    return ", ".join(parts) + (" (estimated)" if is_estimated else "")


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 file`, `2 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ordinal(number: int) -> str:
    """A place in a row: `1st`, `2nd`, `13th`."""
    if number % 100 in (11, 12, 13):
        return f"{number:,}th"
    return f"{number:,}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def _date(at: datetime, form: str, fallback: str) -> str:
    # Whole minutes: the text stays equal while nothing visible changes.
    seconds = int(at.timestamp()) // _MINUTE * _MINUTE
    return f"<!date^{seconds}^{form}|{fallback}>"
