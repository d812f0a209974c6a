"""The answer to a person in a conversation in which Signalbox cannot work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from bot.slack.client.errors import SlackRefused
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.web_api import Slack, open_slack_client
from bot.slack.inbound.access import Access, AccessPolicy, NotAdmitted
from bot.slack.inbound.installation import Installation
from bot.slack.inbound.origin import DeliveryOrigin
from bot.slack.inbound.request import RequestKind, SlackRequest
from core.domain.actor import Action
from tests.fakes.services import FakeServices

TEAM = "T1"


@dataclass(frozen=True)
class RefusingSlack(Slack):
    """A Slack that knows the person and refuses calls about the conversation."""

    name: str = ""

    async def call(self, method: str, **_given: Any) -> dict[str, Any]:
        """Answer as Slack does."""
        if method == "conversations.info":
            raise SlackRefused(method, self.name)
        return {"user": {"id": "U1", "team_id": TEAM, "name": "ann"}}


async def answer_for(name: str) -> str:
    """The answer to a person if Slack refuses with this error."""
    async with open_slack_client(
        token="xoxb-1", rate_limiter=RateLimiter(now=time.monotonic)
    ) as client:
        slack = RefusingSlack(
            client.web, client.session, client.rate_limiter, client.limits, name=name
        )
        access = Access(
            installation=Installation(team_id=TEAM, bot_user_id="UBOT"),
            slack=slack,
            policy=AccessPolicy(),
            people=FakeServices(),
            now=time.monotonic,
        )
        request = SlackRequest(
            kind=RequestKind.COMMAND,
            body={},
            origin=DeliveryOrigin(team_ids=frozenset({TEAM})),
            user_id="U1",
            channel_id="C1",
        )
        with pytest.raises(NotAdmitted) as refused:
            await access.admit(request, Action.START)
    return refused.value.user_message


async def test_the_answer_never_suggests_an_invitation_to_a_group_message() -> None:
    words = await answer_for("missing_scope")

    assert "/invite" not in words
    assert "Use a channel it is in, or write to @signalbox directly" in words


async def test_an_invisible_conversation_gets_both_hints() -> None:
    words = await answer_for("channel_not_found")

    assert "`/invite @signalbox`" in words
    assert "In a group direct message that is not possible: use a channel" in words
