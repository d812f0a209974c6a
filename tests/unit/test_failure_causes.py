"""The causes of failures: how they are told, stored and worded."""

from __future__ import annotations

import errno
from decimal import Decimal
from pathlib import Path

import pytest

from bot.slack.views.advice import ending_advice
from bot.slack.views.thread.replies import replies
from bot.words.markup import PLAIN
from bot.words.runs.endings import ending_title, usage_reset
from bot.words.runs.failures import FAILURES, failure_title
from bot.words.runs.notices import notice_lines
from bot.words.runs.states import state_of
from core.agent.protocol import AgentFailed, TranscriptMissing
from core.agent.results.attempt_result import determine_attempt_result
from core.agent.results.failure_causes import analyse_api_failure, spend_limit
from core.domain.failure_cause import FailureCause, retry_cause
from core.domain.reach.repositories import RepositoryNotAllowed
from core.domain.runs.event import AgentResult, ApiRetry, EventKind, EventRecord, RateLimit
from core.domain.runs.event_rows import record_of
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.run import Run, StopReason, Usage
from core.runner.execution.attempt_result import failure_of_os
from core.workspace.errors import (
    GitFailed,
    MissingBranch,
    WorkspaceError,
    host_of,
    to_unreachable,
    translate_os_errors,
)
from tests.unit.view_helpers import (
    NOW,
    make_ended_run,
    make_run,
    make_snapshot,
    make_thread,
    text_of,
)


def error_result(text: str = "", **changes: object) -> AgentResult:
    """What the program reports of a failed call."""
    values: dict[str, object] = {
        "subtype": "success",
        "is_error": True,
        "text": text,
        "cost_usd": Decimal(0),
        "usage": Usage(),
    }
    return AgentResult(**(values | changes))  # type: ignore[arg-type]


def failed_run(
    cause: FailureCause,
    *,
    subject: str | None = None,
    reason: StopReason = StopReason.API_ERROR,
    **changes: object,
) -> Run:
    """A run that failed for this cause."""
    stored = FailureAnalysis(cause=cause, subject=subject).to_json()
    return make_ended_run(reason, metadata={FAILURE_KEY: stored}, **changes)


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        # Versions of the program that report no class of the error.
        (error_result("Credit balance is too low"), FailureCause.NO_CREDIT),
        (error_result("API Error: 400 prompt is too long: 2 > 1"), FailureCause.PROMPT_TOO_LONG),
        (error_result("Not logged in · Please run /login"), FailureCause.NO_CREDENTIALS),
        (error_result("API Error: Connection error."), FailureCause.API_UNREACHABLE),
        (error_result("Request timed out"), FailureCause.API_UNREACHABLE),
        (error_result("API Error: something new"), FailureCause.API_FAILED),
        (error_result("Something new"), FailureCause.API_FAILED),
        # What the status says counts more than the program's class.
        (
            error_result("x", api_error_status=403, error_type="authentication_failed"),
            FailureCause.ACCESS_DENIED,
        ),
        (error_result("x", api_error_status=402, error_type="unknown"), FailureCause.NO_CREDIT),
        (error_result("x", api_error_status=404), FailureCause.UNKNOWN_MODEL),
        (error_result("x", api_error_status=503), FailureCause.API_FAILED),
        (error_result("x", error_type="oauth_org_not_allowed"), FailureCause.ACCESS_DENIED),
        (error_result("x", error_type="server_error"), FailureCause.API_UNREACHABLE),
        # Not a failure of the API.
        (error_result("x", subtype="error_during_execution"), None),
    ],
)
def test_the_cause_is_told_from_what_the_program_reports(
    result: AgentResult, cause: FailureCause | None
) -> None:
    analysis = analyse_api_failure(result)

    assert (analysis.cause if analysis else None) is cause


def test_a_limit_that_was_reported_before_another_failure_is_not_its_cause() -> None:
    rejected = RateLimit(status="rejected", resets_at=NOW)

    limited = determine_attempt_result(
        result=error_result("API Error: Request rejected (429)", api_error_status=429),
        texts=[],
        rate_limit=rejected,
    )
    refused = determine_attempt_result(
        result=error_result("Invalid API key", api_error_status=401), texts=[], rate_limit=rejected
    )

    assert (limited.stop_reason, limited.resets_at) == (StopReason.USAGE_LIMIT, NOW)
    assert refused.stop_reason is StopReason.API_ERROR
    assert refused.analysis is not None
    assert refused.analysis.cause is FailureCause.CREDENTIALS_REFUSED


def test_what_the_model_wrote_is_never_read() -> None:
    found = determine_attempt_result(
        result=AgentResult(
            subtype="success",
            is_error=False,
            text="API Error: Credit balance is too low is now shown as a banner.",
            cost_usd=None,
            usage=None,
        ),
        texts=[],
    )

    assert (found.stop_reason, found.analysis) == (StopReason.SUCCESS, None)


def test_the_evidence_is_stored_redacted_with_the_run() -> None:
    key = "sk-ant-api03-" + "A" * 40
    analysis = analyse_api_failure(
        error_result(
            f"There's an issue with the selected model (nope-9). {key}",
            api_error_status=404,
            error_type="model_not_found",
        )
    )
    assert analysis is not None
    stored = analysis.to_json()

    read = FailureAnalysis.of_run(
        make_ended_run(StopReason.API_ERROR, metadata={FAILURE_KEY: stored})
    )

    assert read is not None
    assert (read.cause, read.subject) == (FailureCause.UNKNOWN_MODEL, "nope-9")
    assert read.evidence["status"] == 404
    assert key not in str(stored)


@pytest.mark.parametrize("stored", [None, [], {"cause": "of a newer version"}, {}])
def test_an_unknown_analysis_leaves_the_words_of_the_stop_reason(stored: object) -> None:
    run = make_ended_run(StopReason.API_ERROR, metadata={FAILURE_KEY: stored})

    assert failure_title(run) is None
    assert ending_title(run) == "Stopped: the model's API failed"
    assert ending_advice(run)


def test_a_limit_that_the_owner_of_the_account_has_set_has_its_end() -> None:
    text = (
        "API Error: 400 You have reached your specified API usage limits. You will regain access "
        "on 2026-12-01 at 00:00 UTC."
    )

    is_limit, resets_at = spend_limit(text)

    assert is_limit
    assert resets_at is not None
    assert resets_at.isoformat() == "2026-12-01T00:00:00+00:00"
    assert spend_limit("You have reached your specified API usage limits.") == (True, None)
    run = make_ended_run(
        StopReason.USAGE_LIMIT, metadata={"usage_limit_resets_at": resets_at.isoformat()}
    )
    assert usage_reset(make_snapshot(run=run)) == resets_at
    assert spend_limit("regain access on 2026-12-01 at 00:00 UTC") == (False, None)


@pytest.mark.parametrize(
    ("stderr", "cause", "title"),
    [
        (
            "fatal: Could not resolve host: nowhere.invalid",
            FailureCause.REPOSITORY_UNREACHABLE,
            "Cannot reach nowhere.invalid",
        ),
        (
            "Host key verification failed.",
            FailureCause.UNKNOWN_HOST_KEY,
            "Unknown SSH host key: nowhere.invalid",
        ),
        (
            "remote: Invalid credentials\nfatal: Authentication failed",
            FailureCause.REPOSITORY_DENIED,
            "No access to https://nowhere.invalid/a/b",
        ),
        (
            "remote: Repository not found.",
            FailureCause.REPOSITORY_MISSING,
            "There is no repository https://nowhere.invalid/a/b",
        ),
        (
            "fatal: not a git repository",
            FailureCause.NOT_A_REPOSITORY,
            "Not a git repository: https://nowhere.invalid/a/b",
        ),
        ("fatal: no space left on device", FailureCause.DISK_FULL, "The worker's disk is full"),
        ("error: unable to create x", FailureCause.NOT_WRITABLE, "The worker cannot write"),
        ("", FailureCause.REPOSITORY_UNREACHABLE, "Cannot reach nowhere.invalid"),
    ],
)
def test_a_failure_of_git_has_its_cause_in_the_title(
    stderr: str, cause: FailureCause, title: str
) -> None:
    error = to_unreachable(GitFailed("fetch", 128, stderr), "https://nowhere.invalid/a/b")

    analysis = FailureAnalysis.of_error(error)
    assert analysis is not None
    run = failed_run(
        analysis.cause,
        subject=analysis.subject,
        reason=StopReason.WORKSPACE_ERROR,
        error_message=error.user_message,
    )

    assert analysis.cause is cause
    assert ending_title(run).startswith(title)
    assert title in text_of(replies(make_thread(make_snapshot(run=run)))[f"result:{run.run_id}"])


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://git.example:8443/a/b", "git.example"),
        ("ssh://git@git.example/a", "git.example"),
        ("git@git.example:a/b.git", "git.example"),
        ("/srv/git/a", "/srv/git/a"),
    ],
)
def test_the_host_of_an_address_is_named(address: str, host: str) -> None:
    assert host_of(address) == host


def test_other_errors_that_end_a_run_have_their_causes() -> None:
    with pytest.raises(WorkspaceError) as full, translate_os_errors():
        raise OSError(errno.ENOSPC, "full", str(Path("/x")))
    found = {
        error.cause: error.subject
        for error in (
            full.value,
            MissingBranch("feat", "https://h/a", ["main"]),
            RepositoryNotAllowed("https://h/a", "no", "nothing"),
            AgentFailed("crashed", exit_code=-9),
            TranscriptMissing(),
        )
    }

    assert found == {
        FailureCause.DISK_FULL: None,
        FailureCause.BRANCH_MISSING: "feat",
        FailureCause.REPOSITORY_NOT_ALLOWED: "https://h/a",
        FailureCause.PROGRAM_CRASHED: "ended by SIGKILL",
        FailureCause.CONVERSATION_MISSING: None,
    }
    assert failure_of_os(OSError(errno.ENOSPC, "full")).error.cause is FailureCause.DISK_FULL


def test_each_cause_has_its_own_title_and_remedy() -> None:
    assert set(FAILURES) == set(FailureCause)
    assert len({words.title for words in FAILURES.values()}) == len(FAILURES)
    assert all(words.explanation and words.remedy for words in FAILURES.values())
    assert all(words.nameless for words in FAILURES.values() if "{" in words.title)


@pytest.mark.parametrize("cause", list(FailureCause))
def test_a_failed_run_is_titled_and_advised_by_its_cause(cause: FailureCause) -> None:
    run = failed_run(cause, subject="the-subject")

    title, advice = state_of(make_snapshot(run=run), PLAIN).title, ending_advice(run)

    assert title == failure_title(run)
    assert FAILURES[cause].remedy in advice
    assert ("Continue" in advice) == (not FAILURES[cause].is_same_again)
    assert failure_title(failed_run(cause)) == (FAILURES[cause].nameless or FAILURES[cause].title)


def test_a_run_that_is_live_or_succeeded_has_no_cause() -> None:
    stored = FailureAnalysis(cause=FailureCause.OVERLOADED).to_json()

    assert FailureAnalysis.of_run(make_run(metadata={FAILURE_KEY: stored})) is None
    succeeded = make_ended_run(StopReason.SUCCESS, metadata={FAILURE_KEY: stored})
    assert ending_title(succeeded) == "Completed"


@pytest.mark.parametrize(
    ("status", "error_type", "cause"),
    [
        (401, "authentication_failed", FailureCause.CREDENTIALS_REFUSED),
        (429, "rate_limit", FailureCause.RATE_LIMIT),
        (529, "overloaded", FailureCause.OVERLOADED),
        (None, "overloaded", FailureCause.OVERLOADED),
        (500, "server_error", FailureCause.API_FAILED),
        (504, None, FailureCause.API_FAILED),
        (None, "unknown", FailureCause.API_UNREACHABLE),
        (None, None, FailureCause.API_UNREACHABLE),
    ],
)
def test_a_repeated_call_has_its_cause(
    status: int | None, error_type: str | None, cause: FailureCause
) -> None:
    assert retry_cause(status, error_type) is cause


def test_a_live_run_says_why_calls_are_repeated_and_whether_it_passes() -> None:
    def line(status: int, error_type: str) -> str:
        event = ApiRetry(
            attempt=1,
            max_attempts=10,
            delay_ms=500,
            error=f"{error_type} (HTTP {status})",
            status=status,
            error_type=error_type,
        )
        record = record_of(event, NOW)
        assert record is not None
        (found,) = notice_lines(make_snapshot(notices=(record,) * 3), PLAIN)
        return found

    refused, limited = line(401, "authentication_failed"), line(429, "rate_limit")

    assert "The API key is not valid (3 calls, last at" in refused
    assert "this does not pass" in refused
    assert FAILURES[FailureCause.CREDENTIALS_REFUSED].remedy in refused
    assert "Too many requests to the model's API (3 calls, last at" in limited
    assert "nothing to do unless it lasts long" in limited


def test_each_failed_server_has_one_line() -> None:
    def failed(name: str, reason: str) -> EventRecord:
        data = {"name": name, "reason": reason}
        return EventRecord(kind=EventKind.MCP_SERVER_FAILED, at=NOW, data=data)

    lines = notice_lines(
        make_snapshot(notices=(failed("a", "old"), failed("b", "gone"), failed("a", "new"))), PLAIN
    )

    assert len(lines) == 2
    assert "The MCP server a did not connect (new)" in lines[0]
    assert "b did not connect (gone)" in lines[1]
