"""The commands about alerts and subscriptions, through the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.run_commands import AsJson, perform_act
from core.domain.alerts.kinds import AlertKind

if TYPE_CHECKING:
    from bot.cli.client.acts.alerts import AlertActs
    from bot.cli.client.acts.runs import Acts

# Commands import what they need when they run: a shell completes words without it.
# ruff: noqa: PLC0415

alert_commands = typer.Typer(
    name="alerts", invoke_without_command=True, help="List alerts, newest first, and act on them."
)
subscription_commands = typer.Typer()


def _complete_alert(incomplete: str) -> list[tuple[str, str]]:
    from bot.cli.client.completion import suggest_alerts

    return suggest_alerts(incomplete)


AnAlert = Annotated[
    str,
    typer.Argument(
        metavar="ALERT",
        help="An alert's id, or the beginning of an open one's, as the list shows it.",
        autocompletion=_complete_alert,
    ),
]


@alert_commands.callback()
def list_alerts(
    context: typer.Context,
    *,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only those that have not ended.")
    ] = False,
    kind: Annotated[
        list[AlertKind] | None,
        typer.Option("--kind", metavar="KIND", help="Only those of this kind; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many, at most 200.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="The `next` of the page before, from its JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, newest first, and act on them."""
    if context.invoked_subcommand is not None:
        return
    perform_act(
        lambda acts: _alerts(acts).alerts(
            is_open=is_open, kinds=[one.value for one in kind or ()], limit=limit, cursor=cursor
        ),
        as_json=as_json,
    )


@alert_commands.command("ack")
def acknowledge_alert(target: AnAlert, as_json: AsJson = False) -> None:
    """Say that you take care of an alert."""
    perform_act(lambda acts: _alerts(acts).acknowledge(target), as_json=as_json)


@alert_commands.command("snooze")
def snooze_alert(
    target: AnAlert,
    duration: Annotated[
        str, typer.Argument(metavar="DURATION", help="1 minute to 7 days: 30m, 2h, 1d.")
    ],
    as_json: AsJson = False,
) -> None:
    """Leave an alert untold for a time; it is told again if it is open then."""
    perform_act(lambda acts: _alerts(acts).snooze(target, duration), as_json=as_json)


@subscription_commands.command("subscriptions")
def list_subscriptions(
    channel: Annotated[
        str | None, typer.Option(help="Only those of this channel, by its Slack id.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List which alerts channels are told of, and how."""
    perform_act(lambda acts: _alerts(acts).subscriptions(channel), as_json=as_json)


def _alerts(acts: Acts) -> AlertActs:
    from bot.cli.client.acts.alerts import AlertActs

    return AlertActs(client=acts.client, as_json=acts.as_json)
