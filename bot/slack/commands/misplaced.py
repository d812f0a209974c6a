"""Flags that people type where they are not read: at the end of a task or a message.  Pure."""

from __future__ import annotations

import re

from bot.slack.commands.flags import FLAGS
from bot.slack.commands.words import WordReader

_LAST_FLAG = re.compile(
    r"(?:\A|\s)(?P<flag>(?:--|[—–])(?P<name>[A-Za-z][A-Za-z_-]*)(?:=|\s+)"
    r"(?P<value>\"[^\"\n]*\"|“[^”\n]*”|[^\s\"“”]+))\s*\Z"
)
_LAST_TURNS = re.compile(r"\s(?P<turns>\+\s?\d{1,6}(?:\s+turns?)?)\s*\Z", re.IGNORECASE)


def flags_at_end(task: str) -> list[str]:
    """The flags of `run` at the end of a task, with their values, as they are typed.

    Only known flags with valid values are found: other words that look alike belong to the task.
    """
    found: list[str] = []
    while (last := _LAST_FLAG.search(task)) is not None:
        name = last["name"].lower().replace("_", "-")
        value = WordReader(last["value"]).take()
        flag = FLAGS.get(name)
        if flag is None or flag.parse(value) is None:
            break
        shown = f'"{value}"' if " " in value else value
        found.insert(0, f"--{name} {shown}")
        task = task[: last.start()]
    return found


def without_flags_at_end(task: str) -> str:
    """The task without those flags."""
    for _ in flags_at_end(task):
        task = _LAST_FLAG.sub("", task)
    return task.strip()


def turns_at_end(message: str) -> str | None:
    """`+20` at the end of a message to continue with; `None` if there is none."""
    found = _LAST_TURNS.search(message)
    return found["turns"] if found is not None else None
