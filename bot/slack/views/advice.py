"""What to do next in Slack after an error: the commands to type, by the error's code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words.advice import AdviceTable
from core.domain.errors import OutOfBounds

_SHOWS_RUN = "`/workflow status {error.run_id}` shows it."
_ASK_ADMIN_FOR_ROLE = "Ask an admin to add you to `[roles]` in signalbox.toml."
_OUT_OF_BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "timeout": "For example `--timeout 30m`.",
        "priority": "For example `--priority 10`.",
    }
)


def _out_of_bounds(error: OutOfBounds) -> str:
    return _OUT_OF_BOUNDS.get(error.field, "")


# Every code of the core, so that nobody forgets to decide; a test compares the two.
ADVICE: AdviceTable = MappingProxyType(
    {
        # What was asked.
        "error": None,
        "bad_request": None,
        "out_of_bounds": _out_of_bounds,
        "empty_task": "For example `/workflow run {error.workflow:.40} <task>`.",
        "task_too_long": None,
        "bad_repository": None,
        "branch_without_repository": "`--branch` needs a `--repo`.",
        "credentials_in_address": None,
        "other_repository": (
            "Leave `--repo` out to go on with it, or choose another session name."
        ),
        "bad_bulk_kill": "Ask again, for example with `/workflow kill --all mine`.",
        "not_run_ids": "This form is broken: close it and type the command again.",
        "unstorable": None,
        # What was named.
        "not_found": None,
        "run_not_found": "`/workflow list` shows the recent ones.",
        "ambiguous_run": None,
        "session_not_found": "`/workflow list` shows the recent runs.",
        "message_not_found": None,
        "termination_not_found": "`/workflow list live` shows what runs.",
        "unknown_workflow": "`/workflow workflows` describes them.",
        "missing_branch": None,
        # Who may.
        "forbidden": None,
        "not_allowed": lambda error: "" if error.is_foreign else _ASK_ADMIN_FOR_ROLE,
        "operators_only": "`/workflow kill --all mine` stops yours.",
        # The present state.
        "conflict": None,
        "already_ended": "`/workflow status {error.run.run_id}` shows how it went.",
        "already_requested": _SHOWS_RUN,
        "illegal_transition": _SHOWS_RUN,
        "illegal_phase": None,
        "session_busy": (
            "Wait until it ends, or stop it with `/workflow kill {error.live_run_id}`."
        ),
        "stale_attempt": None,
        "bundle_too_large": None,
        "agent_ended": "Continue the run to send it more.",
        # What it depends on.
        "unavailable": None,
        "database_unavailable": (
            "Try again in a minute; if it lasts, `signalbox doctor` on the server says more."
        ),
        "agent_failed": None,
        "transcript_missing": None,
        "workspace_error": None,
        "unreachable_repository": None,
        "git_failed": None,
        "unusable_bundle": None,
        # Only a process that starts meets these.
        "bad_database_url": None,
        "bad_definition": None,
        "bad_revision": None,
        "copied_home": None,
        "embedded_postgres_failed": None,
        "migration_failed": None,
        "schema_too_new": None,
        "session_refused": None,
    }
)
