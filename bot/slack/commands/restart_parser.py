"""The parser of `restart`, and its values in buttons.  Pure."""

from __future__ import annotations

import re

from bot.slack import text
from bot.slack.commands.command import AskRestart, CommandContext, Subcommand
from bot.slack.commands.flags import BadCommand, excerpt
from bot.slack.commands.targets import RUN_ID, take_run
from bot.slack.commands.words import WordReader
from bot.slack.text import from_slack
from core.domain.runs.restarts.request import MAX_CHECKPOINT_NUMBER, RestartMode

# `@2`, as people type it; `#2` and `2` where nothing else can be meant.
_POINT = re.compile(r"[@#]?(?P<number>\d{1,9})", re.ASCII)
_START_WORDS = frozenset({"start", "@start", "beginning", "@0", "0"})
_FILES_SPELLINGS = frozenset({"--files", "—files", "–files"})
_EXAMPLE = "/workflow restart run_0a1b2c3d4e5f @2"
# Slack allows 2,000 characters in a button's value.
_VALUE_LIMIT = 2000


def parse_restart(words: WordReader, context: CommandContext) -> AskRestart:
    """Parse what follows `restart`: the run, the point, `--files`, and a message to the agent.

    Raises:
        BadCommand: If it is not valid.
    """
    mode = _take_files(words)
    target = _take_target(words, context)
    mode = mode or _take_files(words)
    number, is_chosen = _take_point(words)
    mode = mode or _take_files(words) or RestartMode.FORK
    if words.is_at_flag:
        raise BadCommand(
            f"`restart` has no flag `{excerpt(from_slack(words.peek()))}`, only `--files` (puts "
            f"only the files back). For example `{_EXAMPLE}`."
        )
    if mode is RestartMode.FILES and is_chosen and number is None:
        raise BadCommand(
            "Files go back to a checkpoint, not to the start: `/workflow restart "
            "run_0a1b2c3d4e5f @2 --files`."
        )
    message = from_slack(words.rest) or None
    if message is not None and number is None:
        raise BadCommand(
            f"I don't understand `{excerpt(message)}` here. Give a checkpoint as `@2`, or nothing "
            f"to see them all: `{_EXAMPLE}`. A message to the agent goes after the checkpoint."
        )
    return AskRestart(
        target=target, checkpoint=number, is_chosen=is_chosen, mode=mode, message=message
    )


def restart_command_text(command: AskRestart) -> str | None:
    """The text after `/workflow` that asks for this restart; `None` if it is too long."""
    point = "start" if command.checkpoint is None else f"@{command.checkpoint}"
    words = [Subcommand.RESTART, command.target]
    words += [point] if command.is_chosen else []
    words += ["--files"] if command.mode is RestartMode.FILES else []
    words += [text.escape(command.message)] if command.message else []
    value = " ".join(words)
    return value if len(value) <= _VALUE_LIMIT else None


def _take_target(words: WordReader, context: CommandContext) -> str:
    in_thread = context.thread_run_id
    next_word = words.peek()
    is_point = _POINT.fullmatch(next_word) or next_word.lower() in _START_WORDS
    if in_thread is not None and (not next_word or is_point or not RUN_ID.fullmatch(next_word)):
        return in_thread
    return take_run(words, context, verb=Subcommand.RESTART, example=_EXAMPLE)


def _take_point(words: WordReader) -> tuple[int | None, bool]:
    """Take the checkpoint's number, and whether a point was named at all."""
    word = words.peek()
    if word.lower() in _START_WORDS:
        words.take()
        return None, True
    found = _POINT.fullmatch(word)
    if found is None:
        return None, False
    words.take()
    number = int(found["number"])
    if not 1 <= number <= MAX_CHECKPOINT_NUMBER:
        raise BadCommand(f"There is no checkpoint `{excerpt(word)}`. For example `{_EXAMPLE}`.")
    return number, True


def _take_files(words: WordReader) -> RestartMode | None:
    if words.peek().lower() not in _FILES_SPELLINGS:
        return None
    words.take()
    return RestartMode.FILES
