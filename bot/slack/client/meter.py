"""What the Slack surface reports for monitoring; what counts it is somebody else's."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from bot.slack.client.rates import RATES

# The name under which answers to response URLs are counted; they are no methods of the Web API.
RESPONSE_URL = "response_url"
_OTHER = "other"


class CallOutcome(StrEnum):
    """What became of a call to Slack.

    `RATE_LIMITED` is Slack's 429.  `HELD_BACK` was not sent, since an earlier 429 still holds for
    long.  Of `UNREACHABLE` it is not known whether the call took effect.
    """

    OK = "ok"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    HELD_BACK = "held_back"
    UNREACHABLE = "unreachable"


class SlackMeter(Protocol):
    """Hears of calls to Slack, and of what was drawn there."""

    def slack_called(self, method: str, outcome: CallOutcome, seconds: float | None) -> None:
        """A call has ended after `seconds`, the wait for a permit excluded; `None`: not sent."""
        ...

    def drawn(self, kind: str, lag_seconds: float) -> None:
        """A drawable is shown as it should be, so long after it was found to be outdated."""
        ...


class NoSlackMeter:
    """Counts nothing."""

    def slack_called(self, method: str, outcome: CallOutcome, seconds: float | None) -> None:
        """Nothing."""

    def drawn(self, kind: str, lag_seconds: float) -> None:
        """Nothing."""


NO_SLACK_METER = NoSlackMeter()


# All names under which calls are counted.
COUNTED_NAMES = frozenset({*RATES, RESPONSE_URL, _OTHER})


def counted_name(method: str) -> str:
    """The method's name for a count: one of a known few, so that counts stay few."""
    return method if method in COUNTED_NAMES else _OTHER
