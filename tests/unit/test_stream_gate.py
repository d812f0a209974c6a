"""The gate of streams ends those whose token is refused, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from uuid import uuid4

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bot.web.authentication import Authentication
from bot.web.streams.gate import StreamGate
from core.domain.actor import Action, Actor, Role
from core.domain.token import ApiToken, digest_of
from tests.database import NOW
from tests.limits import limit


class SlowTokens:
    """Answers a check only when it may; the token `old` has been revoked."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.is_asked, self.is_asked_again = asyncio.Event(), asyncio.Event()
        self.may_answer = asyncio.Event()

    async def authenticate(self, secret: str) -> ApiToken:
        raise AssertionError(secret)

    async def still_valid(self, digests: Collection[str]) -> dict[str, ApiToken]:
        self.asked.append(set(digests))
        (self.is_asked_again if self.may_answer.is_set() else self.is_asked).set()
        await self.may_answer.wait()
        valid = set(digests) - {digest_of("old")}
        return {
            digest: ApiToken(
                id=uuid4(), name=digest, created_at=NOW, role=Role.VIEWER, user_id=uuid4()
            )
            for digest in valid
        }


class Nobody:
    async def actor_of(self, slack_user_id: str) -> Actor:
        raise AssertionError(slack_user_id)

    async def audit_refusal(self, actor: Actor, action: Action, *, reason: str) -> None:
        raise AssertionError((actor, action, reason))


class OpenTransport(asyncio.Transport):
    def is_closing(self) -> bool:
        return False


def request_with(secret: str) -> web.Request:
    return make_mocked_request("GET", "/", headers={"x-api-key": secret}, transport=OpenTransport())


async def test_a_stream_that_opens_during_a_check_is_not_ended_by_it() -> None:
    tokens = SlowTokens()
    gate = StreamGate(
        authentication=Authentication(tokens=tokens, members=Nobody(), auditor=Nobody()),
        check_seconds=0.01,
    )

    with gate.place(request_with("old"), Role.VIEWER) as revoked:
        async with limit(10):
            await tokens.is_asked.wait()
        with gate.place(request_with("new"), Role.VIEWER) as opened:
            tokens.may_answer.set()
            async with limit(10):
                await tokens.is_asked_again.wait()

            assert revoked.is_stopped
            assert not opened.is_stopped

    assert tokens.asked[0] == {digest_of("old")}
    assert gate.open_count == 0
