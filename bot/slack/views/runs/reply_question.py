"""The question about a reply in the thread of a run that a reply alone does not continue."""

from __future__ import annotations

from bot.slack import ids, text
from bot.slack.commands.reply_command import reply_command_text
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.runs.continue_buttons import recovery_button
from bot.words.runs.continuing import turns_left_words
from bot.words.runs.recovery import RECOVERY_OFFER
from core.domain.runs.run import Run, RunStatus
from core.domain.sessions.recovery import needs_recovery


def reply_question(run: Run, message: str) -> Message:
    """Ask whether a reply is meant to continue an ended run; only its author sees this.

    Args:
        run: The newest run of the thread.
        message: What the person wrote, as typed.
    """
    is_recovery = needs_recovery(run)
    state = "was killed" if run.status is RunStatus.KILLED else "is finished"
    lead = (
        f"Your reply started nothing. {RECOVERY_OFFER} Shall one start with your message?"
        if is_recovery
        else f"Your reply started nothing: this run {state}, and only its agent costs money. Shall "
        "it go on with your message?"
    )
    command = reply_command_text(run.run_id, message, recovers=is_recovery)
    left = f" ({turns_left_words(run)})" if run.turns_left else ""
    if command is None:
        button = (
            recovery_button(run, is_likely=True)
            if is_recovery
            else blocks.button("Continue…", action_id=ids.CONTINUE_MORE, value=run.run_id)
        )
        lead += " It is too long for a button: copy it into the form."
    else:
        label = "Recovery leg with it" if is_recovery else f"Continue with it{left}"
        button = blocks.button(label, action_id=ids.CONTINUE_REPLY, value=command, style="primary")
    return Message(
        text=lead,
        blocks=(
            blocks.section(lead),
            blocks.section(text.quote(message, 600) or "_No words_"),
            blocks.actions(ids.REPLY_QUESTION, [button]),
        ),
    )
