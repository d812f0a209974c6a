"""Checks of the Slack settings at the start, one clear line each."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slack_sdk.errors import SlackApiError

from bot.slack.client.errors import NO_RESPONSE_ERRORS, SlackRefused, SlackUnreachable
from bot.slack.client.web_api import Slack, is_loopback
from bot.slack.inbound.installation import Installation

log = logging.getLogger(__name__)

_APP_TOKEN = re.compile(r"xapp-\d+-(?P<app>A[A-Z0-9]+)-")


class SlackSetupError(Exception):
    """The Slack settings cannot work.  `lines` say what is wrong and how to fix it."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


@dataclass(frozen=True, kw_only=True)
class SlackCredentials:
    """The Slack settings, not yet checked; see `problems_of`."""

    bot_token: str
    app_token: str | None = None
    signing_secret: str | None = None
    app_id: str | None = None
    api_url: str = "https://slack.com/api/"

    def __repr__(self) -> str:
        return f"SlackCredentials(api_url={self.api_url!r})"


def problems_of(credentials: SlackCredentials) -> tuple[str, ...]:
    """The problems that can be found without a call to Slack, one line each."""
    lines: list[str] = []
    if not credentials.bot_token:
        lines.append(
            "SLACK_BOT_TOKEN is not set: copy the Bot User OAuth Token (xoxb-…) of your Slack app."
        )
    elif not credentials.bot_token.startswith("xoxb-"):
        lines.append("SLACK_BOT_TOKEN is not a bot token: it must begin with xoxb-.")
    if credentials.app_token and not credentials.app_token.startswith("xapp-"):
        lines.append("SLACK_APP_TOKEN is not an app-level token: it must begin with xapp-.")
    if not credentials.app_token and not credentials.signing_secret:
        lines.append(
            "Set SLACK_APP_TOKEN (xapp-…, Socket Mode) or SLACK_SIGNING_SECRET (HTTP): without "
            "one of them the bot receives nothing."
        )
    if (
        credentials.signing_secret is not None
        and credentials.signing_secret.strip() != credentials.signing_secret
    ):
        lines.append("SLACK_SIGNING_SECRET has spaces around it.")
    return tuple(lines)


def warnings_of(credentials: SlackCredentials, variable_names: Collection[str]) -> tuple[str, ...]:
    """Settings that work, but probably not as intended, one line each.

    Args:
        credentials: The Slack settings.
        variable_names: Names of other variables that are set.
    """
    lines: list[str] = []
    proxies = [name for name in ("HTTPS_PROXY", "HTTP_PROXY") if name in variable_names]
    if proxies and not is_loopback(credentials.api_url):
        lines.append(f"Slack is called through the proxy of {proxies[0]}; NO_PROXY is ignored.")
    if {"SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"} <= set(variable_names):
        lines.append(
            "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET are set but not used: Signalbox works with "
            "the bot token of one workspace."
        )
    return tuple(lines)


async def check_slack(
    slack: Slack, credentials: SlackCredentials, *, needed_scopes: Collection[str] = ()
) -> Installation:
    """Check the settings with Slack, and return the installation that the bot belongs to.

    Raises:
        SlackSetupError: If the settings cannot work.
        RateLimited: If Slack accepts no call at present.
        SlackUnreachable: If Slack does not answer; a retry may help.
    """
    problems = problems_of(credentials)
    if problems:
        raise SlackSetupError(*problems)
    try:
        answer = await slack.web.auth_test()
    except SlackApiError as error:
        named = slack.translate_error("auth.test", None, error)
        if not isinstance(named, SlackRefused):
            raise named from error
        raise SlackSetupError(
            f"SLACK_BOT_TOKEN is refused by Slack ({named.name}): copy it again."
        ) from error
    except NO_RESPONSE_ERRORS as error:
        raise SlackUnreachable("auth.test", type(error).__name__) from error
    data = answer.data if isinstance(answer.data, dict) else {}
    scopes = scopes_of(answer.headers)
    if scopes is None and needed_scopes:
        log.warning(
            "the server of the Slack API does not say which scopes the bot token has, so they are "
            "not checked",
            extra={"event": "slack_scopes.unknown"},
        )
    missing = sorted(set(needed_scopes) - scopes) if scopes is not None else []
    if missing:
        raise SlackSetupError(
            f"The bot token lacks the scopes {', '.join(missing)}: apply manifest.yml to the "
            "Slack app and install it again."
        )
    enterprise_id = str(data.get("enterprise_id") or "")
    team_id = str(data.get("team_id") or enterprise_id)
    bot_id = str(data.get("bot_id") or "")
    app_id = str(data.get("app_id") or "") or await _app_of_bot(slack, bot_id, team_id)
    _require_one_app(credentials, app_id)
    if credentials.app_token:
        await _check_app_token(slack, credentials.app_token)
    return Installation(
        team_id=team_id,
        bot_user_id=str(data.get("user_id", "")),
        bot_id=bot_id,
        team_name=str(data.get("team") or ""),
        team_url=str(data.get("url") or ""),
        bot_name=str(data.get("user") or "signalbox"),
        enterprise_id=enterprise_id,
        is_org_wide=data.get("is_enterprise_install") is True,
        app_id=app_id or credentials.app_id or _app_of_token(credentials.app_token) or "",
        are_scopes_known=scopes is not None,
    )


async def _app_of_bot(slack: Slack, bot_id: str, team_id: str) -> str:
    """The app of the bot; empty if Slack does not say."""
    try:
        answer = await slack.web.bots_info(bot=bot_id, team_id=team_id)
    except SlackApiError as error:
        named = slack.translate_error("bots.info", None, error)
        if not isinstance(named, SlackRefused):
            raise named from error
        log.warning(
            "slack does not say which app the bot belongs to (%s)",
            named.name,
            extra={"event": "slack_app.unknown", "error": named.name},
        )
        return ""
    except NO_RESPONSE_ERRORS as error:
        raise SlackUnreachable("bots.info", type(error).__name__) from error
    data = answer.data if isinstance(answer.data, dict) else {}
    return str((data.get("bot") or {}).get("app_id") or "")


def _app_of_token(app_token: str | None) -> str | None:
    """The app that an app-level token names: `xapp-1-A0123ABCD-…`."""
    found = _APP_TOKEN.match(app_token or "")
    return found["app"] if found else None


def _require_one_app(credentials: SlackCredentials, app_id: str) -> None:
    """Refuse tokens of two apps, and a SLACK_APP_ID that is not that of the token."""
    for name, named in (
        ("SLACK_APP_ID", credentials.app_id),
        ("SLACK_APP_TOKEN", _app_of_token(credentials.app_token)),
    ):
        if app_id and named and named != app_id:
            raise SlackSetupError(
                f"{name} is for the app {named}, and SLACK_BOT_TOKEN for {app_id}: copy both from "
                "the same app."
            )


async def _check_app_token(slack: Slack, app_token: str) -> None:
    try:
        await slack.web.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        named = slack.translate_error("apps.connections.open", None, error)
        if not isinstance(named, SlackRefused):
            raise named from error
        raise SlackSetupError(
            f"SLACK_APP_TOKEN is refused by Slack ({named.name}): create an app-level token with "
            "the scope connections:write, and switch Socket Mode on."
        ) from error
    except NO_RESPONSE_ERRORS as error:
        raise SlackUnreachable("apps.connections.open", type(error).__name__) from error


def scopes_of(headers: Mapping[str, str]) -> frozenset[str] | None:
    """The scopes of the token, which every answer of Slack has in a header.

    `None` if the header is missing or empty, as of a server that is compatible with Slack: no
    token is without any scope, so the scopes are unknown.
    """
    found = next((v for k, v in headers.items() if k.lower() == "x-oauth-scopes"), "")
    return frozenset(scope.strip() for scope in str(found).split(",") if scope.strip()) or None
