"""The test results that commands of the agent print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.test_output.commands import only_shows_text
from core.domain.test_output.counts import NO_RESULTS, ResultsByEcosystem
from core.domain.test_output.parse import parse_test_results

# The tools that run programs, or fetch the output of one in the background.
_COMMAND_TOOLS = frozenset({"Bash", "BashOutput", "TaskOutput"})
# Calls without a result, of a program that sends none; it waits for those of one answer.
_MAX_OPEN_CALLS = 1_000


class CommandOutputs:
    """Knows which results are outputs of commands that do something.

    In a file that is read, with a tool or with `cat`, tests are a text.
    """

    def __init__(self) -> None:
        self._open_calls: set[str] = set()

    def add_call(self, call_id: str, tool: str, tool_input: Mapping[str, Any]) -> None:
        """Note a call of a tool."""
        is_command = tool in _COMMAND_TOOLS and not only_shows_text(tool_input.get("command"))
        if is_command and len(self._open_calls) < _MAX_OPEN_CALLS:
            self._open_calls.add(call_id)

    def test_results(self, call_id: str, output: str) -> ResultsByEcosystem:
        """The test results in the whole output of a call; empty if it ran no command."""
        if call_id not in self._open_calls:
            return NO_RESULTS
        self._open_calls.discard(call_id)
        return parse_test_results(output)
