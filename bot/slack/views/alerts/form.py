"""The form of a subscription to alerts; `bot.slack.commands.alerts.form` reads submissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bot.slack import ids, text
from bot.slack.commands.alerts.form import ANY, NO_DIGEST
from bot.slack.views import blocks
from bot.slack.views.alerts.fields import broadcast_box, person_select, select, text_field
from bot.slack.views.message import Block, View
from bot.slack.views.modals import field as input_field
from bot.slack.views.modals import modal
from bot.words.times import time_limit
from core.domain.alerts.channels.subscription import DigestPeriod, Subscription
from core.domain.alerts.kinds import KIND_RULES, USUAL_KINDS, AlertKind, Severity
from core.domain.workflow import WorkflowDefinition

# Slack's limits.
_MAX_OPTIONS = 100
_OPTION_LIMIT = 75
_OPTION_VALUE_LIMIT = 150
_LAST_HOUR = 23


@dataclass(frozen=True, kw_only=True)
class FormChoices:
    """What a person can choose from.

    Attributes:
        time_zone: The person's own.
        group_names: The names of user groups by their ids, as far as they are known.
    """

    workflows: Sequence[WorkflowDefinition]
    time_zone: str = "UTC"
    group_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def alert_form(
    choices: FormChoices, *, channel_id: str, subscription: Subscription | None = None
) -> View:
    """The form that subscribes a channel, or changes a subscription.

    Args:
        choices: What the person can choose from.
        channel_id: The channel.
        subscription: What is changed; `None` for a new one.
    """
    is_new = subscription is None
    metadata: dict[str, object] = {"channel_id": channel_id}
    if subscription is not None:
        metadata["subscription_id"] = str(subscription.id)
    where = text.channel(channel_id)
    place = "our direct messages" if channel_id.startswith("D") else where or "this channel"
    return modal(
        callback_id=ids.ALERT_FORM,
        title="Subscribe to alerts" if is_new else "Change alerts",
        submit="Subscribe" if is_new else "Save",
        metadata=metadata,
        drawn=[
            blocks.section(f"Alerts come to {place}. Every field may stay empty."),
            _kinds_field(subscription),
            blocks.divider(),
            blocks.context("*Which ones.* Left empty, nothing is left out."),
            *_filter_fields(choices, subscription),
            blocks.divider(),
            blocks.context("*How they come*"),
            *_delivery_fields(choices, subscription),
            blocks.divider(),
            blocks.context("*What else comes*"),
            *_more_fields(subscription),
        ],
    )


def _kinds_field(subscription: Subscription | None) -> Block:
    options = {kind: _kind_option(kind) for kind in AlertKind}
    element: dict[str, Any] = {
        "type": "multi_static_select",
        "action_id": ids.VALUE,
        "placeholder": blocks.plain("The usual ones", 150),
        "options": list(options.values()),
    }
    if subscription is not None and subscription.kinds:
        element["initial_options"] = [
            option for kind, option in options.items() if kind in subscription.kinds
        ]
    left_out = ", ".join(kind.value for kind in AlertKind if kind not in USUAL_KINDS)
    return input_field(
        ids.FIELD_KINDS,
        "What to tell",
        element,
        hint=f"Left empty, all that a person should act on: every kind but {left_out}.",
        optional=True,
    )


def _kind_option(kind: AlertKind) -> dict[str, Any]:
    return {
        "text": blocks.plain(kind.value, _OPTION_LIMIT),
        "value": kind.value,
        "description": blocks.plain(KIND_RULES[kind].meaning, _OPTION_LIMIT),
    }


def _filter_fields(choices: FormChoices, subscription: Subscription | None) -> list[Block]:
    wanted = subscription.filter if subscription is not None else None
    cost = wanted.least_cost_usd if wanted is not None else None
    severity = wanted.least_severity if wanted is not None else None
    severities = {ANY: "Any", "warning": "At least warning", "critical": "Only critical"}
    chosen_severity = (
        severity.name.lower() if severity is not None and severity > Severity.INFO else ANY
    )
    owner = wanted.owner if wanted is not None else None
    return [
        input_field(
            ids.FIELD_WORKFLOW,
            "Workflow",
            _workflow_select(choices.workflows, wanted.workflow if wanted is not None else None),
            optional=True,
        ),
        text_field(
            ids.FIELD_REPO,
            "Repository",
            "acme/api",
            wanted.repository if wanted is not None else None,
            hint="Its address, or the end of it.",
            max_length=200,
        ),
        input_field(ids.FIELD_OWNER, "Started by", person_select("Anybody", owner), optional=True),
        input_field(
            ids.FIELD_SEVERITY,
            "Severity",
            select(severities, chosen_severity, "Any"),
            optional=True,
        ),
        text_field(
            ids.FIELD_COST,
            "Runs that cost at least, in US dollars",
            "5",
            None if cost is None else f"{cost:f}",
        ),
        text_field(
            ids.FIELD_FOR,
            "What has lasted for",
            "15m",
            None
            if subscription is None or subscription.pending_for is None
            else time_limit(subscription.pending_for),
            hint="For example 15m: what ends sooner is not told. The end of a run is told at once.",
        ),
    ]


def _delivery_fields(choices: FormChoices, subscription: Subscription | None) -> list[Block]:
    mention = (subscription.mention if subscription is not None else None) or ""
    group_id = mention.removeprefix("<!subteam^").rstrip(">") if mention.startswith("<!") else ""
    name = choices.group_names.get(group_id)
    quiet = subscription.quiet_hours if subscription is not None else None
    zone = choices.time_zone if subscription is None else subscription.time_zone
    broadcasts = subscription is not None and subscription.broadcasts
    return [
        text_field(
            ids.FIELD_GROUP,
            "Mention a user group",
            "@oncall",
            f"@{name}" if name else group_id,
            hint="Its name with @. It is called when an alert fires.",
            max_length=80,
        ),
        input_field(
            ids.FIELD_PERSON,
            "Or mention a person",
            person_select("Nobody", mention if mention.startswith("<@") else None),
            optional=True,
        ),
        text_field(
            ids.FIELD_QUIET,
            "Quiet hours",
            "22:00-07:00",
            None if quiet is None else str(quiet),
            hint="Then only critical alerts come at once; the others come at their end.",
            max_length=40,
        ),
        text_field(
            ids.FIELD_TIME_ZONE,
            "Time zone",
            "Europe/Berlin",
            zone,
            hint="Of the quiet hours and the digest.",
            max_length=64,
        ),
        input_field(
            ids.FIELD_BROADCAST,
            "When an alert ends",
            broadcast_box(is_on=broadcasts),
            optional=True,
        ),
    ]


def _more_fields(subscription: Subscription | None) -> list[Block]:
    digests = {NO_DIGEST: "None", "daily": "Every day", "weekly": "Every Monday"}
    digest: DigestPeriod | None = subscription.digest if subscription is not None else None
    every = subscription.progress_every if subscription is not None else None
    hour = subscription.digest_hour if subscription is not None else 9
    return [
        input_field(
            ids.FIELD_DIGEST,
            "Digest",
            select(digests, digest.value if digest is not None else NO_DIGEST, "None"),
            hint="Runs, outcomes, spend and kills of the time since the last one.",
            optional=True,
        ),
        input_field(
            ids.FIELD_DIGEST_HOUR,
            "Hour of the digest",
            {
                "type": "number_input",
                "action_id": ids.VALUE,
                "is_decimal_allowed": False,
                "min_value": "0",
                "max_value": str(_LAST_HOUR),
                "initial_value": str(hour),
            },
            optional=True,
        ),
        text_field(
            ids.FIELD_PROGRESS,
            "Progress of long runs, every",
            "10m",
            None if every is None else time_limit(every),
            hint="In the thread of each run of this channel.",
        ),
    ]


def _workflow_select(
    definitions: Sequence[WorkflowDefinition], chosen: str | None
) -> dict[str, Any]:
    names = [one.name for one in definitions[: _MAX_OPTIONS - 2]]
    # One that is chosen can be left out of the list above, or exist no more.
    if chosen is not None and chosen not in names:
        names.append(chosen)
    options = {ANY: "Every workflow"} | {
        name: name for name in names if len(name) <= _OPTION_VALUE_LIMIT
    }
    return select(options, chosen or ANY, "Every workflow")
