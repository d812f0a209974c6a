"""The buttons of cards and private questions; their values are described in `bot.slack.ids`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.slack import ids
from bot.slack.commands.command import AskRestart
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from core.domain.actor import Actor
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest


@dataclass(frozen=True)
class Buttons:
    """Handlers of pressed buttons.  The card shows the effect, so most send no answer."""

    actions: BotActions

    async def kill(self, request: SlackRequest, actor: Actor) -> None:
        """Kill the run."""
        command = KillRequest(target=request.value, request_key=request.key)
        await self.actions.runs.kill(command, by=actor)

    async def force_kill(self, request: SlackRequest, actor: Actor) -> None:
        """Kill the run without grace."""
        command = KillRequest(target=request.value, force=True, request_key=request.key)
        await self.actions.runs.kill(command, by=actor)

    async def confirm_kill(self, request: SlackRequest, actor: Actor) -> None:
        """Kill the run of a private question; the button's value is the command that was typed."""
        command = await self.actions.parse(
            replace(request, text=request.value), thread_run_id=None, is_slash=True
        )
        if isinstance(command, KillRequest):
            await self.actions.kills.kill_confirmed(command, request, actor)

    async def kill_listed(self, request: SlackRequest, actor: Actor) -> None:
        """Kill the run of a list's row; ask first if it is somebody else's."""
        await self.actions.kills.kill_one(KillRequest(target=request.value), request, actor)

    async def open_run_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the form that starts a run."""
        await self.actions.open_run_form(request, actor)

    async def ask_operator(self, request: SlackRequest, actor: Actor) -> None:
        """Ask the owner and the operators for what was refused."""
        await self.actions.operators.ask(request, actor)

    async def open_kill_many_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the form that a mention could not open, since only a button brings a trigger."""
        command = await self.actions.parse(
            replace(request, text=request.value), thread_run_id=None, is_slash=True
        )
        if isinstance(command, KillSelection):
            await self.actions.kills.ask_kill_many(command, request, actor)

    async def continue_run(self, request: SlackRequest, actor: Actor) -> None:
        """Continue the run for the button's number of turns, or for those that it had left."""
        command = ContinueRequest(
            target=request.value,
            request_key=request.key or "",
            additional_turns=ids.CONTINUE_TURNS.get(request.action_id),
            is_click=True,
        )
        await self.actions.continue_run(command, request, actor, is_in_thread=True)

    async def continue_with_reply(self, request: SlackRequest, actor: Actor) -> None:
        """Continue a run with the person's reply; the button's value is that as a command."""
        command = await self.actions.parse(
            replace(request, text=request.value), thread_run_id=None, is_slash=True
        )
        if isinstance(command, ContinueRequest):
            command = replace(command, is_click=True)
            await self.actions.continue_run(command, request, actor, is_in_thread=True)

    async def open_details(self, request: SlackRequest, actor: Actor) -> None:
        """Open the modal with all figures of the run."""
        await self.actions.open_details(request, actor, request.value)

    async def choose(self, request: SlackRequest, actor: Actor) -> None:
        """Do what the button would do that the chosen option of a menu stands for."""
        action_id, run_id = ids.from_menu_value(request.value)
        chosen = replace(request, action_id=action_id, value=run_id)
        if action_id == ids.DETAILS:
            await self.open_details(chosen, actor)
        elif action_id == ids.CONTINUE_MORE:
            await self.open_continue_form(chosen, actor)
        elif action_id == ids.RESTART:
            await self.open_restart_form(chosen, actor)
        elif action_id == ids.CONTINUE_RECOVERY:
            await self.open_recovery_form(chosen, actor)
        elif action_id in ids.CONTINUE_TURNS:
            await self.continue_run(chosen, actor)

    async def open_continue_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the modal for the number of turns and the message to continue with."""
        await self.actions.open_continue_form(request, actor, request.value)

    async def open_restart_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the form that asks from where to restart the run."""
        await self.actions.restarts.ask(AskRestart(target=request.value), request, actor)

    async def confirm_restart(self, request: SlackRequest, actor: Actor) -> None:
        """Restart the run of a private question; the button's value is the command."""
        command = await self.actions.parse(
            replace(request, text=request.value), thread_run_id=None, is_slash=True
        )
        if isinstance(command, AskRestart):
            await self.actions.restarts.confirm(command, request, actor)

    async def open_recovery_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the modal that begins a recovery leg."""
        await self.actions.open_continue_form(request, actor, request.value, is_recovery=True)
