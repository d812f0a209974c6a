"""A run of thirty steps, each of which needs the file of the step before.

The agent trusts its conversation: what it has done once it does not do again, unless it is told to
look at the workspace.  So files that are lost without a word change all that follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bot.sandbox.model.script import Conversation, Script, ToolResult, Turn, bash

NAME = "thirty-steps"
STEPS = 30
TASK = f"[scenario: {NAME}] [delay: 0.05s] Make the chain of parts"
GO_ON = "Go on"
# After so many steps it commits; the steps in between are only in the work tree.
_COMMIT_EVERY = 4
_TOLD_TO_LOOK = "state of the workspace"
_LOOK = "Look"
_DONE = "done "
# What an interrupted step has committed already is no failure when it is repeated.
_COMMIT = ("git add -A", "{ git diff --cached --quiet || git commit -qm 'Add parts'; }")


def expected_files() -> dict[str, str]:
    """The files of an undisturbed run, by the script's own rule."""
    files, before = {}, "begin"
    for number in range(1, STEPS + 1):
        before = hashlib.sha256(f"{before}\n{number}\n".encode()).hexdigest()
        files[f"part-{number:02}"] = f"{before}\n"
    return files


def thirty_steps() -> Script:
    """The script."""
    return Script(name=NAME, description="makes thirty files, one from the other", play=_play)


def _play(conversation: Conversation) -> Turn:
    if any(_TOLD_TO_LOOK in text for text in conversation.unanswered):
        return Turn(calls=(bash("ls part-* 2>/dev/null | wc -l", _LOOK),))
    number = _steps_done(conversation.results) + 1
    if number == STEPS + 1:
        # It may have been interrupted before its last commit.
        return Turn(calls=(bash(_and_done(_COMMIT, number), "Commit what is left"),))
    if number > STEPS:
        return Turn(text=f"## Summary\n\nAll {STEPS} parts are made and committed.")
    # Without words: where a loss comes between words and call, only the words are stored, and the
    # model takes an answer without a call for the end of the task.
    return Turn(calls=(bash(_command(number), f"Part {number}"),))


def _steps_done(results: tuple[ToolResult, ...]) -> int:
    """The steps that are done, as the agent knows; a look counts more than its memory."""
    done = 0
    for one in results:
        if one.input.get("description") == _LOOK and not one.is_error:
            words = one.text.split()
            done = int(words[0]) if words and words[0].isdecimal() else 0
        elif not one.is_error and _DONE in one.text:
            done = int(one.text.rpartition(_DONE)[2].split()[0])
    return done


def _command(number: int) -> str:
    before = "echo begin" if number == 1 else f"cat part-{number - 1:02} || echo lost"
    commands = [
        f"before=$({before})",
        f"printf '%s\\n%s\\n' \"$before\" {number} | sha256sum | cut -d' ' -f1 > .part",
        f"mv .part part-{number:02}",
    ]
    if number % _COMMIT_EVERY == 0:
        commands += _COMMIT
    return _and_done(commands, number)


def _and_done(commands: Sequence[str], number: int) -> str:
    return " && ".join([*commands, f"echo {_DONE}{number}"])
