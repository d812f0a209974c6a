"""What to do next with the API after an error, by the error's code."""

from __future__ import annotations

from types import MappingProxyType

from bot.words.advice import AdviceTable

ADVICE: AdviceTable = MappingProxyType(
    {
        "alert_not_found": "The list of alerts has their ids.",
        "already_ended": "Its status tells how it went.",
        "cross_site_request": "Load the page again.",
        "database_unavailable": "Try again in a few seconds.",
        "not_restartable": "The same request with `preview` shows the points that there are.",
        "run_still_live": "Kill it first.",
        "run_not_found": "The list of runs has their ids.",
        "session_busy": "Wait until it ends, or kill it.",
        "ambiguous_session": "The list of sessions shows whose they are.",
        "recovery_not_needed": "Leave out `recovery`.",
        "session_name_taken": "`new_session` moves the name; closing a session frees it.",
        "session_not_found": "The list of sessions has their ids.",
        "sign_in_refused": (
            "Type `/workflow dashboard` in Slack, or run `signalbox dashboard` on the server's "
            "machine, for a new link."
        ),
        "subscription_not_found": "The list of subscriptions has their ids.",
        "worker_not_found": "The list of workers has their ids.",
        "workspace_not_found": "The list of workspaces has their ids.",
        "ambiguous_workspace": "The parameter `disk` names it.",
        "unauthenticated": (
            "Send one in the header `Authorization: Bearer <token>` or `x-api-key`; an admin makes "
            "tokens with `signalbox token create`."
        ),
    }
)
