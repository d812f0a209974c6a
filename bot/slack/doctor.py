"""Slack's part of `signalbox doctor`: tokens, scopes, and the bot's channels."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from bot.slack.client.errors import SlackError
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.web_api import Slack, open_slack_client
from bot.slack.setup import SlackCredentials, SlackSetupError, check_slack, problems_of

_PAGE = 200
_CHANNELS_SHOWN = 10


async def check_workspace(
    credentials: SlackCredentials, *, needed_scopes: tuple[str, ...]
) -> AsyncIterator[tuple[bool | None, str]]:
    """Yield for each check whether it passed (`None`: unknown), and one line about it."""
    problems = problems_of(credentials)
    if problems:
        for problem in problems:
            yield False, problem
        return
    async with open_slack_client(
        token=credentials.bot_token,
        api_url=credentials.api_url,
        rate_limiter=RateLimiter(now=time.monotonic),
    ) as slack:
        try:
            installation = await check_slack(slack, credentials, needed_scopes=needed_scopes)
        except SlackSetupError as error:
            for line in error.lines:
                yield False, line
            return
        except SlackError as error:
            yield False, f"Slack does not answer at {credentials.api_url}: {error}"
            return
        kind = "Socket Mode" if credentials.app_token else "HTTP"
        yield True, f"Slack: {installation.bot_name} in {installation.team_name}, over {kind}"
        if not installation.are_scopes_known:
            yield (
                None,
                (
                    "scopes unknown: this server of the Slack API does not say which scopes the "
                    "bot token has. If calls are refused, compare them with manifest.yml."
                ),
            )
        try:
            names = await _channels(slack)
        except SlackError as error:
            yield False, f"the bot's channels could not be read: {error}"
            return
        if names:
            yield True, f"member of {', '.join(names[:_CHANNELS_SHOWN])}"
        else:
            yield False, "the bot is in no channel: /invite @signalbox where it is to work."


async def _channels(slack: Slack) -> list[str]:
    answer = await slack.call(
        "users.conversations",
        types="public_channel,private_channel",
        exclude_archived=True,
        limit=_PAGE,
    )
    return [f"#{channel.get('name')}" for channel in answer.get("channels") or ()]
