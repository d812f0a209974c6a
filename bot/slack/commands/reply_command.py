"""A continuation written as a command: the value of a button under a person's own reply.

When the button is pressed, `bot.slack.commands.parser` reads the value as if it had been typed.
"""

from __future__ import annotations

import re

from bot.slack import text
from bot.slack.commands.command import Subcommand

_LIKE_A_FLAG = re.compile(r"\s*(?:--|[—–―])")
# Slack allows 2,000 characters in a button's value.
_VALUE_LIMIT = 2000


def reply_command_text(run_id: str, message: str, *, recovers: bool = False) -> str | None:
    """The text after `/workflow` that continues a run with a message, as the person typed it.

    `None` if it is too long for a button: a message must not lose its end.

    Args:
        run_id: The run to continue.
        message: What the agent is told.
        recovers: Whether in a recovery leg.
    """
    recover = "--recover " if recovers else ""
    # A lone dash keeps a message that begins like a flag from being read as one.
    guard = "-- " if _LIKE_A_FLAG.match(message) else ""
    value = f"{Subcommand.CONTINUE} {run_id} {recover}{guard}{text.escape(message)}"
    return value if len(value) <= _VALUE_LIMIT else None
