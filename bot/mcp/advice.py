"""What to do next for a client of the MCP server after an error, by the error's code."""

from __future__ import annotations

from types import MappingProxyType

from bot.words.advice import AdviceTable, with_advice
from core.domain.errors import OpsError

_LISTS = "`list_runs` has the recent ones."
_SHOWS_RUN = "`get_workflow_status` shows run `{error.run_id}`."
_OPERATOR = "Ask the person that runs Signalbox; retrying does not help."

# Every error code of the core, also those without advice; a test checks that none is missing.
ADVICE: AdviceTable = MappingProxyType(
    {
        # Wrong requests.
        "error": None,
        "bad_request": None,
        "bad_position": None,
        "out_of_bounds": None,
        "empty_task": "Put it into `message`.",
        "task_too_long": None,
        "bad_session_name": None,
        "bad_repository": None,
        "branch_without_repository": "Give `repository_url`, too.",
        "credentials_in_address": None,
        "repository_not_allowed": _OPERATOR,
        "other_repository": (
            "Leave out `repository_url` to continue it, or choose another `session_name`."
        ),
        "other_workflow": None,
        "bad_bulk_kill": None,
        "not_run_ids": None,
        "unstorable": None,
        # Tokens are made elsewhere; one that is refused is answered before any tool is called.
        "bad_token": None,
        "token_exists": None,
        "token_not_found": None,
        "unauthenticated": _OPERATOR,
        "sign_in_refused": None,
        "dashboard_session_not_found": None,
        # Unknown names.
        "not_found": None,
        "run_not_found": _LISTS,
        "ambiguous_run": None,
        "run_id_too_short": None,
        "session_not_found": _LISTS,
        "ambiguous_session": None,
        "message_not_found": None,
        "alert_not_found": None,
        "bad_quiet_hours": None,
        "bad_days": None,
        "bad_snooze": None,
        "bad_subscription": None,
        "subscription_fixed": None,
        "subscription_not_found": None,
        "too_many_subscriptions": None,
        "termination_not_found": None,
        "unknown_workflow": "The description of `run_workflow` lists them.",
        "missing_branch": None,
        # Permissions.
        "forbidden": None,
        "not_allowed": _OPERATOR,
        "operators_only": _OPERATOR,
        # Conflicts with the present state.
        "conflict": None,
        "already_ended": "`get_workflow_status` shows how it went.",
        "already_requested": _SHOWS_RUN,
        "illegal_transition": _SHOWS_RUN,
        "illegal_phase": None,
        "run_still_live": "End it with `kill_workflow`.",
        "not_restartable": "`restart_workflow` with `preview` shows the points that there are.",
        "conversation_gone": None,
        "checkpoint_files_gone": None,
        "no_checkpoint_for_files": "Give `checkpoint`.",
        "unreadable_definition": None,
        "session_busy": (
            "Wait for its end with `get_workflow_status` and `wait_seconds`, or end it with "
            "`kill_workflow`."
        ),
        "session_name_taken": "`new_session` of `run_workflow` moves the name.",
        "recovery_not_needed": "`continue_workflow` without `recovery` goes on with it.",
        "stale_attempt": None,
        "bundle_too_large": None,
        "checkpoint_gone": None,
        "checkpoint_not_found": None,
        "checkpoint_too_large": None,
        "ambiguous_workspace": None,
        "damaged_bundle": None,
        "no_disk_room": None,
        "nobody_cleans": None,
        "worker_not_found": None,
        "workspace_busy": None,
        "workspace_not_found": None,
        "workspace_stays": None,
        "agent_ended": "`continue_workflow` sends it more.",
        # Failures outside of Signalbox.
        "unavailable": "Try again in a minute.",
        "database_unavailable": "Try again in a minute.",
        "agent_failed": None,
        "isolation_unavailable": None,
        "network_not_isolated": None,
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
        "schema_behind": None,
        "schema_too_new": None,
        "session_refused": None,
    }
)


def error_text(error: OpsError) -> str:
    """What happened and what to do next."""
    return with_advice(error, ADVICE)
