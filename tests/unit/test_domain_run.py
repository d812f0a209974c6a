from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_type_hints
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.actor import SYSTEM, Action, Actor, Origin, Role, is_allowed
from core.domain.errors import BadRequest
from core.domain.kills.termination import PHASE_TRANSITIONS, Phase
from core.domain.redact import REDACTED, redact
from core.domain.runs.changes import RunChanges
from core.domain.runs.request import MAX_TASK_CHARS, StartRequest
from core.domain.runs.run import (
    CONTINUABLE_REASONS,
    LIVE_STATUSES,
    TRANSITIONS,
    Run,
    RunStatus,
    StopReason,
    Usage,
    sources_of,
)
from core.domain.runs.work.diff import DiffStat, FileChange

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_run(**changes: object) -> Run:
    values: dict[str, object] = {
        "id": uuid4(),
        "run_id": "run_0123456789ab",
        "workflow_name": "implement",
        "task_input": "Add rate limiting",
        "status": RunStatus.RUNNING,
        "created_at": NOW,
        "updated_at": NOW,
        "session_id": uuid4(),
    }
    return Run(**(values | changes))  # type: ignore[arg-type]


def make_request(**changes: object) -> StartRequest:
    values: dict[str, object] = {"workflow": "implement", "task": "Do it", "request_key": "k"}
    return StartRequest(**(values | changes))  # type: ignore[arg-type]


def test_what_may_change_of_a_run_is_a_field_of_it_with_the_same_type() -> None:
    fields = get_type_hints(Run)

    changes = get_type_hints(RunChanges)

    assert changes == {name: fields[name] for name in changes}
    assert "status" not in changes


def test_the_table_of_transitions_names_every_status() -> None:
    assert set(TRANSITIONS) == set(RunStatus)


def test_every_status_but_the_first_can_be_reached() -> None:
    reached = {target for targets in TRANSITIONS.values() for target in targets}

    assert reached == set(RunStatus)
    assert sources_of(RunStatus.PENDING) == {RunStatus.RUNNING}


def test_an_ended_run_stays_ended() -> None:
    ended = set(RunStatus) - LIVE_STATUSES

    assert ended == {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.KILLED}
    assert all(not TRANSITIONS[status] for status in ended)


@pytest.mark.parametrize("reason", StopReason)
def test_every_stop_reason_leads_to_a_final_status(reason: StopReason) -> None:
    assert reason.final_status.is_final


def test_only_success_completes_and_only_a_kill_kills() -> None:
    by_status = {
        status: {reason for reason in StopReason if reason.final_status is status}
        for status in RunStatus
    }

    assert by_status[RunStatus.COMPLETED] == {StopReason.SUCCESS}
    assert by_status[RunStatus.KILLED] == {StopReason.KILLED}


def test_a_run_at_its_turn_limit_can_continue_and_a_finished_one_cannot() -> None:
    assert make_run(status=RunStatus.FAILED, stop_reason=StopReason.MAX_TURNS).can_continue
    assert not make_run(status=RunStatus.COMPLETED, stop_reason=StopReason.SUCCESS).can_continue
    assert StopReason.SETUP_ERROR not in CONTINUABLE_REASONS


def test_a_kill_ends_confirmed_and_an_unconfirmed_one_can_still_be() -> None:
    assert set(PHASE_TRANSITIONS) == set(Phase)
    assert not PHASE_TRANSITIONS[Phase.CONFIRMED]
    assert Phase.CONFIRMED in PHASE_TRANSITIONS[Phase.UNCONFIRMED]
    assert all(Phase.REQUESTED not in targets for targets in PHASE_TRANSITIONS.values())


def test_total_tokens_exclude_the_cache() -> None:
    usage = Usage(input_tokens=1, output_tokens=2, cache_read_tokens=100) + Usage(input_tokens=4)

    assert usage.total_tokens == 7
    assert usage.cache_read_tokens == 100


def test_a_diff_counts_text_lines_and_uncommitted_changes() -> None:
    diff = DiffStat(
        files=(
            FileChange(path="a.py", added=3, removed=1),
            FileChange(path="logo.png", added=None, removed=None, committed=False),
        )
    )

    assert (diff.added_lines, diff.removed_lines) == (3, 1)
    assert diff.has_uncommitted


def make_actor(role: Role, **changes: object) -> Actor:
    return Actor(role=role, origin=Origin.SLACK, **changes)  # type: ignore[arg-type]


def test_the_owner_may_kill_and_another_runner_may_not() -> None:
    owner = uuid4()
    run = make_run(user_id=owner)

    assert is_allowed(make_actor(Role.RUNNER, user_id=owner), Action.KILL, run)
    assert not is_allowed(make_actor(Role.RUNNER, user_id=uuid4()), Action.KILL, run)
    assert is_allowed(make_actor(Role.OPERATOR, user_id=uuid4()), Action.KILL, run)


def test_an_owner_who_lost_the_role_may_no_longer_kill() -> None:
    owner = uuid4()

    assert not is_allowed(
        make_actor(Role.VIEWER, user_id=owner), Action.KILL, make_run(user_id=owner)
    )


def test_nobody_owns_a_run_without_an_owner() -> None:
    assert not is_allowed(
        make_actor(Role.RUNNER, user_id=None), Action.KILL, make_run(user_id=None)
    )


@pytest.mark.parametrize("action", Action)
def test_without_a_role_nothing_is_allowed_and_the_system_may_do_everything(action: Action) -> None:
    assert not is_allowed(make_actor(Role.NONE, user_id=uuid4()), action)
    assert is_allowed(SYSTEM, action)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"task": "  \n"}, "say what"),
        ({"task": "x" * (MAX_TASK_CHARS + 1)}, "limit is 40,000"),
        ({"max_turns": 0}, "from 1 to"),
        ({"max_turns": 10**9}, "from 1 to"),
        ({"budget_usd": Decimal(-1)}, "budget"),
        ({"budget_usd": Decimal("NaN")}, "budget"),
        ({"timeout": timedelta(seconds=1)}, "10 seconds to 24 hours"),
        ({"timeout": timedelta(days=3)}, "10 seconds to 24 hours"),
        ({"session_name": ""}, "session name"),
        ({"priority": 1000}, "from -100 to 100"),
    ],
)
def test_a_request_out_of_bounds_names_the_bounds(changes: dict[str, object], word: str) -> None:
    with pytest.raises(BadRequest) as refused:
        make_request(**changes).check()

    assert word in refused.value.user_message


def test_the_longest_task_is_accepted() -> None:
    request = make_request(task="x" * MAX_TASK_CHARS)

    request.check()

    assert len(request.task) == MAX_TASK_CHARS


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-1234567890-abcdef",
        "xapp-1-A123-456-abcdef",
        "sk-ant-api03-abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_text_that_looks_like_a_credential_is_redacted(secret: str) -> None:
    text = redact(f"before {secret} after")

    assert secret not in text
    assert REDACTED in text
    assert text.startswith("before")


def test_the_user_part_of_a_url_is_redacted_and_the_rest_stays() -> None:
    assert redact("https://me:pw@host/r.git") == f"https://{REDACTED}@host/r.git"


@given(st.text())
def test_text_without_secrets_is_redacted_once_and_for_all(text: str) -> None:
    once = redact(text)

    assert redact(once) == once
