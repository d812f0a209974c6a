"""How what a command waited for has ended: a run by its status, a kill by its record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.cli.client.api import ApiAnswer, ApiClient, run_path
from bot.cli.client.exit_codes import ExitCode
from core.domain.kills.termination import Phase
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus, StopReason

# More turns, money or time finish these.
LIMITS = frozenset(
    {StopReason.MAX_TURNS, StopReason.BUDGET, StopReason.TIMEOUT, StopReason.USAGE_LIMIT}
)
# A kill takes 10 s; that of a run whose worker was lost waits until another one takes over.
_KILL_LIMIT = timedelta(minutes=2)
_PACE_SECONDS = 0.3


def code_of_end(status: Mapping[str, Any]) -> ExitCode:
    """The exit code of a command that waited for a run, from the status of the ended run.

    A run that completed is only clean if the evidence says so: if that could not be read, it needs
    a look.
    """
    if status.get("status") == RunStatus.COMPLETED:
        is_clean = status.get("outcome") == Outcome.CLEAN
        return ExitCode.DONE if is_clean else ExitCode.ATTENTION
    if status.get("status") == RunStatus.KILLED:
        return ExitCode.KILLED
    is_limit = status.get("stop_reason") in LIMITS and status.get("can_continue") is True
    return ExitCode.LIMIT if is_limit else ExitCode.FAILED


async def wait_for_proof(client: ApiClient, run_id: str, termination_id: str) -> ApiAnswer | None:
    """The kills of a run, once this one is proven, or known to have failed.

    Returns:
        `None` if that is still open after two minutes.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _KILL_LIMIT.total_seconds()
    while loop.time() < deadline:
        answer = await client.get(run_path(run_id, "terminations"))
        kill = find_kill(answer, termination_id)
        if kill is not None and (kill["is_confirmed"] or kill["phase"] == Phase.UNCONFIRMED):
            return answer
        await asyncio.sleep(_PACE_SECONDS)
    return None


def find_kill(answer: ApiAnswer, termination_id: str) -> Mapping[str, Any] | None:
    """One of the kills of a run."""
    kills: list[Mapping[str, Any]] = answer.body.get("terminations", [])
    return next((one for one in kills if one.get("termination_id") == termination_id), None)
