"""The answers to `workers` and `workspaces`: one line for each."""

from __future__ import annotations

from bot.slack import text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.words.fleet import fleet_lead, worker_facts
from bot.words.workspaces import disk_line, workspace_facts, workspace_title, workspaces_lead
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord
from core.domain.workspaces.record import ListedWorkspace, WorkspacesView

# The most characters of all lines together.
_LINES_LIMIT = 6500


def fleet_message(view: FleetSnapshot) -> Message:
    """Draw the fleet."""
    lead = fleet_lead(view, MRKDWN)
    lines = [_line(one, view) for one in view.workers]
    return Message(
        text=lead.replace("*", ""),
        blocks=tuple(blocks.paragraphs([lead, *blocks.fit_lines(lines, _LINES_LIMIT)])),
    )


def workspaces_message(view: WorkspacesView) -> Message:
    """Draw the workspaces, with the reason why each one stays."""
    lead = workspaces_lead(view, MRKDWN)
    lines = [
        *(disk_line(disk, MRKDWN) for disk in view.disks),
        *(_workspace_line(one, view) for one in view.workspaces),
    ]
    return Message(
        text=lead.replace("*", ""),
        blocks=tuple(blocks.paragraphs([lead, *blocks.fit_lines(lines, _LINES_LIMIT)])),
    )


def _workspace_line(listed: ListedWorkspace, view: WorkspacesView) -> str:
    title = MRKDWN.strong(workspace_title(listed, MRKDWN))
    return f"{title}\n{' · '.join(workspace_facts(listed, view, MRKDWN))}"


def _line(worker: WorkerRecord, view: FleetSnapshot) -> str:
    icon, facts = worker_facts(worker, view, MRKDWN)
    return (
        f"{icon} {text.code(worker.node, 60)} on {text.one_line(worker.machine, 60)}\n"
        f"{' · '.join(facts)}"
    )
