"""A kill as it would be typed: what a private question's button keeps until it is pressed.

Reading it is the parser's (`bot.slack.commands.parser`), as if the person had typed it again.
"""

from __future__ import annotations

from bot.slack import text
from bot.slack.commands.command import Subcommand
from core.domain.kills.selection import MAX_REASON_CHARS, KillSelection
from core.domain.runs.request import KillRequest

# Slack's limit of a button's value is 2,000; escaping makes five characters of one.
_REASON_LIMIT = 1500


def kill_words(wish: KillRequest | KillSelection) -> str:
    """The words after `/workflow`."""
    words: list[str] = [Subcommand.KILL]
    if wish.force:
        words.append("--force")
    if isinstance(wish, KillRequest):
        words.append(wish.named)
    else:
        wanted = wish.wanted
        words.append("--all")
        if wanted.mine:
            words.append("mine")
        if wanted.workflow:
            words.append(f"workflow={wanted.workflow}")
        if not (wanted.mine or wanted.workflow):
            words.append("live")
    reason = " ".join((wish.reason or "").split())[:MAX_REASON_CHARS]
    words.append(text.escape(reason, _REASON_LIMIT))
    return " ".join(words).rstrip()
