"""Opening of a form, where that is possible."""

from __future__ import annotations

import logging

from bot.slack.client.errors import SlackError
from bot.slack.client.web_api import Slack
from bot.slack.inbound.request import SlackRequest
from bot.slack.views.message import View

log = logging.getLogger(__name__)


async def open_form(slack: Slack, view: View, request: SlackRequest) -> bool:
    """Open a form; return whether that worked.  It needs a trigger that has not expired."""
    if request.trigger_id is None or request.is_replay:
        return False
    try:
        await slack.call("views.open", trigger_id=request.trigger_id, view=view)
    except SlackError as error:
        log_unopened(error, request)
        return False
    return True


def log_unopened(error: SlackError, request: SlackRequest) -> None:
    """Log that a form could not be opened; the person gets an answer in another way."""
    log.info(
        "no form could be opened: %s",
        error,
        extra={"event": "form.open_failed", **request.log_fields},
    )
