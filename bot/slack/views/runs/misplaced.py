"""Notes about flags that stood where they are not read."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack import ids, text
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.runs.rows import kill_listed_button
from bot.words import texts
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot

_EXAMPLE_TASK_CHARS = 60


def flags_in_task(run: Run, flags: Sequence[str], task: str) -> Message:
    """Say that flags at the end of a task belong to it, with the command that reads them.

    Args:
        run: The run that was started.
        flags: The flags with their values, as typed.
        task: The task without them.
    """
    given = " ".join(flags)
    stands, it = ("stands", "it was") if len(flags) == 1 else ("stand", "they were")
    short = texts.plain_line(task.replace("`", "'"), _EXAMPLE_TASK_CHARS)
    words = (
        f"{text.code(given)} {stands} at the end of the task, so {it} read as a part of it: flags "
        "go before the task. If you meant a setting, kill "
        f"`{run.run_id}` and type "
        f"{text.code(f'/workflow run {run.workflow_name} {given} {short}', 400)}."
    )
    kill = kill_listed_button(RunSnapshot(run=run), is_own=True)
    return Message(
        text=words,
        blocks=(blocks.section(words), blocks.actions(ids.KILL_QUESTION, [kill])),
    )


def turns_in_message(run: Run, turns: str) -> Message:
    """Say that `+20` at the end of a message belongs to it."""
    words = (
        f"{text.code(turns)} stands at the end of the message, so the agent was told it, and the "
        f"turn limit of `{run.run_id}` is {run.max_turns}: more turns go before the message, as in "
        f"{text.code(f'/workflow continue <run> {turns} <message>')}."
    )
    return Message(text=words, blocks=(blocks.section(words),))
