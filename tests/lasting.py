"""Runs that last until the test lets them end.

A run of so many turns of so many seconds is over too early on a machine that is slow in the wrong
place, and too late on every other.
"""

from __future__ import annotations

from datetime import timedelta

from bot.sandbox.model.script import Conversation, Script, Turn, bash
from bot.sandbox.model.server import Model

_NAME = "lasting"
LASTING = f"[scenario: {_NAME}] [delay: 0.3s] work"
# More turns than any of them needs; `[scenario: long]` ends at its own number.
MANY_TURNS = 1000
# Every turn costs the CPU, of which a test that waits for something else has too little.
_QUICK_TURNS = 4
_PAUSE = timedelta(seconds=1.5)


class LastingWork:
    """The script of these runs: quick tool calls, then one after each pause, until `finish`."""

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
        call = bash(f"echo turn {number}", "Count")
        pause = None if number <= _QUICK_TURNS else _PAUSE
        return Turn(text=f"Turn {number}.", calls=(call,), delay=pause)
