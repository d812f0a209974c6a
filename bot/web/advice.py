"""What to do next with the API after an error, by the error's code."""

from __future__ import annotations

from types import MappingProxyType

from bot.words.advice import AdviceTable

ADVICE: AdviceTable = MappingProxyType(
    {
        "alert_not_found": "The list of alerts has their ids.",
        "already_ended": "Its status tells how it went.",
        "database_unavailable": "Try again in a few seconds.",
        "run_not_found": "The list of runs has their ids.",
        "session_busy": "Wait until it ends, or kill it.",
        "session_not_found": "The list of sessions has their ids.",
        "subscription_not_found": "The list of subscriptions has their ids.",
        "unauthenticated": (
            "Send one in the header `Authorization: Bearer <token>` or `x-api-key`; an admin makes "
            "tokens with `signalbox token create`."
        ),
    }
)
