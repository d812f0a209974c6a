"""Commands as people type them: in a channel, and in a run's thread by mentioning the bot."""

from __future__ import annotations

import pytest

from bot.slack.commands.command import Command, CommandContext
from bot.slack.commands.flags import BadCommand
from bot.slack.commands.parser import parse_mention, parse_slash
from core.domain.runs.request import Place, StartRequest

PLACE = Place(team_id="T0ACME", channel_id="C0BUILDS")
CHANNEL = CommandContext(request_key="k1", place=PLACE, workflow_names=("implement", "builder"))
THREAD = CommandContext(
    request_key="k1", place=PLACE, thread_run_id="run_aaaaaaaaaaaa", has_forms=False
)


def run(text: str) -> StartRequest:
    """The run that a command starts."""
    command = parse_slash(text, CHANNEL)
    assert isinstance(command, StartRequest)
    return command


def refused(text: str, context: CommandContext = CHANNEL) -> str:
    """What is said of a command that is refused."""
    with pytest.raises(BadCommand) as caught:
        parse_slash(text, context)
    return caught.value.user_message


def parse_mentioned(text: str) -> Command:
    """The command of a mention in a thread."""
    return parse_mention(f"<@UBOT> {text}", THREAD, bot_user_id="UBOT")
