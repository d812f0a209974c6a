"""The commands about workspaces, through the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.run_commands import AsJson, perform_act

if TYPE_CHECKING:
    from bot.cli.client.acts.runs import Acts
    from bot.cli.client.acts.workspaces import WorkspaceActs

# Commands import what they need when they run: a shell completes words without it.
# ruff: noqa: PLC0415

workspace_commands = typer.Typer(
    name="workspaces",
    invoke_without_command=True,
    help="List the workspaces on workers' disks, and remove one.",
)


@workspace_commands.callback()
def list_workspaces(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the workspaces on workers' disks: size, age, and why each one stays."""
    if context.invoked_subcommand is not None:
        return
    perform_act(lambda acts: _workspaces(acts).workspaces(), as_json=as_json)


@workspace_commands.command("clean")
def clean_workspace(
    workspace_id: Annotated[
        str, typer.Argument(metavar="WORKSPACE", help="A workspace's id, as the list shows it.")
    ],
    *,
    disk: Annotated[
        str | None, typer.Option(help="Its disk, if several have a workspace with this id.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove a workspace; it stays, and exit 1, if anything in it would be lost."""
    perform_act(lambda acts: _workspaces(acts).clean(workspace_id, disk), as_json=as_json)


def _workspaces(acts: Acts) -> WorkspaceActs:
    from bot.cli.client.acts.workspaces import WorkspaceActs

    return WorkspaceActs(client=acts.client, as_json=acts.as_json)
