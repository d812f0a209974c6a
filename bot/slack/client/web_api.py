"""Calls to Slack: one session, one base URL, one rate limiter, errors by their names."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client.errors import (
    NO_RESPONSE_ERRORS,
    RateLimited,
    SlackError,
    SlackRefused,
    SlackUnreachable,
)
from bot.slack.client.long_limits import LongLimits
from bot.slack.client.meter import (
    NO_SLACK_METER,
    RESPONSE_URL,
    CallOutcome,
    SlackMeter,
    counted_name,
)
from bot.slack.client.private_logs import bolt_logger
from bot.slack.client.rate_limits import LongWait, Priority, RateLimiter
from bot.slack.client.retry_after import read_retry_after
from bot.slack.client.upload import Upload

log = logging.getLogger(__name__)

DEFAULT_API_URL = "https://slack.com/api/"
CALL_TIMEOUT = timedelta(seconds=10)
_UPLOAD = "files.completeUploadExternal"
_RATE_LIMIT_ERRORS = frozenset({"ratelimited", "rate_limited"})
# Failures inside Slack.  According to its reference, part of the call may have succeeded.
_AMBIGUOUS_ERRORS = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "update_failed"}
)
# The host of response URLs, in addition to the host of the configured Web API.
_RESPONSE_HOST = "hooks.slack.com"
# Read methods that the Web API accepts as GET.
_GET_METHODS = frozenset(
    {
        "conversations.info",
        "conversations.history",
        "conversations.members",
        "conversations.replies",
        "users.info",
        "usergroups.list",
        "usergroups.users.list",
    }
)


@dataclass(frozen=True)
class Slack:
    """The Web API of one workspace, as the bot.

    Attributes:
        limits: The methods that Slack limits for long.
        timeout: The limit of one call.
        meter: Hears of each call.
    """

    web: AsyncWebClient
    session: aiohttp.ClientSession
    rate_limiter: RateLimiter
    limits: LongLimits
    timeout: timedelta = CALL_TIMEOUT
    meter: SlackMeter = NO_SLACK_METER

    async def call(
        self,
        method: str,
        *,
        priority: Priority = Priority.ANSWER,
        has_permit: bool = False,
        **arguments: Any,
    ) -> Mapping[str, Any]:
        """Call a method once, after waiting for a permit.  Nothing is retried here.

        Args:
            method: Name of the Web API method.
            priority: Of this call among those that wait for a permit.
            has_permit: Whether the caller holds the permit already.
            arguments: The arguments of the method; those that are `None` are left out.

        Raises:
            SlackRefused: If Slack refuses the call.
            RateLimited: If there were too many calls; try again later, with the newest state.
                If Slack limits the method for long, nothing is called or waited for.
            SlackUnreachable: If it is not known whether the call took effect.
        """
        channel = arguments.get("channel")
        if not has_permit:
            try:
                await self.rate_limiter.enqueue(
                    method, channel=channel, priority=priority
                ).wait_granted()
            except LongWait as error:
                self._count(method, CallOutcome.HELD_BACK, None)
                raise RateLimited(method, error.seconds) from error
        given = {name: value for name, value in arguments.items() if value is not None}
        with self._counted(method):
            try:
                async with asyncio.timeout(self.timeout.total_seconds()):
                    if method in _GET_METHODS:
                        answer = await self.web.api_call(method, http_verb="GET", params=given)
                    else:
                        answer = await self.web.api_call(method, json=given)
            except SlackApiError as error:
                raise self.translate_error(method, channel, error) from error
            except NO_RESPONSE_ERRORS as error:
                raise SlackUnreachable(method, type(error).__name__) from error
        self._record_success(method, channel)
        data = answer.data
        return data if isinstance(data, dict) else {}

    @contextmanager
    def _counted(self, method: str) -> Iterator[None]:
        """Report the call of the block to the meter; one that is cancelled has no outcome."""
        begun = time.monotonic()
        outcome: CallOutcome | None = None
        try:
            yield
            outcome = CallOutcome.OK
        except RateLimited:
            outcome = CallOutcome.RATE_LIMITED
            raise
        except SlackRefused:
            outcome = CallOutcome.REFUSED
            raise
        except SlackUnreachable:
            outcome = CallOutcome.UNREACHABLE
            raise
        finally:
            if outcome is not None:
                self._count(method, outcome, time.monotonic() - begun)

    def _count(self, method: str, outcome: CallOutcome, seconds: float | None) -> None:
        self.meter.slack_called(counted_name(method), outcome, seconds)

    def _record_success(self, method: str, channel: str | None) -> None:
        # A call that was under way when Slack refused another one proves nothing.
        if not self.rate_limiter.blocked_seconds(method, channel=channel):
            self.limits.record_success(method, channel)

    def translate_error(self, method: str, channel: str | None, error: SlackApiError) -> SlackError:
        """Translate the SDK's only error class; after a 429 the rate limiter holds calls back."""
        response = error.response
        status = getattr(response, "status_code", None)
        data = getattr(response, "data", None)
        data = data if isinstance(data, dict) else {}
        name = str(data.get("error", ""))
        if status == HTTPStatus.TOO_MANY_REQUESTS or name in _RATE_LIMIT_ERRORS:
            headers = getattr(response, "headers", None) or {}
            wait = read_retry_after(headers, now=self.limits.clock())
            self.rate_limiter.apply_retry_after(method, channel=channel, seconds=wait.seconds)
            self.limits.begin(method, channel, wait)
            return RateLimited(method, wait.seconds)
        if not name or (isinstance(status, int) and status >= HTTPStatus.INTERNAL_SERVER_ERROR):
            return SlackUnreachable(method, f"status {status}")
        if name in _AMBIGUOUS_ERRORS:
            return SlackUnreachable(method, name)
        messages = (data.get("response_metadata") or {}).get("messages") or ()
        if messages:
            log.warning(
                "slack %s: %s (%s)",
                method,
                name,
                "; ".join(map(str, messages))[:300],
                extra={"event": "slack_call.refused", "method": method, "error": name},
            )
        return SlackRefused(method, name, needed=str(data.get("needed") or ""))

    async def direct_channel(self, user_id: str) -> str:
        """The id of the direct conversation between the bot and a person.

        Raises:
            SlackError: As `call`.
        """
        answer = await self.call("conversations.open", users=user_id)
        return str((answer.get("channel") or {}).get("id", ""))

    async def upload(self, file: Upload, *, channel: str, thread_ts: str | None) -> None:
        """Upload a file to a thread; the caller holds the permit.

        Raises:
            SlackError: As `call`.
        """
        with self._counted(_UPLOAD):
            try:
                # Three calls; one of them sends up to some hundred kilobytes.
                async with asyncio.timeout(3 * self.timeout.total_seconds()):
                    await self.web.files_upload_v2(
                        content=file.content,
                        filename=file.name,
                        title=file.title,
                        alt_txt=file.alt,
                        channel=channel,
                        thread_ts=thread_ts,
                    )
            except SlackApiError as error:
                raise self.translate_error(_UPLOAD, channel, error) from error
            except NO_RESPONSE_ERRORS as error:
                raise SlackUnreachable("files_upload_v2", type(error).__name__) from error
        self._record_success(_UPLOAD, channel)

    async def respond(self, url: str, message: Mapping[str, Any]) -> bool:
        """Answer through the response URL of an interaction; return whether that worked.

        Only URLs on Slack's own host or on the configured Web API's host are called.
        """
        if not self._is_response_url(url):
            log.warning(
                "a response URL of a foreign host was not called",
                extra={"event": "response_url.rejected"},
            )
            return False
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                async with self.session.post(
                    url, json=dict(message), allow_redirects=False
                ) as response:
                    await response.read()
                    is_ok = response.status == HTTPStatus.OK
                    outcome = CallOutcome.OK if is_ok else CallOutcome.REFUSED
        except (aiohttp.ClientError, OSError) as error:
            log.info(
                "a response URL could not be called: %s",
                type(error).__name__,
                extra={"event": "response_url.failed", "error": type(error).__name__},
            )
            outcome = CallOutcome.UNREACHABLE
        self._count(RESPONSE_URL, outcome, time.monotonic() - begun)
        return outcome is CallOutcome.OK

    def _is_response_url(self, url: str) -> bool:
        target, api = urlsplit(url), urlsplit(self.web.base_url)
        if target.scheme == "https" and target.netloc == _RESPONSE_HOST:
            return True
        return (target.scheme, target.netloc) == (api.scheme, api.netloc)


@asynccontextmanager
async def open_slack_client(
    *,
    token: str,
    api_url: str = DEFAULT_API_URL,
    rate_limiter: RateLimiter,
    call_timeout: timedelta = CALL_TIMEOUT,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    meter: SlackMeter = NO_SLACK_METER,
) -> AsyncIterator[Slack]:
    """Open the session that all Slack calls of this process share."""
    # The limit of calls that set none themselves.
    timeout = aiohttp.ClientTimeout(total=30, connect=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        web = AsyncWebClient(
            token=token,
            base_url=api_url,
            session=session,
            # The SDK would repeat a call whose answer was lost, and so post a message twice.
            retry_handlers=[],
            # The default logger has no level, so the SDK would format every body in vain.
            logger=bolt_logger(),
        )
        if is_loopback(api_url):
            # The SDK would use a proxy from the environment even for this machine.
            web.proxy = None
        try:
            yield Slack(
                web=web,
                session=session,
                rate_limiter=rate_limiter,
                limits=LongLimits(clock),
                timeout=call_timeout,
                meter=meter,
            )
        finally:
            await rate_limiter.close()


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
