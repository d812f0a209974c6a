"""Runs that last until the test lets them end.

A run of so many turns of so many seconds is over too early on a machine that is slow in the wrong
place, and too late on every other.
"""

from __future__ import annotations

from bot.sandbox.model.script import Conversation, Script, Turn, bash
from bot.sandbox.model.server import Model

_NAME = "lasting"
LASTING = f"[scenario: {_NAME}] [delay: 0.3s] work"
# More turns than any of them needs; `[scenario: long]` ends at its own number.
MANY_TURNS = 1000


class LastingWork:
    """The script of these runs: one quick tool call after another, until `finish`."""

    def __init__(self, model: Model) -> None:
        self._is_over = False
        script = Script(name=_NAME, description="works until the test ends it", play=self._play)
        model.scripts[_NAME] = script

    def finish(self) -> None:
        """Let each run end with its next answer."""
        self._is_over = True

    def _play(self, conversation: Conversation) -> Turn:
        number = conversation.position + 1
        if self._is_over:
            return Turn(text=f"## Summary\n\nThe test let the work end after {number} turns.")
        return Turn(text=f"Turn {number}.", calls=(bash(f"echo turn {number}", "Count"),))
