"""The run that a command is about: named in its text, or that of the thread."""

from __future__ import annotations

import re

from bot.slack.commands.command import CommandContext, Subcommand
from bot.slack.commands.flags import BadCommand
from bot.slack.commands.words import WordReader

# `run_` and up to 12 hexadecimal digits.  Without `run_`: at least 4 with a letter and a digit
# among them (not a word such as "facade"), or at least 6 digits (not a number such as "404").
RUN_ID = re.compile(
    r"run_[0-9a-f]{1,12}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{4,12}|\d{6,12}", re.IGNORECASE
)


def take_run(words: WordReader, context: CommandContext, *, verb: Subcommand, example: str) -> str:
    """Take the run that is meant: the named one, otherwise that of the thread.

    Raises:
        BadCommand: If none is named outside of a thread.
    """
    in_thread = context.thread_run_id is not None
    if words.peek() and (not in_thread or RUN_ID.fullmatch(words.peek())):
        return words.take()
    if context.thread_run_id is not None:
        return context.thread_run_id
    raise BadCommand(
        f"Which run shall I {verb}? Give its id: `{example}`. `/workflow list` shows the "
        "recent ones; in a run's own thread no id is needed."
    )
