"""A kill written as a command: the value of a button in a private question.

When the button is pressed, `bot.slack.commands.parser` reads the value as if it had been typed.
"""

from __future__ import annotations

from bot.slack import text
from bot.slack.commands.command import Subcommand
from core.domain.kills.bulk_kill import MAX_REASON_CHARS, KillSelection
from core.domain.runs.request import KillRequest

# Slack allows 2,000 characters in a button's value; escaping lengthens the reason.
_REASON_LIMIT = 1500


def kill_command_text(command: KillRequest | KillSelection) -> str:
    """The text after `/workflow` that asks for this kill."""
    words: list[str] = [Subcommand.KILL]
    if command.force:
        words.append("--force")
    if isinstance(command, KillRequest):
        words.append(command.target)
    else:
        run_filter = command.run_filter
        words.append("--all")
        if run_filter.mine:
            words.append("mine")
        if run_filter.workflow:
            words.append(f"workflow={run_filter.workflow}")
        if not (run_filter.mine or run_filter.workflow):
            words.append("live")
    reason = " ".join((command.reason or "").split())[:MAX_REASON_CHARS]
    words.append(text.escape(reason, _REASON_LIMIT))
    return " ".join(words).rstrip()
