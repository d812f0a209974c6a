"""What people write: mentions of the bot, and replies in a run's thread."""

from __future__ import annotations

from dataclasses import dataclass

from bot.slack.client.cached import Kept
from bot.slack.inbound.request import Asked
from bot.slack.listeners.actions import Acts
from bot.slack.text import from_slack
from bot.slack.views.errors import private
from core.domain.actor import Action, Actor, may
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import NOT_READY, Run


def is_overheard(asked: Asked) -> bool:
    """Whether people talk to each other in a thread, rather than to the bot."""
    return not asked.mentions_bot and not (asked.is_direct and asked.thread_ts is None)


@dataclass(frozen=True)
class Messages:
    """Messages that concern the bot.

    Attributes:
        hinted: Who was told how to go on in which thread; nobody is told twice.
    """

    acts: Acts
    hinted: Kept[bool]

    async def concerns_us(self, asked: Asked) -> bool:
        """Whether it is said to the bot, or in the thread of a run."""
        return not is_overheard(asked) or await self._run_of(asked) is not None

    async def said(self, asked: Asked, actor: Actor) -> None:
        """Obey a mention, or take a reply in the thread of an ended run as words for it."""
        run = await self._run_of(asked)
        if not is_overheard(asked):
            wish = await self.acts.understand(
                asked, thread_run=run.run_id if run else None, is_slash=False
            )
            await self.acts.fulfil(wish, asked, actor)
        elif run is not None and may(actor, Action.CONTINUE, run):
            await self._replied(run, asked, actor)

    async def _replied(self, run: Run, asked: Asked, actor: Actor) -> None:
        """Continue what stopped unfinished; where that is not meant, say what can be done."""
        if run.is_live:
            await self._hint(
                asked,
                "Your reply did not reach the agent: it is working and cannot be spoken to now. "
                "When it has stopped, a reply here continues it. To stop it now, mention me: "
                "`kill`.",
            )
        elif run.can_continue:
            await self.acts.go_on(
                ContinueRequest(
                    named=run.run_id,
                    request_key=asked.key or "",
                    message=from_slack(asked.text),
                ),
                asked,
                actor,
            )
        elif run.stop_reason in NOT_READY:
            await self._hint(
                asked,
                "This run never began, so there is nothing to go on with and your reply started "
                "nothing. Mend what its result names, then start it again: `/workflow run`.",
            )
        else:
            await self._hint(
                asked,
                "This run is finished, so your reply started nothing. To go on in its session, "
                "mention me: `continue` and what is to be done.",
            )

    async def _hint(self, asked: Asked, words: str) -> None:
        key = f"{asked.user_id}:{asked.channel_id}:{asked.thread_ts}:{words[:20]}"
        if self.hinted.get(key) is None:
            self.hinted.keep(key, value=True)
            await self.acts.answers.privately(asked, private(words))

    async def _run_of(self, asked: Asked) -> Run | None:
        if asked.thread_ts is None or asked.channel_id is None:
            return None
        return await self.acts.runs.run_of_thread(
            channel_id=asked.channel_id, thread_ts=asked.thread_ts
        )
