"""The command about sessions, through the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.run_commands import AsJson, perform_act

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bot.cli.client.acts.runs import Acts
    from bot.cli.client.exit_codes import ExitCode

# Commands import what they need when they run: a shell completes words without it.
# ruff: noqa: PLC0415

session_commands = typer.Typer()


def _complete_session(incomplete: str) -> list[tuple[str, str]]:
    from bot.cli.client.completion import suggest_sessions

    return suggest_sessions(incomplete)


@session_commands.command("sessions")
def sessions(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="A session's name, or the beginning of its id; without it all are listed.",
            autocompletion=_complete_session,
        ),
    ] = None,
    *,
    mine: Annotated[bool, typer.Option("--mine", help="Only those of this token.")] = False,
    is_open: Annotated[
        bool | None, typer.Option("--open/--closed", help="Only open, or only closed ones.")
    ] = None,
    messages: Annotated[
        bool, typer.Option("--messages", help="What people and the agent said in it last.")
    ] = False,
    before: Annotated[
        str | None, typer.Option(help="Messages before this place, as the page before names it.")
    ] = None,
    rename: Annotated[str | None, typer.Option(help="Call it so from now on.")] = None,
    close: Annotated[
        bool, typer.Option("--close", help="Free its name; its id still continues it.")
    ] = False,
    reopen: Annotated[bool, typer.Option("--reopen", help="Open a closed one again.")] = False,
    limit: Annotated[int, typer.Option(help="How many, at most 200.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="The `next` of the page before, from its JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List sessions, or show one with its legs and what each cost."""
    asked = [messages, rename is not None, close, reopen]
    if sum(asked) > 1:
        raise typer.BadParameter("give one of --messages, --rename, --close and --reopen.")
    if any(asked) and target is None:
        raise typer.BadParameter("say which SESSION.")

    def act(acts: Acts) -> Awaitable[ExitCode]:
        from bot.cli.sessions.acts import SessionActs, SessionSelection

        doing = SessionActs(client=acts.client, as_json=acts.as_json)
        if target is None:
            return doing.listed(
                SessionSelection(mine=mine, is_open=is_open, limit=limit, cursor=cursor)
            )
        if messages:
            return doing.messages(target, limit=limit, before=before)
        if rename is not None:
            return doing.rename(target, rename)
        if close or reopen:
            return doing.set_open(target, is_open=reopen)
        return doing.show(target)

    perform_act(act, as_json=as_json)
