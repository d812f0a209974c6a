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
    """Handlers of the forms that start and continue runs."""

    actions: BotActions

    async def start(self, request: SlackRequest, actor: Actor) -> None:
        """Start a run from the form; a form that is sent twice starts one run."""
        command = read_run_form(
            _view(request), request_key=_key(request), team_id=self.actions.team_id
        )
        await self.actions.execute(command, request, actor)

    async def continue_run(self, request: SlackRequest, actor: Actor) -> None:
        """Continue a run from the form, which a button of its card opens."""
        await self.actions.continue_run(
            read_continue_form(_view(request), request_key=_key(request)),
            request,
            actor,
            is_in_thread=True,
        )

    async def run_on_message(self, request: SlackRequest, actor: Actor) -> None:
        """Open the start form with a message's text as the task."""
        await self.actions.open_run_form(request, actor, task=from_slack(request.text))


def _view(request: SlackRequest) -> dict[str, Any]:
    view = request.body.get("view")
    return view if isinstance(view, dict) else {}


def _key(request: SlackRequest) -> str:
    """The same key for each submission of one opened form, since one form starts one run."""
    return f"form:{_view(request).get('id', request.key)}"
