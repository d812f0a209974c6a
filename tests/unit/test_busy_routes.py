"""What busy routes do in a shorter way than others gives the same."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bot.web.api.values import moment
from bot.web.authentication import Authentication
from core.domain.actor import Action, Actor, Role
from core.domain.building import build
from core.domain.progress.enrichment import StepReport
from core.domain.runs.run import Run, whole_run_id
from core.domain.runs.step import Step
from core.domain.token import ApiToken, TokenProblem, TokenRefused
from core.store.runs.columns import run_of, to_run
from core.store.tables.runs import RunRow
from tests.database import NOW, new_run

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the zone is added
    max_value=datetime(2998, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(at=MOMENTS)
def test_a_time_is_written_as_pydantic_writes_it(at: datetime) -> None:
    assert json.dumps(moment(at)) == TypeAdapter(datetime).dump_json(at).decode()


def test_an_unknown_time_stays_unknown() -> None:
    assert moment(None) is None


def test_a_built_value_is_that_of_the_constructor() -> None:
    made = Step(step_id=3, name="Read", tools_used=("Read",))

    assert build(Step, vars(made)) == made
    assert vars(build(Step, vars(made))) == vars(made)


@pytest.mark.parametrize("kind", [Run, Step, StepReport])
def test_a_kind_that_is_built_does_nothing_else_in_its_constructor(kind: type) -> None:
    assert not hasattr(kind, "__post_init__")
    assert not hasattr(kind, "__slots__")


def test_a_run_of_a_row_has_every_field() -> None:
    run = new_run(uuid4())
    row = RunRow(
        id=run.id,
        run_id=run.run_id,
        workflow_name="fix",
        task_input="",
        session_id=run.session_id,
        status="pending",
        created_at=NOW,
        updated_at=NOW,
        git_diff_stats={},
        tools_used=[],
        outcome_reasons=[],
        on_worker_lost="resume",
        metadata_={},
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=0,
        cache_creation_tokens=0,
    )

    found = to_run(row)

    assert set(vars(found)) == {field.name for field in fields(Run)}
    assert found.usage.total_tokens == 3


def test_a_row_without_a_column_is_no_run() -> None:
    with pytest.raises(KeyError):
        run_of({"status": "pending"})


@pytest.mark.parametrize(
    ("text", "run_id"),
    [
        ("run_0123456789ab", "run_0123456789ab"),
        (" 0123456789AB\n", "run_0123456789ab"),
        ("run_0123456789a", None),
        ("run_0123456789abc", None),
        ("run_0123456789ag", None),
        ("", None),
    ],
)
def test_only_a_whole_id_names_a_run_at_once(text: str, run_id: str | None) -> None:
    assert whole_run_id(text) == run_id


class SlowTokens:
    """Knows one token, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def authenticate(self, secret: str) -> ApiToken:
        self.asked += 1
        await asyncio.sleep(0)
        if secret != "good":
            raise TokenRefused(TokenProblem.UNKNOWN)
        return ApiToken(id=uuid4(), name="ci", created_at=NOW, role=Role.VIEWER, user_id=uuid4())


class Nobody:
    async def actor_of(self, slack_user_id: str) -> Actor:
        raise AssertionError(slack_user_id)

    async def audit_refusal(self, actor: Actor, action: Action, *, reason: str) -> None:
        raise AssertionError(reason)


async def test_many_requests_at_a_time_read_their_token_once() -> None:
    tokens = SlowTokens()
    authentication = Authentication(tokens=tokens, members=Nobody(), auditor=Nobody())
    request = make_mocked_request("GET", "/", headers={"Authorization": "Bearer good"})

    actors = await asyncio.gather(
        *(authentication.actor_of(request, Action.VIEW) for _ in range(20))
    )

    assert tokens.asked == 1
    assert {actor.name for actor in actors} == {"ci"}


async def test_a_refused_token_is_refused_to_all_that_wait() -> None:
    authentication = Authentication(tokens=SlowTokens(), members=Nobody(), auditor=Nobody())
    request = make_mocked_request("GET", "/", headers={"x-api-key": "bad"})

    found = await asyncio.gather(
        *(authentication.actor_of(request, Action.VIEW) for _ in range(5)), return_exceptions=True
    )

    assert [type(one) for one in found] == [TokenRefused] * 5
