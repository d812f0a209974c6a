"""What to do next on the command line after an error, by the error's code."""

from __future__ import annotations

from types import MappingProxyType

from bot.words.advice import AdviceTable, with_advice
from core.domain.errors import OpsError

# Every error code of the core, also those without advice; a test checks that none is missing.
ADVICE: AdviceTable = MappingProxyType(
    {
        # Errors while a process starts.
        "bad_database_url": None,
        "bad_definition": None,
        "bad_revision": "`head` is the newest revision, `base` no schema at all.",
        "copied_home": (
            "Delete {error.disk_id} and start again; if both use the same disk, give each a home "
            "of its own."
        ),
        "database_unavailable": ("Try again in a minute; if it lasts, run `signalbox doctor`."),
        "embedded_postgres_failed": (
            "Free some disk space, or set DATABASE_URL to your own Postgres."
        ),
        "foreign_directory": (
            "Give {error.path} to the user that runs Signalbox, or set SIGNALBOX_HOME to a folder "
            "of that user."
        ),
        "migration_failed": "Run `signalbox migrate` to try again and see the details.",
        "schema_behind": "Run `signalbox migrate`.",
        "schema_too_new": (
            "Install the newer version, or go back to this one's schema with the newer version's "
            "`signalbox migrate --down {error.own_revision}`."
        ),
        "session_refused": None,
        # Errors of commands.
        "error": None,
        "bad_request": None,
        "bad_position": None,
        "out_of_bounds": None,
        "empty_task": None,
        "task_too_long": None,
        "bad_session_name": None,
        "bad_repository": None,
        "branch_without_repository": None,
        "credentials_in_address": None,
        "repository_not_allowed": "`[repositories]` in signalbox.toml says what may be cloned.",
        "other_repository": (
            "Leave out the repository to continue it, or choose another session name."
        ),
        "other_workflow": None,
        "bad_bulk_kill": None,
        "bad_days": None,
        "not_run_ids": None,
        "unstorable": None,
        "bad_token": None,
        "token_exists": "`signalbox token revoke {error.name}` revokes it.",
        "token_not_found": "`signalbox token list` shows the tokens.",
        "unauthenticated": "Make a token with `signalbox token create`.",
        "sign_in_refused": "`signalbox dashboard` makes a new link.",
        "dashboard_session_not_found": None,
        "not_found": None,
        "run_not_found": None,
        "ambiguous_run": None,
        "run_id_too_short": None,
        "session_not_found": None,
        "ambiguous_session": None,
        "message_not_found": None,
        "termination_not_found": None,
        "alert_not_found": None,
        "bad_snooze": None,
        "bad_quiet_hours": None,
        "bad_subscription": None,
        "subscription_not_found": None,
        "subscription_fixed": None,
        "too_many_subscriptions": None,
        "unknown_workflow": None,
        "missing_branch": None,
        "forbidden": None,
        "not_allowed": None,
        "operators_only": None,
        "conflict": None,
        "already_ended": None,
        "already_requested": None,
        "illegal_transition": None,
        "illegal_phase": None,
        "run_still_live": "`signalbox kill {error.run_id}` stops it.",
        "not_restartable": None,
        "conversation_gone": "`signalbox restart {error.run_id}` does that.",
        "checkpoint_files_gone": None,
        "no_checkpoint_for_files": "For example `signalbox restart RUN @2 --files`.",
        "unreadable_definition": None,
        "session_busy": "Wait until it ends, or stop it.",
        "session_name_taken": None,
        "recovery_not_needed": None,
        "stale_attempt": None,
        "bundle_too_large": None,
        "checkpoint_gone": None,
        "checkpoint_not_found": None,
        "checkpoint_too_large": None,
        "ambiguous_workspace": "`--disk` names it.",
        "damaged_bundle": None,
        "no_disk_room": "`signalbox workspaces` shows what takes the room.",
        "nobody_cleans": None,
        "worker_not_found": "`signalbox workers` lists them.",
        "workspace_busy": None,
        "workspace_not_found": "`signalbox workspaces` lists them.",
        "workspace_stays": None,
        "agent_ended": "Continue the run to send it more.",
        "unavailable": None,
        "agent_failed": None,
        "isolation_unavailable": None,
        "network_not_isolated": "Mend what `signalbox doctor` says there about isolation.",
        "transcript_missing": None,
        "transcript_damaged": None,
        "workspace_error": None,
        "unreachable_repository": None,
        "git_failed": None,
        "restore_failed": None,
        "restore_refused": None,
        "unusable_bundle": None,
        "damaged_repository": None,
    }
)


def error_line(error: OpsError) -> str:
    """What happened and what to do next, as one line for the terminal."""
    return with_advice(error, ADVICE)
