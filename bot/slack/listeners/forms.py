"""Submitted forms, and the shortcut that opens one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.slack.commands.forms import read_continue_form, read_run_form
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from bot.slack.text import from_slack
from core.domain.actor import Actor


@dataclass(frozen=True)
class Forms:
    """The two forms."""

    actions: BotActions

    async def start(self, request: SlackRequest, actor: Actor) -> None:
        """Start what the form says; sent twice, it starts once."""
        command = read_run_form(
            _view(request), request_key=_key(request), team_id=self.actions.team_id
        )
        await self.actions.execute(command, request, actor)

    async def continue_run(self, request: SlackRequest, actor: Actor) -> None:
        """Continue as the form says."""
        await self.actions.continue_run(
            read_continue_form(_view(request), request_key=_key(request)), request, actor
        )

    async def run_on_message(self, request: SlackRequest, actor: Actor) -> None:  # noqa: ARG002
        """Open the start form with a message's words as the task."""
        await self.actions.open_run_form(request, task=from_slack(request.text))


def _view(request: SlackRequest) -> dict[str, Any]:
    view = request.body.get("view")
    return view if isinstance(view, dict) else {}


def _key(request: SlackRequest) -> str:
    """One form, one start: a form is closed once it was accepted."""
    return f"form:{_view(request).get('id', request.key)}"
