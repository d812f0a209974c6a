"""Slack's part of `signalbox doctor`: tokens, scopes, and the bot's channels."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bot.slack.client.errors import SlackError, SlackRefused
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.web_api import Slack, open_slack_client
from bot.slack.setup import SlackCredentials, SlackSetupError, check_slack, problems_of

_PAGE = 200
_CHANNELS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class SlackCheck:
    """The result of a check, and one line about it.

    Attributes:
        is_unknown: Whether the check could not tell.
        prevents_start: Whether a bot cannot start, so that it is no matter of one channel.
    """

    message: str
    is_ok: bool = False
    is_unknown: bool = False
    prevents_start: bool = False


async def check_workspace(
    credentials: SlackCredentials,
    *,
    needed_scopes: tuple[str, ...],
    api_channel: str | None = None,
) -> AsyncIterator[SlackCheck]:
    """Check the tokens, the scopes and the bot's channels, and yield each result.

    Args:
        credentials: The tokens and the Web API's address.
        needed_scopes: What the bot token must have.
        api_channel: Where runs that are started through the API have their threads, if anywhere.
    """
    problems = problems_of(credentials)
    if problems:
        for problem in problems:
            yield SlackCheck(message=problem, prevents_start=True)
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
                yield SlackCheck(message=line, prevents_start=True)
            return
        except SlackError as error:
            yield SlackCheck(
                message=f"Slack does not answer at {credentials.api_url}: {error}",
                prevents_start=True,
            )
            return
        kind = "Socket Mode" if credentials.app_token else "HTTP"
        yield SlackCheck(
            message=f"Slack: {installation.bot_name} in {installation.team_name}, over {kind}",
            is_ok=True,
        )
        if not installation.are_scopes_known:
            yield SlackCheck(
                message="scopes unknown: this server of the Slack API does not say which scopes "
                "the bot token has. If calls are refused, compare them with manifest.yml.",
                is_unknown=True,
            )
        try:
            names = await _channels(slack)
        except SlackError as error:
            yield SlackCheck(message=f"the bot's channels could not be read: {error}")
            return
        if names:
            yield SlackCheck(message=f"member of {', '.join(names[:_CHANNELS_SHOWN])}", is_ok=True)
        else:
            yield SlackCheck(
                message="the bot is in no channel: /invite @signalbox where it is to work."
            )
        if api_channel is not None:
            yield await _check_api_channel(slack, api_channel)


async def _check_api_channel(slack: Slack, channel_id: str) -> SlackCheck:
    """Whether the bot can post the threads of runs that are started through the API."""
    setting = f"[api] channel {channel_id}"
    try:
        answer = await slack.call("conversations.info", channel=channel_id)
    except SlackRefused as error:
        return SlackCheck(message=f"{setting}: Slack does not show it to the bot ({error.name}).")
    except SlackError as error:
        return SlackCheck(message=f"{setting} could not be read: {error}")
    channel = answer.get("channel") or {}
    name = f"#{channel.get('name')}"
    if channel.get("is_archived"):
        return SlackCheck(message=f"{setting}: {name} is archived; choose another one.")
    if not channel.get("is_member"):
        return SlackCheck(message=f"{setting}: /invite @signalbox in {name} first.")
    return SlackCheck(message=f"runs of the API are shown in {name}", is_ok=True)


async def _channels(slack: Slack) -> list[str]:
    answer = await slack.call(
        "users.conversations",
        types="public_channel,private_channel",
        exclude_archived=True,
        limit=_PAGE,
    )
    return [f"#{channel.get('name')}" for channel in answer.get("channels") or ()]
