"""The errors of calls to Slack."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
from slack_sdk.errors import SlackClientError

from bot.slack.client.rate_limits import LONG_WAIT_SECONDS
from bot.words.times import duration
from core.domain.errors import Unavailable

# Errors of a call without a proper answer.  TimeoutError is an OSError, and the SDK raises
# AttributeError if the answer is an HTML page instead of JSON.
NO_RESPONSE_ERRORS = (aiohttp.ClientError, SlackClientError, OSError, ValueError, AttributeError)


class SlackError(Unavailable):
    """A call to Slack failed."""

    code = "slack_error"

    def __init__(
        self,
        method: str,
        what: str,
        *,
        user_message: str = "A call to Slack failed. Please try again in a moment.",
    ) -> None:
        super().__init__(f"{method}: {what}", user_message=user_message)
        self.method = method


class SlackRefused(SlackError):
    """Slack refused a call, with an error name such as `channel_not_found`.

    Attributes:
        name: Slack's name of the error.
        needed: The missing scopes, for `missing_scope`.
    """

    code = "slack_refused"

    def __init__(self, method: str, name: str, *, needed: str = "") -> None:
        super().__init__(method, f"{name} {needed}".strip())
        self.name = name
        self.needed = needed


class RateLimited(SlackError):
    """Slack limits the method for `seconds`; the rate limiter already delays further calls."""

    code = "slack_rate_limited"

    def __init__(self, method: str, seconds: float) -> None:
        wait = "a moment" if seconds <= LONG_WAIT_SECONDS else duration(timedelta(seconds=seconds))
        super().__init__(
            method,
            f"rate limited for {seconds:.0f} s",
            user_message=f"Slack limits how often I may call it. Please try again in {wait}.",
        )
        self.seconds = seconds

    @property
    def is_long(self) -> bool:
        """Whether nobody should wait for it."""
        return self.seconds > LONG_WAIT_SECONDS


class SlackUnreachable(SlackError):
    """No proper answer: the call may or may not have taken effect."""

    code = "slack_unreachable"
