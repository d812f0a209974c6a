"""Submitted forms, and the shortcut that opens one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.slack.commands.forms import read_continue_form, read_run_form
from bot.slack.inbound.request import Asked
from bot.slack.listeners.actions import Acts
from bot.slack.text import from_slack
from core.domain.actor import Actor


@dataclass(frozen=True)
class Forms:
    """The two forms."""

    acts: Acts

    async def start(self, asked: Asked, actor: Actor) -> None:
        """Start what the form says; sent twice, it starts once."""
        wish = read_run_form(_view(asked), request_key=_key(asked), team_id=self.acts.team_id)
        await self.acts.fulfil(wish, asked, actor)

    async def go_on(self, asked: Asked, actor: Actor) -> None:
        """Continue as the form says."""
        await self.acts.go_on(
            read_continue_form(_view(asked), request_key=_key(asked)), asked, actor
        )

    async def run_on_message(self, asked: Asked, actor: Actor) -> None:  # noqa: ARG002
        """Open the start form with a message's words as the task."""
        await self.acts.open_run_form(asked, task=from_slack(asked.text))


def _view(asked: Asked) -> dict[str, Any]:
    view = asked.body.get("view")
    return view if isinstance(view, dict) else {}


def _key(asked: Asked) -> str:
    """One form, one start: a form is closed once it was accepted."""
    return f"form:{_view(asked).get('id', asked.key)}"
