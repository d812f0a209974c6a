"""The API beside Slack: the same runs, the same rights, the same threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.sandbox.slack.people import ADA, BUILDS
from bot.web.route import API_ROOT
from core.domain.actor import SYSTEM, Role
from core.domain.token import NewToken
from core.store.database.engine import Database
from tests.api import CONSOLE
from tests.card import Card
from tests.harness import CONFIG, Harness, open_harness
from tests.lasting import LASTING, LastingWork
from tests.limits import limit

_END_SECONDS = 60


@dataclass
class Client:
    """A program that calls the API of a whole Signalbox."""

    harness: Harness
    http: aiohttp.ClientSession
    token: str

    async def get(self, path: str) -> Any:
        async with self.http.get(f"{API_ROOT}{path}", headers=self._headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def post(self, path: str, body: object) -> Any:
        async with self.http.post(
            f"{API_ROOT}{path}", json=body, headers=self._headers
        ) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def status_until(self, run_id: str, **wanted: object) -> Any:
        """Poll a status, as programs do, until these of its fields have these values."""
        async with limit(_END_SECONDS):
            while True:
                body = await self.get(f"{CONSOLE}/run/{run_id}/status")
                if all(body.get(name) == value for name, value in wanted.items()):
                    return body
                await asyncio.sleep(0.05)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@asynccontextmanager
async def open_client(
    database: Database, home: Path, *, channel: bool, user: bool
) -> AsyncIterator[Client]:
    """A Signalbox with a token for a person (`user`) or for a program that is an operator."""
    async with open_harness(database, home, transport="socket") as harness:
        if channel:
            file = home / "signalbox.toml"
            text = await asyncio.to_thread(file.read_text)
            await asyncio.to_thread(file.write_text, f'{text}\n[api]\nchannel = "{BUILDS}"\n')
        async with (
            harness.serving() as running,
            aiohttp.ClientSession(base_url=running.url) as http,
        ):
            request = NewToken(
                name="ci",
                role=None if user else Role.OPERATOR,
                slack_user_id=ADA if user else None,
            )
            _, token = await harness.backend.tokens.create(request, by=SYSTEM)
            yield Client(harness, http, token)
            await harness.settle()


async def card_of(harness: Harness) -> Card:
    """The only card in the channel, once it is there."""
    return await harness.human.wait_for(
        lambda: cards[0] if (cards := harness.run_cards()) else None, what="a card"
    )


async def test_a_members_run_through_the_api_has_the_same_card_and_figures(
    database: Database, tmp_path: Path
) -> None:
    async with open_client(database, tmp_path / "home", channel=True, user=True) as client:
        started = await client.post(f"{CONSOLE}/run/builder", {"message": "Add rate limiting"})
        card = await card_of(client.harness)
        await card.wait_until_completed()
        status = await client.status_until(started["run_id"], status="completed")
        seen = await client.harness.run_of(card)

        assert seen.run.run_id == started["run_id"]
        assert seen.owner is not None
        assert seen.owner.slack_user_id is not None
        assert seen.owner.slack_user_id in card.text
        assert (status["turns"], status["tool_calls"]) == (seen.run.turns, seen.run.tool_calls)
        assert status["cost"] == float(seen.run.cost_usd or 0) > 0
        assert [one["step_id"] for one in status["step_by_step_results"]] == [
            step.step_id for step in seen.steps
        ]
        assert status["exit_code"] == 0
        log = await client.get(f"{CONSOLE}/run/{started['run_id']}/logs")
        assert log["lines"][-1]["kind"]
        transcript = await client.get(f"{CONSOLE}/run/{started['run_id']}/transcript")
        assert any(one["entry"].get("type") == "assistant" for one in transcript["entries"])
        diff = await client.get(f"{CONSOLE}/run/{started['run_id']}/diff")
        assert diff["state"] in ("measured", "pending")


async def test_a_program_kills_and_continues_a_run_that_has_no_thread(
    database: Database, tmp_path: Path
) -> None:
    async with open_client(database, tmp_path / "home", channel=False, user=False) as client:
        lasting = LastingWork(client.harness.model)
        body = {"message": LASTING, "max_turns": 2}
        first = await client.post(f"{CONSOLE}/run/implement", body)
        limited = await client.status_until(first["run_id"], stop_reason="max_turns")

        asked = {
            "session_id": limited["session_id"],
            "additional_turns": 500,
            "message": LASTING,
        }
        second = await client.post(f"{CONSOLE}/run/implement/continue", asked)
        await client.status_until(second["run_id"], status="running")
        kill = await client.post(f"{CONSOLE}/run/{second['run_id']}/kill", {"reason": "enough"})
        await client.status_until(second["run_id"], status="killed")
        lasting.finish()
        (proof,) = (await client.get(f"{CONSOLE}/run/{second['run_id']}/terminations"))[
            "terminations"
        ]

        assert (limited["turns"], limited["max_turns"], limited["can_continue"]) == (2, 2, True)
        assert second["session_id"] == first["session_id"]
        assert second["max_turns"] == 500
        assert proof["termination_id"] == kill["termination_id"]
        assert (proof["is_confirmed"], proof["reason"]) == (True, "enough")
        assert proof["survivors"] == []
        assert client.harness.run_cards() == []


@pytest.mark.parametrize("roles", ['runner = ["S0"]', 'viewer = ["*"]'])
async def test_a_member_has_the_same_rights_as_in_slack(
    database: Database, tmp_path: Path, roles: str
) -> None:
    home = tmp_path / "home"
    async with open_harness(
        database, home, transport="socket", config=f"{CONFIG}\n[roles]\n{roles}\n"
    ) as harness:
        _, token = await harness.backend.tokens.create(
            NewToken(name="ada", slack_user_id=ADA), by=SYSTEM
        )
        async with (
            harness.serving() as running,
            aiohttp.ClientSession(base_url=running.url) as http,
            http.post(
                f"{API_ROOT}{CONSOLE}/run/builder",
                json={"message": "x"},
                headers={"x-api-key": token},
            ) as response,
        ):
            body = await response.json()

    assert response.status == 403
    assert body["error"] == ("role_too_low" if "viewer" in roles else "not_admitted")
