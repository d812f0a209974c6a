"""A kill as it would be typed: what a private question's button keeps until it is pressed.

Reading it is the parser's (`bot.slack.commands.parser`), as if the person had typed it again.
"""

from __future__ import annotations

from bot.slack import text
from bot.slack.commands.command import Subcommand
from core.domain.kills.bulk_kill import MAX_REASON_CHARS, KillSelection
from core.domain.runs.request import KillRequest

# Slack's limit of a button's value is 2,000; escaping makes five characters of one.
_REASON_LIMIT = 1500


def kill_command_text(command: KillRequest | KillSelection) -> str:
    """The words after `/workflow`."""
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
