"""Errors of the model's API, as the real one and gateways answer them: each says what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.words.runs.failures import FAILURES
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import RunStatus, StopReason
from core.store.database.engine import Database
from tests.card import Card
from tests.harness import Harness, open_harness, socket_harness

__all__ = ["socket_harness"]


@dataclass(frozen=True)
class Expected:
    """What is shown and stored of an error."""

    scenario: str
    cause: FailureCause
    title: str
    remedy: str
    evidence: Mapping[str, str | int]


ERRORS = [
    Expected(
        "401",
        FailureCause.CREDENTIALS_REFUSED,
        "The API key is not valid",
        "ANTHROPIC_API_KEY",
        {"status": 401, "error_type": "authentication_failed"},
    ),
    Expected(
        "403",
        FailureCause.ACCESS_DENIED,
        "The API key has no access",
        "access in the provider's console",
        {"status": 403},
    ),
    Expected(
        "unknown-model",
        FailureCause.UNKNOWN_MODEL,
        "There is no model claude-",
        "another model",
        {"status": 404, "error_type": "model_not_found"},
    ),
    Expected(
        "no-credit",
        FailureCause.NO_CREDIT,
        "The account has no credit left",
        "Add credit",
        {"status": 400, "error_type": "billing_error"},
    ),
    Expected(
        "refusal",
        FailureCause.REFUSAL,
        "The model refused the task",
        "in other words",
        {"stop_reason": "refusal"},
    ),
    Expected(
        "too-long",
        FailureCause.PROMPT_TOO_LONG,
        "The conversation is too long for the model",
        "smaller part of the task",
        {"status": 400, "terminal_reason": "prompt_too_long"},
    ),
    Expected(
        "context-limit",
        FailureCause.PROMPT_TOO_LONG,
        "The conversation is too long for the model",
        "smaller part of the task",
        {},
    ),
    Expected(
        "too-large",
        FailureCause.REQUEST_TOO_LARGE,
        "The request is too large for the API",
        "fewer or smaller ones",
        {"status": 413},
    ),
    Expected(
        "output-limit",
        FailureCause.OUTPUT_LIMIT,
        "The answer was longer than the model may write",
        "smaller pieces",
        {"error_type": "max_output_tokens"},
    ),
    Expected(
        "bad-request",
        FailureCause.REQUEST_REJECTED,
        "The model's API rejected the request",
        "what it objects to",
        {"status": 400},
    ),
    Expected(
        "gateway-429",
        FailureCause.RATE_LIMIT,
        "Too many requests to the model's API",
        "fewer runs work at the same time",
        {"status": 429, "error_type": "rate_limit"},
    ),
    Expected(
        "gateway-504",
        FailureCause.API_FAILED,
        "The model's API failed",
        "at the gateway",
        {"status": 504},
    ),
    Expected(
        "overloaded",
        FailureCause.OVERLOADED,
        "The model's API is overloaded",
        "wait some minutes",
        {"status": 529},
    ),
    Expected(
        "garbage",
        FailureCause.BAD_ANSWER,
        "The model's API gave no usable answer",
        "ANTHROPIC_BASE_URL",
        {},
    ),
    Expected(
        "cut",
        FailureCause.API_FAILED,
        "The model's API failed",
        "at the gateway",
        {"status": 500},
    ),
]


@pytest.mark.sampled(2, group="programs")
async def test_each_error_of_the_api_says_what_it_is_and_what_to_do(
    socket_harness: Harness,
) -> None:
    # One Signalbox for all, since a start of it takes as long as a run.
    cards = [
        await socket_harness.run(f"builder [scenario: {one.scenario}] [times: forever] work")
        for one in ERRORS
    ]

    done = await asyncio.gather(
        *(
            assert_is_told(socket_harness, card, one)
            for card, one in zip(cards, ERRORS, strict=True)
        ),
        return_exceptions=True,
    )

    failures = {one.scenario: failure for one, failure in zip(ERRORS, done, strict=True) if failure}
    assert failures == {}


async def assert_is_told(harness: Harness, card: Card, expected: Expected) -> None:
    """Assert what the card, its reply and the row of a run say."""
    await card.wait_for_text(expected.title)
    advice = await card.wait_for_reply("Next:")

    run = (await harness.run_of(card)).run
    analysis = FailureAnalysis.of_run(run)
    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.API_ERROR)
    assert analysis is not None
    assert analysis.cause is expected.cause
    assert expected.evidence.items() <= analysis.evidence.items()
    assert expected.remedy in advice
    # Only of what passes it is said.
    is_passing = "mostly passes" in FAILURES[expected.cause].remedy
    assert ("mostly passes" in advice) == is_passing


async def test_the_limit_that_the_owner_of_the_account_has_set_is_a_usage_limit(
    socket_harness: Harness,
) -> None:
    card = await socket_harness.run("builder [scenario: spend-limit] work")

    await card.wait_for_text("usage limit")
    await card.wait_for_reply("Next:")

    run = (await socket_harness.run_of(card)).run
    analysis = FailureAnalysis.of_run(run)
    assert run.stop_reason is StopReason.USAGE_LIMIT
    assert analysis is not None
    assert analysis.cause is FailureCause.USAGE_LIMIT
    assert run.metadata["usage_limit_resets_at"] == "2099-12-01T00:00:00+00:00"


async def test_an_api_that_cannot_be_reached_is_named(database: Database, tmp_path: Path) -> None:
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving(ANTHROPIC_BASE_URL="http://127.0.0.1:9"),
    ):
        card = await harness.run("builder work")
        await card.wait_for_text("Cannot reach the model's API")
        await harness.settle()

        analysis = FailureAnalysis.of_run((await harness.run_of(card)).run)
        assert analysis is not None
        assert analysis.cause is FailureCause.API_UNREACHABLE
