"""Messages of people: mentions of the bot, and replies in a run's thread."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cachetools import TTLCache

from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from bot.slack.listeners.marks import marked
from bot.slack.text import from_slack
from bot.slack.views.errors import private_message
from bot.slack.views.runs.reply_question import reply_question
from core.domain.actor import Action, Actor, is_allowed
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import SETUP_FAILURES, Run, RunStatus
from core.domain.sessions.recovery import needs_recovery


def _is_to_somebody_else(request: SlackRequest) -> bool:
    """Whether a reply begins with the mention of a person: then they are asked, not the agent."""
    return re.match(r"\s*<@[UW][A-Z0-9]+(?:\|[^<>]*)?>", request.text) is not None


def is_not_addressed(request: SlackRequest) -> bool:
    """Whether the message is not for the bot: no mention, and not the start of a direct message."""
    return not request.mentions_bot and not (request.is_direct and request.thread_ts is None)


@dataclass(frozen=True)
class Messages:
    """Handlers of messages to the bot and in threads of runs.

    Attributes:
        hint_cache: Hints that were sent, by person and thread, so that none is repeated.
    """

    actions: BotActions
    hint_cache: TTLCache[str, bool]

    async def is_relevant(self, request: SlackRequest) -> bool:
        """Whether the message is for the bot, or in the thread of a run."""
        return not is_not_addressed(request) or await self._run_of(request) is not None

    async def handle(self, request: SlackRequest, actor: Actor) -> None:
        """Execute a mention as a command; use a reply in a run's thread to continue that run."""
        run = await self._run_of(request)
        if not is_not_addressed(request):
            async with marked(self.actions.slack, request):
                command = await self.actions.parse(
                    request, thread_run_id=run.run_id if run else None, is_slash=False
                )
                await self.actions.execute(command, request, actor)
        elif run is not None and is_allowed(actor, Action.CONTINUE, run):
            await self._handle_reply(run, request, actor)

    async def _handle_reply(self, run: Run, request: SlackRequest, actor: Actor) -> None:
        """Continue a run that a limit or a failure stopped; otherwise ask or explain.

        A reply to a run that a person killed, or that is finished, may be a word of thanks: it
        starts nothing by itself.
        """
        if _is_to_somebody_else(request):
            return
        if run.is_live:
            await self._hint(
                request,
                "Your reply did not reach the agent: it is working and takes no messages now. "
                "When it has stopped, a reply here continues it. To stop it now, mention me: "
                "`kill`.",
            )
        elif run.can_continue and run.status is not RunStatus.KILLED and not needs_recovery(run):
            await self.actions.continue_run(
                ContinueRequest(
                    target=run.run_id,
                    request_key=request.key or "",
                    message=from_slack(request.text),
                ),
                request,
                actor,
                is_in_thread=True,
            )
        elif run.stop_reason in SETUP_FAILURES and not needs_recovery(run):
            await self._hint(
                request,
                "This run never began, so it cannot be continued and your reply started nothing. "
                "Fix the problem that its result names, then start it again: `/workflow run`.",
            )
        else:
            question = reply_question(run, from_slack(request.text))
            await self.actions.answers.send_private(request, question)

    async def _hint(self, request: SlackRequest, words: str) -> None:
        key = f"{request.user_id}:{request.channel_id}:{request.thread_ts}:{words[:20]}"
        if self.hint_cache.get(key) is None:
            self.hint_cache.setdefault(key, True)
            await self.actions.answers.send_private(request, private_message(words))

    async def _run_of(self, request: SlackRequest) -> Run | None:
        if request.thread_ts is None or request.channel_id is None:
            return None
        return await self.actions.runs.run_of_thread(
            channel_id=request.channel_id, thread_ts=request.thread_ts
        )
