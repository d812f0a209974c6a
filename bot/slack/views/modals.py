"""The form that starts a run, and the parts of all forms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block, View
from bot.words import texts, times
from core.domain.workflow import MAX_TURNS_LIMIT, WorkflowDefinition

# Slack's limits.
TASK_LIMIT = 3000
_MAX_OPTIONS = 100
_OPTION_TEXT_LIMIT = 75
_TITLE_LIMIT = 24

_TASK_HINT = "Say what should be true at the end. The agent sees exactly these words."
_CUT_TASK_HINT = (
    f"The message was longer than the {TASK_LIMIT:,} characters of this field: its end is left "
    "out. Type a longer task after /workflow run."
)


def run_form(
    definitions: Sequence[WorkflowDefinition],
    *,
    channel_id: str,
    workflow: str | None = None,
    task: str = "",
) -> View:
    """The form that starts a workflow.

    Args:
        definitions: The workflows to choose from, sorted; Slack shows at most a hundred.
        channel_id: The channel for the run's thread.
        workflow: Name of the preselected workflow.
        task: The initial task, as a person would type it.  If it is too long for the field its
            end is left out, and a hint says so.
    """
    words = texts.clean(task)
    is_cut = len(words) > TASK_LIMIT
    return modal(
        callback_id=ids.RUN_FORM,
        title="Run a workflow",
        submit="Run",
        metadata={"channel_id": channel_id},
        drawn=[
            field(
                ids.FIELD_WORKFLOW,
                "Workflow",
                _workflow_select(definitions, workflow),
                hint="It defines the tools, the model and the limits.",
            ),
            field(
                ids.FIELD_TASK,
                "Task",
                text_input(
                    "Add rate limiting to the API",
                    multiline=True,
                    initial=texts.clip(words, TASK_LIMIT),
                    max_length=TASK_LIMIT,
                ),
                hint=_CUT_TASK_HINT if is_cut else _TASK_HINT,
            ),
            field(
                ids.FIELD_REPO,
                "Repository",
                text_input("https://github.com/acme/api", max_length=500),
                hint="Address or path. Empty: the agent starts in a new, empty one.",
                optional=True,
            ),
            field(
                ids.FIELD_BRANCH,
                "Branch to start from",
                text_input("main", max_length=200),
                optional=True,
            ),
            field(
                ids.FIELD_SESSION,
                "Session name",
                text_input("rate limits", max_length=80),
                hint="A name to continue this conversation by.",
                optional=True,
            ),
            blocks.divider(),
            blocks.context("Limits. Left empty, the workflow's own apply."),
            field(ids.FIELD_TURNS, "Turns", number_input(), optional=True),
            field(
                ids.FIELD_BUDGET,
                "Cost in US dollars",
                text_input("2.50", max_length=12),
                optional=True,
            ),
            field(ids.FIELD_TIMEOUT, "Time", text_input("30m", max_length=12), optional=True),
        ],
    )


def modal(
    *,
    callback_id: str,
    title: str,
    submit: str,
    metadata: Mapping[str, object],
    drawn: Sequence[Block],
    close: str = "Cancel",
) -> View:
    """A form.  Its `metadata` comes back with the submission, by way of the person's client."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": blocks.plain(title, _TITLE_LIMIT),
        "submit": blocks.plain(submit, _TITLE_LIMIT),
        "close": blocks.plain(close, _TITLE_LIMIT),
        # A client can forge it, so permissions are checked again at the submission.
        "private_metadata": json.dumps(metadata, separators=(",", ":")),
        "blocks": list(drawn),
    }


def field(
    block_id: str,
    label: str,
    element: dict[str, Any],
    *,
    hint: str | None = None,
    optional: bool = False,
) -> Block:
    """A labelled input."""
    made: Block = {
        "type": "input",
        "block_id": block_id,
        "label": blocks.plain(label, 2000),
        "element": element,
        "optional": optional,
    }
    if hint is not None:
        made["hint"] = blocks.plain(hint, 2000)
    return made


def text_input(
    placeholder: str, *, max_length: int, multiline: bool = False, initial: str = ""
) -> dict[str, Any]:
    """A field for text."""
    made: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": ids.VALUE,
        "placeholder": blocks.plain(placeholder, 150),
        "max_length": max_length,
        "multiline": multiline,
    }
    if initial:
        made["initial_value"] = initial
    return made


def number_input(initial: int | None = None) -> dict[str, Any]:
    """A field for a number of turns."""
    made: dict[str, Any] = {
        "type": "number_input",
        "action_id": ids.VALUE,
        "is_decimal_allowed": False,
        "min_value": "1",
        "max_value": str(MAX_TURNS_LIMIT),
    }
    if initial is not None:
        made["initial_value"] = str(initial)
    return made


def _workflow_select(
    definitions: Sequence[WorkflowDefinition], chosen: str | None
) -> dict[str, Any]:
    options = {one.name: _option(one) for one in definitions[:_MAX_OPTIONS]}
    made: dict[str, Any] = {
        "type": "static_select",
        "action_id": ids.VALUE,
        "placeholder": blocks.plain("Choose one", 150),
        "options": list(options.values()),
    }
    if chosen in options:
        made["initial_option"] = options[chosen]
    return made


def _option(definition: WorkflowDefinition) -> dict[str, Any]:
    limits = f"{definition.max_turns} turns, {times.time_limit(definition.timeout)}"
    return {
        "text": blocks.plain(f"{definition.name} ({limits})", _OPTION_TEXT_LIMIT),
        "value": definition.name,
        "description": blocks.plain(definition.description, _OPTION_TEXT_LIMIT),
    }
