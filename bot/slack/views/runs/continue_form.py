"""The form that continues an ended run; `bot.slack.commands.forms` reads its submission."""

from __future__ import annotations

from bot.slack import ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import View
from bot.slack.views.modals import TASK_LIMIT, field, modal, number_input, text_input
from bot.words import money, texts
from bot.words.runs.figures import ended_steps_words
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.recovery import RECOVERY_CHOICE, RECOVERY_OFFER
from bot.words.runs.states import state_of
from core.domain.runs.request import MAX_MODEL_CHARS
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.recovery import needs_recovery

_TASK_CHARS = 200


def continue_form(snapshot: RunSnapshot, *, channel_id: str, is_recovery: bool = False) -> View:
    """The form that continues an ended run; left empty, it keeps what the run had.

    Args:
        snapshot: The run.
        channel_id: The channel in which it was opened.
        is_recovery: Whether it makes a recovery leg, and says what that is; always if the
            conversation cannot be restored.
    """
    run = snapshot.run
    is_lost = needs_recovery(run)
    is_recovery = is_recovery or is_lost
    left = f"the {run.turns_left} that it has left" if run.turns_left else ""
    metadata: dict[str, object] = {"channel_id": channel_id, "run_id": run.run_id}
    if is_recovery:
        metadata["recovers"] = True
    lead = [blocks.section(_lead(snapshot))]
    if is_recovery:
        offer = RECOVERY_OFFER if is_lost else RECOVERY_CHOICE
        lead.append(blocks.section(f"⚠️ {text.escape(offer)}"))
    return modal(
        callback_id=ids.CONTINUE_FORM,
        title="Recovery leg" if is_recovery else "Continue run",
        submit="Start it" if is_recovery else "Continue",
        metadata=metadata,
        drawn=[
            *lead,
            field(
                ids.FIELD_MESSAGE,
                "What shall I tell it?",
                text_input(
                    "Go on where you stopped. Also update the docs.",
                    multiline=True,
                    max_length=TASK_LIMIT,
                ),
                hint="Left empty, it continues where it stopped.",
                optional=True,
            ),
            field(
                ids.FIELD_TURNS,
                "How many turns more?",
                number_input(initial=None if left else 20),
                hint=f"On top of {left}. Left empty, only those."
                if left
                else "Left empty, as many as the workflow allows.",
                optional=True,
            ),
            field(
                ids.FIELD_BUDGET,
                "Cost limit of this leg in US dollars",
                text_input("2.50", max_length=12),
                hint="Left empty, "
                + (
                    f"the same as before: {money.dollars(run.budget_usd)}, counted anew."
                    if run.budget_usd is not None
                    else "there is none, as before."
                ),
                optional=True,
            ),
            field(
                ids.FIELD_MODEL,
                "Model",
                text_input(
                    texts.plain_line(run.ai_model or "sonnet", MAX_MODEL_CHARS) or "sonnet",
                    max_length=MAX_MODEL_CHARS,
                ),
                hint="Left empty, the same as before.",
                optional=True,
            ),
        ],
    )


def _lead(snapshot: RunSnapshot) -> str:
    """What is continued, how it ended, and what it was working on."""
    run, state = snapshot.run, state_of(snapshot, MRKDWN)
    task = task_name(snapshot, MRKDWN, _TASK_CHARS)
    lines = [
        f"*{task}{leg_suffix(snapshot)}* · {text.one_line(run.workflow_name, 40)} · `{run.run_id}`",
        " · ".join(
            (
                f"{state.icon} {text.escape(state.title)}",
                f"cost {money.cost(run.cost_usd, run.cost_source, is_live=run.is_live)}",
            )
        ),
        ended_steps_words(snapshot.steps, MRKDWN),
    ]
    return "\n".join(line for line in lines if line)
