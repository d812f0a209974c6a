"""Error messages, seen only by the person who acted."""

from __future__ import annotations

from bot.slack import text
from bot.slack.views import blocks
from bot.slack.views.advice import ADVICE
from bot.slack.views.message import Message
from bot.slack.views.runs.refusals import refusal_message
from bot.words.advice import with_advice
from core.domain.errors import OpsError
from core.services.context import NotAllowed

_LIMIT = 2000


def error_message(error: OpsError) -> Message:
    """A message with what happened and what to do next."""
    refusal = refusal_message(error) if isinstance(error, NotAllowed) else None
    return refusal or private_message(error_words(error))


def error_words(error: OpsError) -> str:
    """What happened and what to do next in Slack; not escaped, code in backticks."""
    return with_advice(error, ADVICE)


def unexpected_message(reference: str) -> Message:
    """A message about an unexpected failure; the log has it under `reference`."""
    return private_message(
        "Something went wrong on our side; nothing was lost. Please try again. If it happens "
        f"again, tell an admin this number: `{reference}`."
    )


def private_message(words: str) -> Message:
    """A message from a short text, not yet escaped, that may contain code in backticks."""
    escaped = text.escape(words, _LIMIT)
    return Message(text=escaped, blocks=(blocks.section(escaped),))
