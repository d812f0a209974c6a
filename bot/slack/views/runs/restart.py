"""The form and the private question about a restart: from where, and what it would do."""

from __future__ import annotations

from typing import Any

from bot.slack import ids, text
from bot.slack.commands.command import AskRestart
from bot.slack.commands.restart_parser import restart_command_text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.errors import private_message
from bot.slack.views.message import Block, Message, View
from bot.slack.views.modals import TASK_LIMIT, field, modal, text_input
from bot.words import counts
from bot.words.markup import PLAIN
from bot.words.restarts import (
    DEFINITION_LABELS,
    MODE_LABELS,
    RESTART_AGAIN,
    definition_words,
    kept_words,
    point_words,
    preview_title,
    spent_words,
    without_lines,
)
from bot.words.runs.work.checkpoints import checkpoint_line
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.request import StartResult
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode

# Slack's limits.
_MAX_OPTIONS = 100
_OPTION_LIMIT = 75
_TASK_SHOWN = 200
# The values of the menus.
START = "start"


def looking_view(run_id: str, *, channel_id: str) -> View:
    """What is shown while the checks are made, which can take seconds."""
    view = modal(
        callback_id=ids.RESTART_FORM,
        title="Restart",
        submit="",
        metadata={"channel_id": channel_id, "run_id": run_id},
        drawn=[blocks.section(f"Looking at what a restart of `{run_id}` would do…")],
    )
    del view["submit"]
    return view


def restart_form(preview: RestartPreview, *, channel_id: str, message: str = "") -> View:
    """The form: the points, what the chosen one would do, and what is in its way.

    Without a way to restart it has no button that does.
    """
    checkpoint = preview.checkpoint
    number = None if checkpoint is None else checkpoint.number
    is_possible = not preview.blocking
    drawn: list[Block] = [
        blocks.section(
            f"`{preview.run.run_id}` {text.one_line(preview.run.workflow_name, 40)}: "
            f"{text.one_line(preview.task, _TASK_SHOWN)}"
        ),
        blocks.actions(ids.RESTART_CHOICES, _choices(preview)),
        *_preview_blocks(preview),
    ]
    if is_possible and preview.has_both_definitions:
        drawn.append(_definition_field(preview.definition))
    if is_possible and checkpoint is not None:
        drawn.append(
            field(
                ids.FIELD_MESSAGE,
                "What shall I tell it?",
                text_input(
                    "Try it with the other library.",
                    multiline=True,
                    max_length=TASK_LIMIT,
                    initial=message,
                ),
                hint="Left empty, it goes on from there.",
                optional=True,
            )
        )
    view = modal(
        callback_id=ids.RESTART_FORM,
        title="Restart",
        submit="Put files back" if preview.mode is RestartMode.FILES else "Restart",
        metadata={
            "channel_id": channel_id,
            "run_id": preview.run.run_id,
            "checkpoint": number,
            "mode": preview.mode.value,
        },
        drawn=drawn,
    )
    if not is_possible:
        del view["submit"]
    return view


def refused_view(words: str, *, run_id: str, channel_id: str) -> View:
    """What is shown if there is nothing to choose from: why."""
    view = looking_view(run_id, channel_id=channel_id)
    view["blocks"] = [blocks.section(text.escape(words))]
    return view


def restart_question(preview: RestartPreview, command: AskRestart) -> Message:
    """The preview as a private message with buttons, where no form can be opened."""
    drawn: list[Block] = [
        blocks.section(f"*{preview_title(preview, MRKDWN)}* Nothing has been started yet."),
        *_preview_blocks(preview),
    ]
    buttons: list[Block] = []
    value = restart_command_text(command)
    if not preview.blocking and value is not None:
        buttons.append(
            blocks.button(
                "Put files back" if preview.mode is RestartMode.FILES else "Restart",
                action_id=ids.RESTART_ANYWAY,
                value=value,
                style="danger",
            )
        )
    buttons.append(
        blocks.button("Choose a point…", action_id=ids.RESTART, value=preview.run.run_id)
    )
    drawn.append(blocks.actions(ids.RESTART_QUESTION, buttons))
    title = preview_title(preview, PLAIN)
    return Message(text=text.escape(f"{title} Nothing has been started yet."), blocks=tuple(drawn))


def restarted(outcome: StartResult) -> Message:
    """The answer after a restart, which the same request may have started before."""
    run = outcome.run
    if not outcome.is_new:
        return private_message(f"That was restarted already, as `{run.run_id}`.")
    origin = RestartOrigin.of(run)
    point = "the start" if origin is None else point_words(origin.checkpoint, origin.step, PLAIN)
    position = outcome.queue_position
    queued = f", {counts.ordinal(position)} in line" if position and position > 1 else ""
    if origin is not None and not origin.is_fork:
        return private_message(
            f"It goes on as `{run.run_id}` with its files as at {point}{queued}. The card in its "
            "thread shows how it goes."
        )
    return private_message(
        f"Restarted from {point} as `{run.run_id}`{queued}. It has a card of its own in the "
        "channel."
    )


def _preview_blocks(preview: RestartPreview) -> list[Block]:
    without = without_lines(preview, MRKDWN)
    lead = "*It begins without:*" if without else "Nothing came after this point."
    lines = [lead, *(f"• {line}" for line in without)]
    told = [
        f"{'⛔' if problem.is_blocking else '⚠️'} {text.escape(problem.sentence)}"
        for problem in preview.problems
    ]
    spent = [text.escape(spent_words(preview)), definition_words(preview, MRKDWN)]
    return [
        *blocks.paragraphs(told),
        blocks.section(text.escape(kept_words(preview))),
        *blocks.paragraphs(lines),
        blocks.context(" ".join(words for words in spent if words)),
    ]


def _choices(preview: RestartPreview) -> list[Block]:
    """The menus whose choice changes what is shown."""
    newest_first = sorted(preview.checkpoints, key=lambda one: -one.number)[: _MAX_OPTIONS - 1]
    options = {START: RESTART_AGAIN}
    options |= {f"@{one.number}": _checkpoint_label(one) for one in newest_first}
    chosen = START if preview.checkpoint is None else f"@{preview.checkpoint.number}"
    menus = [_menu(ids.RESTART_POINT, options, chosen)]
    if preview.checkpoint is not None:
        modes = {mode.value: label for mode, label in MODE_LABELS.items()}
        menus.append(_menu(ids.RESTART_MODE, modes, preview.mode.value))
    return menus


def _checkpoint_label(checkpoint: Checkpoint) -> str:
    return checkpoint_line(checkpoint, PLAIN)


def _definition_field(chosen: DefinitionChoice) -> Block:
    options = {choice.value: label for choice, label in DEFINITION_LABELS.items()}
    menu = _menu(ids.VALUE, options, chosen.value)
    return field(ids.FIELD_DEFINITION, "Which instructions?", menu)


def _menu(action_id: str, options: dict[str, str], chosen: str) -> dict[str, Any]:
    drawn = {value: _option(value, label) for value, label in options.items()}
    menu: dict[str, Any] = {
        "type": "static_select",
        "action_id": action_id,
        "options": list(drawn.values()),
    }
    if chosen in drawn:
        menu["initial_option"] = drawn[chosen]
    return menu


def _option(value: str, label: str) -> dict[str, Any]:
    return {"text": blocks.plain(label, _OPTION_LIMIT), "value": value}
