"""What the commands about workspaces do through the API, and what they print."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from bot.cli.client.api import ApiAnswer, ApiClient
from bot.cli.client.errors import BadArgument
from bot.cli.client.exit_codes import ExitCode
from bot.cli.client.output import note, output_width, say
from bot.cli.client.text_table import Column, table_lines
from bot.words.counts import megabytes
from bot.words.times import elapsed

_COLUMNS = (
    Column(title="WORKSPACE", most=24),
    Column(title="SESSION", most=30),
    Column(title="REPOSITORY", most=40),
    Column(title="SIZE", most=14),
    Column(title="USED", most=10),
    Column(title="STATE", most=None),
)
# A worker looks within 5 s, and examines one for three minutes at most.
_CLEAN_LIMIT = timedelta(minutes=4)
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class WorkspaceActs:
    """What commands about workspaces do.

    Attributes:
        as_json: Whether to print the API's JSON, for programs, and nothing else on standard output.
    """

    client: ApiClient
    as_json: bool

    async def workspaces(self) -> ExitCode:
        """List the workspaces."""
        found = await self.client.get("/workspaces")
        now = datetime.now(UTC)
        self._print(found, list_text(found.body, now=now, width=output_width()))
        return ExitCode.DONE

    async def clean(self, workspace_id: str, disk: str | None) -> ExitCode:
        """Remove a workspace, if everything in it can be restored.

        Returns:
            `FAILED` if it stays.
        """
        if not workspace_id.strip():
            raise BadArgument("WORKSPACE", "is empty")
        path = f"/workspaces/{quote(workspace_id.strip(), safe='')}"
        query = [] if disk is None else [("disk", disk)]
        asked = await self.client.post(_with_query(f"{path}/clean", query), {})
        found, deadline = asked, time.monotonic() + _CLEAN_LIMIT.total_seconds()
        while found.body["requested_at"] is not None:
            if time.monotonic() > deadline:
                note("The worker has not answered yet; `signalbox workspaces` shows what becomes.")
                return ExitCode.FAILED
            await asyncio.sleep(_POLL_SECONDS)
            found = await self.client.get(path, [("disk", str(asked.body["disk"]))])
        self._print(found, clean_text(found.body))
        return ExitCode.DONE if found.body["state"] == "removed" else ExitCode.FAILED

    def _print(self, answer: ApiAnswer, text: str) -> None:
        say(answer.text if self.as_json else text)


def list_text(body: Mapping[str, Any], *, now: datetime, width: int) -> str:
    """The workspaces as a table, and a line for each disk."""
    rows = [_row(one, now) for one in body["workspaces"]]
    lines = table_lines(_COLUMNS, rows, width=width) if rows else ["There is no workspace."]
    return "\n".join([*lines, *(_disk_line(disk) for disk in body["disks"])])


def clean_text(workspace: Mapping[str, Any]) -> str:
    """What became of a workspace that was to be removed."""
    if workspace["state"] == "removed":
        size = megabytes(workspace["reclaimed_bytes"] or 0)
        return (
            f"{workspace['workspace_id']} is removed, {size} reclaimed. It is built again when its "
            "session goes on."
        )
    return f"{workspace['workspace_id']} stays: {workspace['stays'] or 'nobody knows why'}."


def _row(workspace: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    is_removed = workspace["state"] == "removed"
    size = workspace["reclaimed_bytes" if is_removed else "size_bytes"]
    return (
        workspace["workspace_id"],
        workspace["session_name"] or workspace["task"] or "-",
        workspace["repo"] or "-",
        "-" if size is None else megabytes(size),
        elapsed(datetime.fromisoformat(workspace["used_at"]), now),
        _state(workspace),
    )


def _state(workspace: Mapping[str, Any]) -> str:
    if workspace["state"] != "present":
        return str(workspace["state"])
    if workspace["live_run"]:
        return f"in use by {workspace['live_run']}"
    if workspace["requested_at"]:
        return "to be removed"
    if workspace["removable"]:
        return "can go, but was used recently"
    return f"stays: {workspace['stays']}" if workspace["stays"] else "not examined yet"


def _disk_line(disk: Mapping[str, Any]) -> str:
    facts = [f"{megabytes(disk['free_bytes'])} free", f"{megabytes(disk['used_bytes'])} used"]
    if disk["max_bytes"] is not None:
        facts[-1] += f" of {megabytes(disk['max_bytes'])}"
    if disk["removable_bytes"]:
        facts.append(f"{megabytes(disk['removable_bytes'])} can go when room is needed")
    if disk["missing_bytes"]:
        facts.append(f"no room for a run: {megabytes(disk['missing_bytes'])} too little")
    return f"Disk of {disk['machine']} ({disk['disk']}): {', '.join(facts)}"


def _with_query(path: str, query: list[tuple[str, str]]) -> str:
    return path + "".join(f"?{name}={quote(value, safe='')}" for name, value in query)
