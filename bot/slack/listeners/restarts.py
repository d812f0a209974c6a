"""Restarts: the form with its preview, the question where no form can be opened, and the act."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bot.slack.client.errors import SlackError
from bot.slack.client.web_api import Slack
from bot.slack.commands.command import AskRestart
from bot.slack.commands.forms import read_restart_form
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.fields import part_of, private_metadata, text_of
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.open_form import log_unopened
from bot.slack.ports import Restarter, SnapshotReader
from bot.slack.views.errors import error_words
from bot.slack.views.message import View
from bot.slack.views.runs import restart as views
from core.domain.actor import Action, Actor
from core.domain.errors import OpsError
from core.domain.runs.request import Place
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.restarts.request import RestartMode, RestartRequest


@dataclass(frozen=True)
class RestartActions:
    """Shows what a restart would do, and restarts.

    Attributes:
        team_id: The workspace of the bot.
    """

    restarts: Restarter
    runs: SnapshotReader
    slack: Slack
    answers: PrivateAnswers
    team_id: str

    async def ask(self, command: AskRestart, request: SlackRequest, actor: Actor) -> None:
        """Show what a restart would do, in a form or privately; nothing is started yet."""
        named = await self.runs.snapshot(command.target, by=actor, action=Action.RESTART)
        exact = replace(command, target=named.run.run_id)
        channel = request.channel_id or await self.slack.direct_channel(request.user_id or "")
        view_id = await self._open_form(exact, request, channel)
        if view_id is None:
            preview = await self._preview(exact, actor)
            await self.answers.send_private(request, views.restart_question(preview, exact))
            return
        await self._show(view_id, await self._drawn(exact, actor, channel))

    async def choose_point(self, request: SlackRequest, actor: Actor) -> None:
        """Show what the point would do that was chosen in the form."""
        await self._choose(request, actor)

    async def choose_mode(self, request: SlackRequest, actor: Actor) -> None:
        """Show what would happen if only that goes back which was chosen in the form."""
        await self._choose(request, actor)

    async def submit(self, request: SlackRequest, actor: Actor) -> None:
        """Restart as the form says; a form that is sent twice restarts once."""
        view = part_of(request.body, "view")
        key = f"form:{view.get('id', request.key)}"
        await self._restart(read_restart_form(view, request_key=key), request, actor)

    async def confirm(self, command: AskRestart, request: SlackRequest, actor: Actor) -> None:
        """Restart as the private question said, and replace the question by the answer."""
        wanted = _wanted(command, request.key or "")
        started = await self.restarts.restart(wanted, by=actor, place=self._place(request))
        await self.answers.replace_question(request, views.restarted(started))

    async def _restart(self, wanted: RestartRequest, request: SlackRequest, actor: Actor) -> None:
        started = await self.restarts.restart(wanted, by=actor, place=self._place(request))
        await self.answers.send_private(request, views.restarted(started))

    async def _choose(self, request: SlackRequest, actor: Actor) -> None:
        view = part_of(request.body, "view")
        chosen = _chosen(view)
        view_id, target = text_of(view, "id"), text_of(private_metadata(view), "run_id")
        if view_id is None or target is None:
            return
        command = replace(chosen, target=target)
        channel = request.channel_id or ""
        await self._show(view_id, await self._drawn(command, actor, channel))

    async def _open_form(
        self, command: AskRestart, request: SlackRequest, channel: str
    ) -> str | None:
        """Open the form while the checks are not made yet; a trigger lives only seconds."""
        if request.trigger_id is None or request.is_replay:
            return None
        view = views.looking_view(command.target, channel_id=channel)
        try:
            opened = await self.slack.call("views.open", trigger_id=request.trigger_id, view=view)
        except SlackError as error:
            log_unopened(error, request)
            return None
        return text_of(part_of(opened, "view"), "id")

    async def _show(self, view_id: str, view: View) -> None:
        await self.slack.call("views.update", view_id=view_id, view=view)

    async def _drawn(self, command: AskRestart, actor: Actor, channel: str) -> View:
        try:
            preview = await self._preview(command, actor)
        except OpsError as error:
            return views.refused_view(error_words(error), run_id=command.target, channel_id=channel)
        return views.restart_form(preview, channel_id=channel, message=command.message or "")

    async def _preview(self, command: AskRestart, actor: Actor) -> RestartPreview:
        return await self.restarts.preview(_wanted(command, ""), by=actor)

    def _place(self, request: SlackRequest) -> Place | None:
        if request.channel_id is None:
            return None
        return Place(team_id=self.team_id, channel_id=request.channel_id)


def _wanted(command: AskRestart, request_key: str) -> RestartRequest:
    is_start = command.checkpoint is None
    return RestartRequest(
        target=command.target,
        request_key=request_key,
        checkpoint=command.checkpoint,
        mode=RestartMode.FORK if is_start else command.mode,
        message=command.message,
    )


def _chosen(view: Any) -> AskRestart:
    """What is chosen in the form now, without its run."""
    wanted = read_restart_form(view, request_key="")
    return AskRestart(
        target="",
        checkpoint=wanted.checkpoint,
        is_chosen=True,
        mode=wanted.mode,
        message=wanted.message,
    )
