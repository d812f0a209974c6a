"""What commands print for people, and their exit codes: from the API's JSON, pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli.client.endings import LIMITS, code_of_end
from bot.cli.client.errors import (
    ARGUMENTS,
    ApiRefusal,
    ApiUnavailable,
    BadArgument,
    NoToken,
    NotSignalbox,
    ServerUnreachable,
)
from bot.cli.client.exit_codes import ExitCode, code_of_error
from bot.cli.client.run_texts import (
    STEP_MARKS,
    cost_words,
    kill_text,
    list_text,
    log_text,
    next_words,
    status_text,
)
from bot.cli.client.text_table import (
    Column,
    cell_width,
    fit,
    pair_lines,
    safe_text,
    table_lines,
)
from bot.web.api.alerts.alert_routes import SnoozeBody
from bot.web.api.run_kills import KillBody
from bot.web.api.run_starts import ContinueBody, StartBody
from bot.web.api.sessions.routes import NameBody
from bot.web.request_errors import InvalidRequest
from core.domain.errors import OpsError
from core.domain.runs.run import StopReason
from core.domain.runs.step import StepStatus

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
COLUMNS = [
    Column(title="RUN", most=20),
    Column(title="STATE", most=24),
    Column(title="TASK", most=None),
]


def run(**changed: Any) -> dict[str, Any]:
    """A run of a list, as the API has it."""
    return {
        "run_id": "run_08ac1de6fa8d",
        "status": "running",
        "headline": "Running",
        "stop_reason": None,
        "workflow_name": "implement",
        "task": "Add rate limiting to the API",
        "created_at": (NOW - timedelta(minutes=3)).isoformat(),
        "turns": 18,
        "max_turns": 60,
        "cost": 0.0991,
        "cost_source": "estimated",
    } | changed


def page(*runs: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "runs": list(runs),
        "total_count": len(runs),
        "total_count_is_exact": True,
        "next": None,
    } | changed


def listed(answer: dict[str, Any], *, now: datetime, width: int) -> str:
    return list_text(answer, now=now, width=width, nothing="Nothing.")


def status(**changed: Any) -> dict[str, Any]:
    return {
        "run_id": "run_08ac1de6fa8d",
        "status": "completed",
        "headline": "Finished, 1 test fails, nothing committed",
        "exit_code": 0,
        "workflow_name": "implement",
        "session_id": "8b99235a-e9ee-447c-a529-ea6c13de5c3d",
        "turns": 4,
        "max_turns": 60,
        "tool_calls": 3,
        "tools_used": ["Bash", "Edit"],
        "cost": 1.4468734,
        "cost_source": "reported",
        "execution_time": 252.0,
        "git_commits": ["abcdef0123", "0123"],
        "error": None,
        "final_result": "## Summary\n\nDone.",
        "can_continue": False,
        "step_by_step_results": [{"name": "Look", "status": "completed"}],
    } | changed


def test_a_list_has_a_line_for_each_run() -> None:
    ended = run(run_id="run_1", headline="Finished, 1 test fails, nothing committed")

    titles, first, second = listed(page(run(), ended), now=NOW, width=80).splitlines()

    assert titles.split() == ["RUN", "STATE", "WORKFLOW", "AGE", "TASK"]
    assert first.startswith("run_08ac1de6fa8d  Running ")
    assert "3 min" in first
    assert "Finished, 1 test fails," in second
    assert first.index("implement") == second.index("implement") == titles.index("WORKFLOW")


def test_a_wide_terminal_shows_turns_and_costs_too() -> None:
    line = listed(page(run()), now=NOW, width=120).splitlines()[1]

    assert "18/60" in line
    assert "~$0.099" in line


def test_an_empty_list_and_a_further_page_are_said_in_words() -> None:
    more = page(run(), next="abc", total_count=10_000, total_count_is_exact=False)

    assert listed(page(), now=NOW, width=80) == "Nothing."
    assert "1 of more than 10,000" in listed(more, now=NOW, width=80)


ANY_TEXT = st.text(max_size=60)


@given(
    rows=st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=5),
    width=st.integers(60, 200),
)
def test_no_line_of_a_table_is_wider_than_asked_for_or_moves_the_cursor(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    lines = table_lines(COLUMNS, rows, width=width)

    assert len(lines) == len(rows) + 1
    for line in lines:
        assert cell_width(line) <= width
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line)


@given(
    task=st.text(max_size=600),
    headline=st.text(max_size=200),
    name=st.text(max_size=100),
    width=st.integers(80, 160),
)
def test_a_list_of_any_run_fits(task: str, headline: str, name: str, width: int) -> None:
    odd = run(task=task, headline=headline, workflow_name=name)

    lines = listed(page(odd, run()), now=NOW, width=width).split("\n")

    assert len(lines) == 3
    assert max(map(cell_width, lines)) <= width


@given(text=st.text(max_size=100), width=st.integers(0, 120))
def test_a_fitted_text_takes_no_more_cells_and_is_whole_if_it_fits(text: str, width: int) -> None:
    fitted = fit(text, width)

    assert cell_width(fitted) <= width
    assert fitted == text or cell_width(text) > width


def test_wide_letters_take_two_cells() -> None:
    assert cell_width("漢字") == 4
    assert fit("漢字漢字", 5) == "漢字…"
    assert cell_width("e\u0301") == 1


def test_a_terminal_obeys_nothing_of_an_agents_text() -> None:
    assert safe_text("a\x1b[2Jb\x9b31mc\x07\td\n\u202ee") == "a[2Jb31mc    d\ne"


def test_a_status_says_what_every_surface_says() -> None:
    lines = status_text(status()).splitlines()

    assert lines[0] == "run_08ac1de6fa8d  Finished, 1 test fails, nothing committed"
    assert "Cost      $1.45" in lines
    assert "Time      4 min 12 s" in lines
    assert "Commits   2, newest abcdef0" in lines
    assert "Tools     3 calls: Bash, Edit" in lines
    assert "[x] Look" in lines
    assert lines[-3:] == ["## Summary", "", "Done."]


def test_a_live_status_says_how_far_it_is() -> None:
    live = status(
        status="running",
        headline="Running",
        exit_code=None,
        execution_time=None,
        elapsed_seconds=61.5,
        cost=None,
        git_commits=[],
        step_by_step_results=None,
        workflow_steps={
            "steps": [
                {"name": "Look", "status": "completed"},
                {"name": "Write", "status": "in_progress"},
            ]
        },
        progress_summary={
            "completion_percentage": 50.0,
            "estimated_completion": "2026-11-29T12:03:00Z",
            "recent_activity": "edits a file",
        },
    )

    text = status_text(live)

    assert "Progress  50 %, probably until 12:03 UTC" in text
    assert "Now       edits a file" in text
    assert "[>] Write" in text
    assert "Cost" not in text
    assert "Summary" not in text


@given(
    broken=st.dictionaries(
        st.sampled_from(["run_id", "status", "headline", "cost", "error", "final_result"]),
        st.none(),
    )
)
def test_a_status_of_another_version_is_shown_as_far_as_it_goes(broken: dict[str, None]) -> None:
    assert status_text(status() | broken).strip()
    assert status_text({"run_id": "run_1", "status": "completed"})


def test_what_can_be_continued_says_how() -> None:
    assert "signalbox continue run_08ac1de6fa8d" in next_words(status(can_continue=True))
    assert next_words(status()) == ""
    assert next_words(status(can_continue=True, exit_code=None)) == ""


def test_a_cost_that_is_unknown_is_not_shown_as_nothing() -> None:
    assert cost_words({"cost": None}) == ""
    assert cost_words({"cost": 0.0}) == "$0.00"


def test_every_status_of_a_step_has_a_mark() -> None:
    assert set(STEP_MARKS) == set(StepStatus)


def test_a_line_of_a_log_is_one_line_with_its_time() -> None:
    line = {"at": "2026-11-29T13:00:00+01:00", "text": "agent: two\nlines\x1b[1m"}

    assert log_text(line) == "2026-11-29T12:00:00Z agent: two lines[1m"
    assert log_text({"text": "x"}) == "x"


def test_a_kill_says_whether_it_is_proven() -> None:
    kill = {"run_id": "run_1", "phase": "confirmed", "is_confirmed": True}
    proven = kill | {"elapsed_milliseconds": 1240, "processes_seen": 3}
    alive = {
        "run_id": "run_1",
        "phase": "unconfirmed",
        "is_confirmed": False,
        "survivors": [{"pid": 12, "name": "sleep"}],
    }

    assert kill_text(proven) == (
        "run_1 is killed, nothing of it is left running after 1.2 s (3 processes ended)."
    )
    assert kill_text({**proven, "task": "Count\n the pieces", "leg": 2}).startswith(
        "run_1 (“Count the pieces” · leg 2) is killed"
    )
    assert kill_text(alive) == "run_1 is not confirmed dead. Still alive: 12 sleep."
    assert "requested, not yet confirmed" in kill_text(
        alive | {"phase": "requested", "survivors": []}
    )


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ({"status": "completed", "outcome": "clean"}, ExitCode.DONE),
        ({"status": "completed", "outcome": "attention"}, ExitCode.ATTENTION),
        ({"status": "completed", "outcome": None}, ExitCode.ATTENTION),
        ({"status": "completed"}, ExitCode.ATTENTION),
        ({"status": "killed", "stop_reason": "killed"}, ExitCode.KILLED),
        ({"status": "failed", "stop_reason": "agent_error"}, ExitCode.FAILED),
        ({"status": "failed"}, ExitCode.FAILED),
        ({}, ExitCode.FAILED),
    ],
)
def test_the_end_of_a_run_has_an_exit_code(ended: dict[str, Any], code: ExitCode) -> None:
    assert code_of_end(ended) is code


@given(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["completed", "failed", "killed", "pending", None]),
            "outcome": st.sampled_from(["clean", "attention", None]),
            "stop_reason": st.sampled_from([*StopReason, None]),
            "can_continue": st.booleans(),
        }
    )
)
def test_only_a_clean_completed_run_ends_with_zero(ended: dict[str, Any]) -> None:
    is_clean = ended["status"] == "completed" and ended["outcome"] == "clean"

    assert (code_of_end(ended) == 0) is is_clean


@pytest.mark.parametrize("reason", sorted(LIMITS))
def test_a_limit_has_a_code_only_if_the_run_can_go_on(reason: StopReason) -> None:
    ended = {"status": "failed", "stop_reason": str(reason), "can_continue": True}

    assert code_of_end(ended) is ExitCode.LIMIT
    assert code_of_end(ended | {"can_continue": False}) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadArgument("TASK", "is empty."), ExitCode.USAGE),
        (ApiRefusal(400, "invalid_request", "No."), ExitCode.USAGE),
        (ApiRefusal(401, "unauthenticated", "No."), ExitCode.NOT_PERMITTED),
        (ApiRefusal(403, "role_too_low", "No."), ExitCode.NOT_PERMITTED),
        (NoToken("http://x", "Get one."), ExitCode.NOT_PERMITTED),
        (ApiRefusal(404, "run_not_found", "No."), ExitCode.NOT_FOUND),
        (ApiRefusal(409, "session_busy", "No."), ExitCode.CONFLICT),
        (ApiRefusal(500, "internal_error", "No."), ExitCode.FAILED),
        (ApiUnavailable(503, "database_unavailable", "No."), ExitCode.UNREACHABLE),
        (ServerUnreachable("http://x", "no", may_have_arrived=False), ExitCode.UNREACHABLE),
        (NotSignalbox("http://x", 200), ExitCode.UNREACHABLE),
    ],
    ids=lambda value: getattr(value, "code", str(value)),
)
def test_an_error_has_an_exit_code(error: OpsError, code: ExitCode) -> None:
    assert code_of_error(error) is code


def test_a_refusal_is_the_apis_own_words_and_what_to_do_here() -> None:
    busy = ApiRefusal(409, "session_busy", "Busy.", details={"live_run_id": "run_1"})
    older = ApiRefusal(409, "session_busy", "Busy.")
    refused = ApiRefusal(401, "unauthenticated", "Unknown.", token_source="SIGNALBOX_TOKEN")

    assert busy.user_message == "Busy. `signalbox logs -f run_1` follows it."
    assert older.user_message == "Busy."
    assert refused.user_message == "Unknown. This command used the token of SIGNALBOX_TOKEN."


def test_a_wrong_value_is_called_what_the_person_typed() -> None:
    error = InvalidRequest([("body.max_turns", "too large"), ("query.limit", "too small")])

    refusal = ApiRefusal(400, error.code, error.user_message)

    assert refusal.user_message == (
        "The request is not valid: --turns: too large; --limit: too small."
    )
    known = {
        f"body.{name}"
        for model in (StartBody, ContinueBody, KillBody, NameBody, SnoozeBody)
        for name in (model.model_fields)
    }
    assert {field for field in ARGUMENTS if field.startswith("body.")} <= known


def test_the_document_has_every_exit_code() -> None:
    rows = re.findall(r"^\| `(\d+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(map(int, rows)) == sorted(ExitCode)


def test_a_pair_without_a_value_has_no_line() -> None:
    assert pair_lines([("A", "1"), ("Long", "2\n3"), ("B", " ")]) == ["A     1", "Long  2 3"]
