"""A session of three legs: turns, tokens and cost of each and in sum, on every surface.

They are compared with the account of the scripted model, which counts where it answers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from bot.assembly.web.local_access import read_access
from bot.cli.client.exit_codes import ExitCode
from bot.cli.sessions.texts import session_text, spent_of
from bot.sandbox.model.script import (
    Conversation,
    Failure,
    FailureKind,
    Script,
    Tokens,
    Turn,
    bash,
)
from bot.slack.views.lists import status_message
from bot.slack.views.runs.links import NO_LINKS
from bot.slack.views.runs.sessions import session_message
from bot.web.api.sessions.answers import leg_list, session_answer
from bot.words.spending import spent_words
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import Run
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_cli import Person, harness, up
from tests.harness import Harness
from tests.limits import limit
from tests.unit.view_helpers import text_of

__all__ = ["core_harness", "harness"]

pytestmark = pytest.mark.sampled(1)

MODEL = "claude-haiku-4-5"
# US dollars for a token of this model, written down here: input, output.
_INPUT, _OUTPUT = Decimal("0.000001"), Decimal("0.000005")
# The tokens of each answer, by leg, so that no two legs are alike.
_TOKENS = {
    1: Tokens(input=1_000, output=50, cache_read=0, cache_creation=0),
    2: Tokens(input=2_000, output=70, cache_read=0, cache_creation=0),
    3: Tokens(input=4_000, output=90, cache_read=0, cache_creation=0),
}
_NO_ANSWER = Turn(failure=Failure(kind=FailureKind.HANG, times=None))


class Account:
    """Plays three legs, and counts its answers by leg."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()

    def play(self, conversation: Conversation) -> Turn:
        leg = len(conversation.follow_ups) + 1
        turn = self._turn(leg, conversation)
        if turn.failure is None:
            self.answers[leg] += 1
        return turn

    def _turn(self, leg: int, conversation: Conversation) -> Turn:
        tokens = _TOKENS[leg]
        if leg == 1:
            return Turn(text="More.", calls=(bash("echo more", "Count"),), tokens=tokens)
        if leg == 2:
            if not conversation.unanswered:
                # The program is being stopped, and does not live to hear it.
                return _NO_ANSWER
            return Turn(text="Long.", calls=(bash("sleep 600", "Sleep"),), tokens=tokens)
        if conversation.unanswered:
            return Turn(text="Again.", calls=(bash("echo again", "Count"),), tokens=tokens)
        return Turn(text="## Summary\n\nAll pieces are counted.", tokens=tokens)

    def figures(self, leg: int) -> tuple[int, int, int, Decimal]:
        """Turns, tokens in, tokens out, and cost of a leg."""
        count, tokens = self.answers[leg], _TOKENS[leg]
        given, written = count * (tokens.input or 0), count * (tokens.output or 0)
        return count, given, written, given * _INPUT + written * _OUTPUT


async def second_leg(get: Callable[[str], Awaitable[Any]]) -> str:
    """The id of the second leg, once its agent is in its tool."""
    async with limit(45):
        while True:
            legs = (await get("/sessions/pieces/legs"))["legs"]
            if len(legs) == 2 and legs[1]["turns"]:
                status = await get(f"/workflows/claude-code/run/{legs[1]['run_id']}/status")
                if status["tool_calls"]:
                    return str(legs[1]["run_id"])
            await asyncio.sleep(0.2)


def figures_of(spent: dict[str, object]) -> tuple[object, object, object, Decimal]:
    """The same, as a surface has it."""
    tokens = spent["tokens"]
    assert isinstance(tokens, dict)
    found = spent_of(spent)
    assert (found.unknown, found.unknown_usage) == (0, 0)
    cost = found.reported_usd + found.estimated_usd
    return spent["turns"], tokens["input"], tokens["output"], cost


def sum_of(figures: Sequence[tuple[int, int, int, Decimal]]) -> tuple[int, int, int, Decimal]:
    """The figures of several legs together."""
    return (
        sum(one[0] for one in figures),
        sum(one[1] for one in figures),
        sum(one[2] for one in figures),
        sum((one[3] for one in figures), Decimal(0)),
    )


@asynccontextmanager
async def api_of(harness: Harness) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Reads the API of a running `up`."""
    access = read_access(harness.home)
    assert access is not None
    headers = {"Authorization": f"Bearer {access.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def get(path: str) -> Any:
            async with http.get(f"{access.url}/api/v1{path}") as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        yield get


async def test_three_legs_are_exact_in_what_each_surface_draws(core_harness: CoreHarness) -> None:
    account, operator = Account(), core_harness.operator
    core_harness.model.script = Script(name="account", description="", play=account.play)

    async def go_on(message: str) -> Run:
        request = ContinueRequest(
            target="pieces", request_key=message, message=message, additional_turns=10
        )
        return (await core_harness.backend.runs.continue_run(request, by=operator)).run

    async with core_harness.worker():
        first = await core_harness.start(
            "Count the pieces", model=MODEL, max_turns=3, session_name="pieces"
        )
        await core_harness.wait_until_ended(first)
        second = await go_on("go on 2")
        await core_harness.wait_until(second, lambda seen: seen.run.tool_calls >= 1)
        await core_harness.backend.runs.kill(KillRequest(target=second.run_id), by=operator)
        await core_harness.wait_until_ended(second)
        last = await core_harness.wait_until_ended(await go_on("go on 3"))
    history = await core_harness.backend.sessions.history("PIECES", by=operator)

    api = leg_list(history).model_dump(mode="json")
    session = session_answer(history.overview).model_dump(mode="json")
    terminal = session_text(session, api, width=200)
    slack = text_of(session_message(history, links=NO_LINKS))
    status = text_of(status_message(last, now=datetime.now(UTC)))
    expected = [account.figures(leg) for leg in (1, 2, 3)]
    assert dict(account.answers) == {1: 3, 2: 1, 3: 2}
    assert [figures_of(leg["spent"]) for leg in api["legs"]] == expected
    assert figures_of(api["spent"]) == sum_of(expected)
    assert api["spent"] == api["lineage"] == session["spent"]
    for leg in api["legs"]:
        words = spent_words(spent_of(leg["spent"]))
        assert words in terminal
        assert words in slack
    together = spent_words(history.spent)
    assert all(together in surface for surface in (terminal, slack, status))
    assert "leg 3 of 3" in status
    assert "Count the pieces" in status


@pytest.mark.slow
async def test_three_legs_are_exact_on_every_surface(harness: Harness) -> None:
    account, person = Account(), Person(harness.home)
    harness.model.script = Script(name="account", description="", play=account.play)
    async with up(harness), api_of(harness) as get:
        card = await harness.run(
            f"builder --turns 3 --model {MODEL} --session pieces Count the pieces"
        )
        await card.wait_for_button("+20 turns")
        await harness.command("continue pieces +10 go on 2")
        second = await second_leg(get)
        await harness.command(f"kill {second[:8]}")
        await card.wait_for_turns_left()
        echoed = next(text for text in harness.private_messages() if "Its card shows the" in text)
        done = await person.types("continue", "pieces", "--wait", "go on 3")
        await card.wait_until_completed()
        legs = await person.reads("sessions", "pieces")
        shown = await person.types("sessions", "pieces")
        listed = await person.types("sessions")
        session = await get("/sessions/PIECES")
        status = await harness.command_and_wait("status pieces", "Together")
        sessions = await harness.command_and_wait("sessions", "last used first")
        await harness.settle()

    # It changed nothing.
    assert done.status == ExitCode.ATTENTION, done.output + done.errors
    assert "“Count the pieces” · leg 2 (" in echoed
    assert dict(account.answers) == {1: 3, 2: 1, 3: 2}
    expected = [account.figures(leg) for leg in (1, 2, 3)]
    assert [figures_of(leg["spent"]) for leg in legs["legs"]] == expected
    assert [leg["turns"] for leg in legs["legs"]] == [3, 1, 2]
    assert [len(leg["processes"]) for leg in legs["legs"]] == [1, 1, 1]
    assert figures_of(legs["spent"]) == sum_of(expected)
    assert legs["spent"] == legs["lineage"] == session["spent"]

    together = spent_words(spent_of(legs["spent"]))
    for surface in (shown.output, status):
        assert together in surface, surface
        for leg in legs["legs"]:
            assert spent_words(spent_of(leg["spent"])) in surface
    assert "3 legs · 6 turns" in sessions
    assert "pieces" in listed.output
    assert [leg["task"] for leg in legs["legs"]] == ["Count the pieces"] * 3
    assert "leg 3 of 3" in card.text
    assert "Count the pieces" in card.text
