"""Requests to the operators, from people who were refused."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.request import SlackRequest
from bot.slack.ports import SnapshotReader
from bot.slack.views.errors import private_message
from bot.slack.views.runs.refusals import ASKED_ACTIONS, request_to_operators
from core.domain.actor import Actor, is_allowed

# So many are called; more would be a crowd.
_MAX_CALLED = 5


@dataclass(frozen=True)
class OperatorRequests:
    """Handles the button "Ask an operator" of a refusal.

    Attributes:
        operators: Ids of members and user groups that `[roles]` lists.
        asked: What was asked a short time ago, by person, button and run.
    """

    runs: SnapshotReader
    answers: PrivateAnswers
    operators: Sequence[str]
    asked: MutableMapping[str, bool]

    async def ask(self, request: SlackRequest, actor: Actor) -> None:
        """Post the request in the thread of the run, once in a while, and say so."""
        action = ASKED_ACTIONS[request.action_id]
        snapshot = await self.runs.snapshot(request.value, by=actor)
        run_id, card = snapshot.run.run_id, snapshot.card
        if is_allowed(actor, action, snapshot.run):
            words = "You may do that yourself by now: try again."
        elif card is None:
            words = (
                f"The thread of `{run_id}` is not in Slack, so ask its owner or an operator in "
                "person."
            )
        else:
            key = f"{request.user_id}:{request.action_id}:{run_id}"
            is_posted = self.asked.get(key, False) or await self.answers.post_in_thread(
                card.channel_id,
                card.message_ts,
                request_to_operators(
                    snapshot, action, by=actor, operators=self.operators[:_MAX_CALLED]
                ),
            )
            self.asked[key] = is_posted
            words = (
                f"Asked in the thread of `{run_id}`: the owner and the operators have a button "
                "there."
                if is_posted
                else "Slack does not let me ask in its thread now. Try again in a minute."
            )
        await self.answers.send_private(request, private_message(words))
