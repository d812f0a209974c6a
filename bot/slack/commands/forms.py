"""Requests read from submitted forms; the same values that commands give.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.slack import ids
from bot.slack.commands import flags
from bot.slack.inbound.fields import private_metadata
from bot.slack.inbound.request import channel_of_view
from core.domain.errors import BadRequest
from core.domain.kills.bulk_kill import MAX_REASON_CHARS, BulkKillRequest
from core.domain.runs.request import ContinueRequest, KillRequest, Place, StartRequest
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode, RestartRequest
from core.domain.runs.run import RUN_ID_PREFIX

_BROKEN_KILL_FORM = "This form is broken; nothing was stopped. Close it and type the command again."

# Field of the form that continues a run → the flag with the same meaning.
_FLAG_OF_CONTINUE_FIELD: Mapping[str, str] = {
    ids.FIELD_TURNS: "turns",
    ids.FIELD_BUDGET: "budget",
    ids.FIELD_MODEL: "model",
}
# Field of the form that starts a run → the flag with the same meaning.
_FLAG_OF_FIELD: Mapping[str, str] = {
    ids.FIELD_REPO: "repo",
    ids.FIELD_BRANCH: "branch",
    ids.FIELD_SESSION: "session",
    ids.FIELD_TURNS: "turns",
    ids.FIELD_BUDGET: "budget",
    ids.FIELD_TIMEOUT: "timeout",
}


class BadForm(BadRequest):
    """A form with fields that are not valid.

    Attributes:
        errors: By block id, the text to show at the field.
    """

    code = "bad_form"

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("form not accepted", user_message=" ".join(errors.values()))
        self.errors = dict(errors)


def read_run_form(view: Mapping[str, Any], *, request_key: str, team_id: str) -> StartRequest:
    """Read the submitted form that starts a workflow.

    Raises:
        BadForm: With a text for each wrong field.
    """
    errors: dict[str, str] = {}
    values: dict[str, object] = {}
    for block_id, name in _FLAG_OF_FIELD.items():
        _read_field(view, block_id, flags.FLAGS[name], values, errors)
    workflow = _value(view, ids.FIELD_WORKFLOW)
    if not workflow:
        errors[ids.FIELD_WORKFLOW] = "Choose the workflow to run."
    task = _value(view, ids.FIELD_TASK).strip()
    if not task:
        errors[ids.FIELD_TASK] = "Say what is to be done, for example: Add rate limiting."
    # The same reading as in the check of access, which checked this channel.
    channel_id = channel_of_view(view)
    if channel_id is None:
        errors[ids.FIELD_WORKFLOW] = "This form is broken; close it and type /workflow run again."
    if errors or channel_id is None:
        raise BadForm(errors)
    return StartRequest(
        workflow=workflow,
        task=task,
        request_key=request_key,
        place=Place(team_id=team_id, channel_id=channel_id),
        **values,  # type: ignore[arg-type]  # each flag reads the type of its field
    )


def read_continue_form(view: Mapping[str, Any], *, request_key: str) -> ContinueRequest:
    """Read the submitted form that continues a run.

    Raises:
        BadForm: With a text for each wrong field.
    """
    errors: dict[str, str] = {}
    values: dict[str, object] = {}
    for block_id, name in _FLAG_OF_CONTINUE_FIELD.items():
        _read_field(view, block_id, flags.FLAGS[name], values, errors)
    run_id = _text_metadata(view).get("run_id", "")
    if not run_id:
        errors[ids.FIELD_TURNS] = "This form is broken; close it and press Continue… again."
    if errors:
        raise BadForm(errors)
    turns, budget, model = (values.get(name) for name in ("max_turns", "budget_usd", "model"))
    return ContinueRequest(
        target=run_id,
        request_key=request_key,
        additional_turns=turns if isinstance(turns, int) else None,
        budget_usd=budget if isinstance(budget, Decimal) else None,
        model=model if isinstance(model, str) else None,
        message=_value(view, ids.FIELD_MESSAGE).strip() or None,
        recovers=private_metadata(view).get("recovers") is True,
    )


def read_restart_form(view: Mapping[str, Any], *, request_key: str) -> RestartRequest:
    """Read the form that restarts a run, submitted or while it is being filled.

    Raises:
        BadForm: If the form is not as it was drawn.
    """
    run_id = _text_metadata(view).get("run_id", "")
    if not run_id:
        broken = "This form is broken; close it and press Restart… again."
        raise BadForm({ids.FIELD_MESSAGE: broken})
    metadata = private_metadata(view)
    # What was not chosen is as the form was drawn.
    point = _value(view, ids.RESTART_CHOICES, ids.RESTART_POINT) or str(metadata.get("checkpoint"))
    mode = _value(view, ids.RESTART_CHOICES, ids.RESTART_MODE) or str(metadata.get("mode"))
    digits = point.removeprefix("@")
    number = int(digits) if digits.isascii() and digits.isdecimal() else None
    definition = _value(view, ids.FIELD_DEFINITION)
    return RestartRequest(
        target=run_id,
        request_key=request_key,
        checkpoint=number,
        mode=RestartMode(mode)
        if number is not None and mode in set(RestartMode)
        else RestartMode.FORK,
        message=_value(view, ids.FIELD_MESSAGE).strip() or None,
        definition=DefinitionChoice(definition) if definition in set(DefinitionChoice) else None,
    )


def read_kill_form(view: Mapping[str, Any]) -> KillRequest:
    """Read the submitted form that kills one run.

    Raises:
        BadForm: If the metadata is not as the form was drawn with.
    """
    metadata = private_metadata(view)
    run_id = metadata.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        raise BadForm({ids.FIELD_REASON: _BROKEN_KILL_FORM})
    return KillRequest(target=run_id, force=metadata.get("force") is True, reason=_reason(view))


def read_kill_many_form(view: Mapping[str, Any]) -> BulkKillRequest:
    """Read the submitted form that kills many runs: exactly those that it listed.

    Raises:
        BadForm: If the metadata is not as the form was drawn with.
    """
    metadata = private_metadata(view)
    listed = metadata.get("runs")
    if not isinstance(listed, str) or not listed.split():
        raise BadForm({ids.FIELD_REASON: _BROKEN_KILL_FORM})
    return BulkKillRequest(
        run_ids=tuple(RUN_ID_PREFIX + digits for digits in listed.split()),
        force=metadata.get("force") is True,
        reason=_reason(view),
    )


def _reason(view: Mapping[str, Any]) -> str | None:
    return _value(view, ids.FIELD_REASON).strip()[:MAX_REASON_CHARS] or None


def _read_field(
    view: Mapping[str, Any],
    block_id: str,
    flag: flags.Flag,
    values: dict[str, object],
    errors: dict[str, str],
) -> None:
    given = _value(view, block_id).strip()
    if not given:
        return
    value = flag.parse(given)
    if value is None:
        example = flag.example.split(" ", 1)[1].strip('"')
        errors[block_id] = f"Needs {flag.expected}, for example {example}."
    else:
        values[flag.field] = value


def _value(view: Mapping[str, Any], block_id: str, action_id: str = ids.VALUE) -> str:
    """The value of a field; empty if it has none, or if the view is not as it was drawn."""
    element: Any = view
    for key in ("state", "values", block_id, action_id):
        element = element.get(key) if isinstance(element, Mapping) else None
    if not isinstance(element, Mapping):
        return ""
    option = element.get("selected_option")
    value = option.get("value") if isinstance(option, Mapping) else element.get("value")
    return value if isinstance(value, str) else ""


def _text_metadata(view: Mapping[str, Any]) -> Mapping[str, str]:
    return {key: value for key, value in private_metadata(view).items() if isinstance(value, str)}
