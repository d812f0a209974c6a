"""What `signalbox restart` does: the preview, the question, and the restart."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.cli.client.acts.runs import Acts
from bot.cli.client.api import run_path
from bot.cli.client.errors import BadArgument
from bot.cli.client.exit_codes import ExitCode
from bot.cli.client.output import note, say

_YES = frozenset({"y", "yes"})


@dataclass(frozen=True)
class RestartActs:
    """Restarts runs through the API."""

    acts: Acts

    async def preview(self, target: str, body: Mapping[str, Any]) -> ExitCode:
        """Show what a restart would do; the exit code tells whether it is possible."""
        answer = await self.acts.client.post(_path(target), {**body, "preview": True})
        found = answer.body["preview"]
        say(answer.text if self.acts.as_json else _preview_text(found))
        return ExitCode.DONE if found["is_possible"] else ExitCode.CONFLICT

    async def restart(
        self, target: str, body: Mapping[str, Any], *, asks: bool, waits: bool
    ) -> ExitCode:
        """Restart a run, after a question unless `asks` is false.

        Raises:
            BadArgument: If there is nobody to ask.
        """
        if asks:
            answer = await self.acts.client.post(_path(target), {**body, "preview": True})
            found = answer.body["preview"]
            note(_preview_text(found))
            if not found["is_possible"]:
                return ExitCode.CONFLICT
            if not sys.stdin.isatty():
                raise BadArgument("--yes", "is needed where nobody can be asked.")
            note("Restart it? [y/N]")
            line = await asyncio.to_thread(sys.stdin.readline)
            if line.strip().lower() not in _YES:
                note("Nothing was started.")
                return ExitCode.FAILED
        return await self.acts.begin(_path(target), body, waits=waits)


def _path(target: str) -> str:
    if not target.strip():
        raise BadArgument("RUN", "is empty.")
    return run_path(target.strip(), "restart")


def _preview_text(preview: Mapping[str, Any]) -> str:
    lines = [str(preview["text"])]
    points = preview.get("checkpoints") or []
    if points:
        lines.append("Checkpoints:")
        lines += [
            f"  @{one['number']} {one.get('step_name') or ''} ({one['turns']} turns)"
            for one in points
        ]
    return "\n".join(lines)
