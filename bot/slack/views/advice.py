"""What to do next in Slack: after an error, by its code, and after the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words.advice import AdviceTable
from bot.words.runs.failures import failure_words
from core.domain.errors import OutOfBounds
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import SETUP_FAILURES, Run, StopReason

_SHOWS_RUN = "`/workflow status {error.run_id}` shows it."
_ASK_ADMIN_FOR_ROLE = "Ask an admin to add you to `[roles]` in signalbox.toml."
_ASK_ADMIN_FOR_REPOSITORY = "An admin can list it under `[repositories]` in signalbox.toml."
_OUT_OF_BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "timeout": "For example `--timeout 30m`.",
        "priority": "For example `--priority 10`.",
    }
)


def _out_of_bounds(error: OutOfBounds) -> str:
    return _OUT_OF_BOUNDS.get(error.field, "")


# Every error code of the core, also those without advice; a test checks that none is missing.
ADVICE: AdviceTable = MappingProxyType(
    {
        # Wrong requests.
        "error": None,
        "bad_request": None,
        "bad_position": None,
        "out_of_bounds": _out_of_bounds,
        "empty_task": "For example `/workflow run {error.workflow:.40} <task>`.",
        "task_too_long": None,
        "bad_session_name": None,
        "bad_repository": None,
        "branch_without_repository": "`--branch` needs a `--repo`.",
        "credentials_in_address": None,
        "repository_not_allowed": _ASK_ADMIN_FOR_REPOSITORY,
        "other_repository": ("Leave `--repo` out to continue it, or choose another session name."),
        "other_workflow": None,
        "bad_bulk_kill": "Ask again, for example with `/workflow kill --all mine`.",
        "not_run_ids": "This form is broken: close it and type the command again.",
        "unstorable": None,
        "bad_subscription": "`/workflow help alerts` explains the settings.",
        "bad_quiet_hours": None,
        "bad_days": None,
        "bad_snooze": "For example `/workflow alerts mute 2h`.",
        # API tokens are made and used elsewhere.
        "bad_token": None,
        "token_exists": None,
        "token_not_found": None,
        "unauthenticated": None,
        # The dashboard's own.
        "sign_in_refused": "`/workflow dashboard` makes a new link.",
        "dashboard_session_not_found": None,
        # Unknown names.
        "not_found": None,
        "run_not_found": "`/workflow list` shows the recent ones.",
        "ambiguous_run": None,
        "run_id_too_short": "`/workflow list live` shows what runs.",
        "session_not_found": "`/workflow sessions all` lists them.",
        "ambiguous_session": "`/workflow sessions all` shows whose they are.",
        "message_not_found": None,
        "termination_not_found": "`/workflow list live` shows what runs.",
        "unknown_workflow": "`/workflow workflows` describes them.",
        "missing_branch": None,
        "alert_not_found": None,
        "subscription_not_found": "`/workflow alerts list` shows those of a channel.",
        # Permissions.
        "forbidden": None,
        "not_allowed": lambda error: "" if error.is_foreign else _ASK_ADMIN_FOR_ROLE,
        "operators_only": "`/workflow kill --all mine` stops yours.",
        # Conflicts with the present state.
        "conflict": None,
        "already_ended": "`/workflow status {error.run.run_id}` shows how it went.",
        "already_requested": _SHOWS_RUN,
        "illegal_transition": _SHOWS_RUN,
        "illegal_phase": None,
        "subscription_fixed": None,
        "too_many_subscriptions": "`/workflow alerts list` shows them.",
        "run_still_live": "Stop it with `/workflow kill {error.run_id}`.",
        "not_restartable": "`/workflow restart {error.run_id}` shows the points that there are.",
        "conversation_gone": "`/workflow restart {error.run_id} start` does that.",
        "checkpoint_files_gone": None,
        "no_checkpoint_for_files": "For example `/workflow restart run_0a1b2c3d4e5f @2 --files`.",
        "unreadable_definition": None,
        "session_busy": (
            "Wait until it ends, or stop it with `/workflow kill {error.live_run_id}`."
        ),
        "session_name_taken": (
            "`/workflow sessions` shows which one has it; `/workflow sessions close <session>` "
            "frees a name."
        ),
        "recovery_not_needed": "`/workflow continue {error.run_id}` goes on with it.",
        "stale_attempt": None,
        "bundle_too_large": None,
        "checkpoint_gone": None,
        "checkpoint_not_found": None,
        "checkpoint_too_large": None,
        "ambiguous_workspace": None,
        "damaged_bundle": None,
        "no_disk_room": "`/workflow workspaces` shows what takes the room.",
        "nobody_cleans": None,
        "worker_not_found": "`/workflow workers` lists them.",
        "workspace_busy": None,
        "workspace_not_found": "`/workflow workspaces` lists them.",
        "workspace_stays": None,
        "agent_ended": "Continue the run to send it more.",
        # Failures outside of Signalbox.
        "unavailable": None,
        "database_unavailable": (
            "Try again in a minute; if it lasts, ask an admin to run `signalbox doctor`."
        ),
        "agent_failed": None,
        "isolation_unavailable": None,
        "network_not_isolated": "Ask an admin to run `signalbox doctor` on the worker.",
        "transcript_missing": None,
        "transcript_damaged": None,
        "workspace_error": None,
        "unreachable_repository": None,
        "git_failed": None,
        "restore_failed": None,
        "restore_refused": None,
        "unusable_bundle": None,
        "damaged_repository": None,
        # Errors while a process starts.
        "bad_database_url": None,
        "bad_definition": None,
        "bad_revision": None,
        "copied_home": None,
        "embedded_postgres_failed": None,
        "foreign_directory": None,
        "migration_failed": None,
        "schema_too_new": None,
        "session_refused": None,
    }
)

_THEN_CONTINUE = "Then a *Continue* button on the card continues it where it stopped."

# What to do after a run has ended; mrkdwn.
ENDING_ADVICE: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.SUCCESS: (
            "To ask for more in the same conversation, press *Continue…* on the card."
        ),
        StopReason.MAX_TURNS: "*+20 turns* on the card continues it exactly where it stopped.",
        StopReason.BUDGET: (
            "Look at what it did; if that is worth more, a *Continue* button on the card "
            "continues it where it stopped."
        ),
        StopReason.TIMEOUT: (
            "Check that it was not going in circles; then a *Continue* button on the card "
            "continues it where it stopped."
        ),
        StopReason.KILLED: "A *Continue* button on the card continues it where it was stopped.",
        StopReason.USAGE_LIMIT: (
            "After the limit has reset, a *Continue* button on the card continues it."
        ),
        StopReason.API_ERROR: (
            "If the text below names nothing to mend, wait some minutes, then press a *Continue* "
            "button on the card. If it comes back, ask an admin to check the API's status page."
        ),
        StopReason.AGENT_ERROR: (
            "A *Continue* button on the card tries again from where it stopped. If it fails the "
            "same way, ask an admin to run `signalbox doctor` on the worker."
        ),
        StopReason.NO_RESULT: (
            "Look at the changes, then continue it and ask for a report: "
            "`@signalbox continue Report what is done.`"
        ),
        StopReason.WORKER_LOST: (
            "A *Continue* button on the card resumes its conversation. Changes that were not "
            "committed may be missing."
        ),
        StopReason.WORKSPACE_ERROR: (
            "Check the repository's address, the branch, who may read it, and that it may be "
            "cloned (`[repositories]` in signalbox.toml), then start it again with `/workflow run`."
        ),
        StopReason.SETUP_ERROR: (
            "Ask an admin to run `signalbox doctor`, then start it again with `/workflow run`."
        ),
    }
)


def ending_advice(run: Run) -> str:
    """What to do next, in mrkdwn; empty for a run that has not ended."""
    if run.stop_reason is None:
        return ""
    if run.outcome is Outcome.ATTENTION:
        return "To have it finished, press *Continue…* on the card and say what is missing."
    cause = failure_words(run)
    if cause is not None and run.stop_reason in (StopReason.API_ERROR, StopReason.AGENT_ERROR):
        return cause.remedy if cause.is_same_again else f"{cause.remedy} {_THEN_CONTINUE}"
    if run.stop_reason in SETUP_FAILURES and run.can_continue:
        return (
            "Fix the problem named below; then a *Continue* button on the card continues it. Its "
            "conversation and its work are kept."
        )
    return ENDING_ADVICE[run.stop_reason]
