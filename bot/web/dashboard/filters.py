"""What templates can do with values: the words of every surface, and times that go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from bot.web.dashboard.charts.inline import sparkline_of, with_bar_lengths
from bot.web.dashboard.icons import icon
from bot.web.dashboard.markdown import markdown
from bot.web.dashboard.shown_texts import shown_line, shown_text
from bot.words.money import dollars
from bot.words.times import duration, utc_date_time
from core.domain.actor import REQUIRED_ROLES, Action, Role
from core.domain.runs.run import Run

_KILO = 1000
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def when(at: datetime | None) -> Markup:
    """A moment; the page's script shows how long ago it was, and its own time zone."""
    if at is None:
        return Markup("")
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc_date_time(utc)
    )


def since(at: datetime | None) -> Markup:
    """How long something has lasted that began then; the page's script lets it go on."""
    if at is None:
        return Markup("")
    utc = at.astimezone(UTC)
    return Markup('<time data-since datetime="{}">since {}</time>').format(
        utc.isoformat(timespec="milliseconds"), utc_date_time(utc)
    )


def seconds(length: float | timedelta | None) -> str:
    """A duration in words, given in seconds; empty if it is unknown."""
    if length is None:
        return ""
    whole = length if isinstance(length, timedelta) else timedelta(seconds=length)
    return duration(whole)


def usd(amount: Decimal | float | None) -> str:
    """US dollars; empty if they are unknown."""
    if amount is None:
        return ""
    return dollars(amount if isinstance(amount, Decimal) else Decimal(str(amount)))


def number(value: float | None) -> str:
    """A number with thin spaces between its thousands; empty if it is unknown."""
    return "" if value is None else f"{value:,}".replace(",", "\u202f")


def size(count: float | None) -> str:
    """A number of bytes: `0 B`, `1.4 MB`; empty if it is unknown."""
    if count is None:
        return ""
    value, unit = float(count), 0
    while value >= _KILO and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / _KILO, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {_BYTE_UNITS[unit]}"


def lines(text: str | None) -> Markup:
    """A text of several lines."""
    return Markup("<br>").join(escape(text or "").split("\n"))


def url_part(text: object) -> str:
    """A text as one part of a path or as a value of a query."""
    return quote(str(text), safe="")


def may(viewer: Any, action: str, run: Run | None = None) -> bool:
    """Whether a viewer may do this, to a run if it is about one; see `is_allowed`."""
    role: Role = viewer.role
    needed = REQUIRED_ROLES[Action(action)]
    if run is None or role >= Role.OPERATOR:
        return role >= needed
    return role >= Role.RUNNER and viewer.user_id is not None and viewer.user_id == run.user_id


FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "when": when,
        "since": since,
        "seconds": seconds,
        "usd": usd,
        "number": number,
        "size": size,
        "lines": lines,
        "shown": shown_text,
        "line": shown_line,
        "url_part": url_part,
        "markdown": markdown,
        "sparkline_shape": sparkline_of,
        "with_bar_lengths": with_bar_lengths,
    }
)
GLOBALS: Mapping[str, Callable[..., Any]] = MappingProxyType({"icon": icon, "may": may})
