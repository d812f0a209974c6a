"""The commands that act through the HTTP API, with their options."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from core.domain.errors import OpsError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bot.cli.client.acts.runs import Act, Acts
    from bot.cli.client.exit_codes import ExitCode

# Commands import what they need when they run: a shell completes words without it.
# ruff: noqa: PLC0415

commands = typer.Typer()


def _complete_run(incomplete: str) -> list[tuple[str, str]]:
    from bot.cli.client.completion import suggest_runs

    return suggest_runs(incomplete)


def _complete_live_run(incomplete: str) -> list[tuple[str, str]]:
    from bot.cli.client.completion import LIVE, suggest_runs

    return suggest_runs(incomplete, LIVE)


def _complete_workflow(incomplete: str) -> list[tuple[str, str]]:
    from bot.cli.client.completion import suggest_workflows

    return suggest_workflows(incomplete)


AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for programs.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for its end; the exit code tells how it went.")
]
AnyRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, its beginning, or a session's name or id.",
        autocompletion=_complete_run,
    ),
]


@commands.command("run")
def run_workflow(
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="WORKFLOW",
            help="The workflow, as `implement` or `fix`.",
            autocompletion=_complete_workflow,
        ),
    ],
    task: Annotated[
        list[str],
        typer.Argument(metavar="TASK", help="What is to be done; `-` reads it from a pipe."),
    ],
    *,
    repo: Annotated[
        str | None, typer.Option(help="Repository to clone; without it an empty one.")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="Branch to start from.")] = None,
    model: Annotated[str | None, typer.Option(help="Model for this run.")] = None,
    turns: Annotated[int | None, typer.Option(help="Turn limit.")] = None,
    budget: Annotated[str | None, typer.Option(help="Cost limit in US dollars.")] = None,
    timeout: Annotated[str | None, typer.Option(help="Time limit: 90s, 30m, 1h30m.")] = None,
    session: Annotated[
        str | None, typer.Option(help="A name for the conversation, to continue it by.")
    ] = None,
    new_session: Annotated[
        str | None,
        typer.Option(help="The same for a new conversation, also if an open one has the name."),
    ] = None,
    priority: Annotated[
        int | None, typer.Option(help="Position in the queue: higher starts earlier, 0 is normal.")
    ] = None,
    progress: Annotated[
        str | None, typer.Option(help="Post the progress in Slack this often: 10m, 1h.")
    ] = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Start a workflow; with --wait, exit 0 only if it completed and left nothing to do."""
    from bot.cli.client.start_body import start_body

    def body() -> dict[str, object]:
        return start_body(
            task=task,
            repo=repo,
            branch=branch,
            model=model,
            turns=turns,
            budget=budget,
            timeout=timeout,
            session=session,
            new_session=new_session,
            priority=priority,
            progress=progress,
        )

    perform_act(lambda acts: acts.start(workflow, body(), waits=wait), as_json=as_json)


@commands.command("continue")
def continue_run(
    target: AnyRun,
    message: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MESSAGE", help="What to tell the agent; `+20` first is --turns 20."
        ),
    ] = None,
    turns: Annotated[int | None, typer.Option(help="Turns on top of what was left.")] = None,
    *,
    budget: Annotated[
        str | None, typer.Option(help="Cost limit of the new run; else that of the last one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model of the new run; else that of the last one.")
    ] = None,
    recover: Annotated[
        bool,
        typer.Option(
            "--recover",
            help="Leave a conversation behind that cannot be restored, and begin a new one with a "
            "summary of it.",
        ),
    ] = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Continue the session of an ended run, in the same conversation and workspace."""
    from bot.cli.client.start_body import continue_body, more_turns, words_of

    def act(acts: Acts) -> Awaitable[ExitCode]:
        more, words = more_turns(message or [], turns)
        body = continue_body(
            message=words_of(words), turns=more, budget=budget, model=model, recovers=recover
        )
        return acts.continue_run(target, body, waits=wait)

    perform_act(act, as_json=as_json)


@commands.command("restart")
def restart_run(
    target: AnyRun,
    point: Annotated[
        str | None,
        typer.Argument(metavar="@N", help="The checkpoint, as @2; without it, the start."),
    ] = None,
    message: Annotated[
        list[str] | None,
        typer.Argument(metavar="MESSAGE", help="What to tell the agent at the checkpoint."),
    ] = None,
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what it would do; start nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    files: Annotated[
        bool, typer.Option("--files", help="Put only the files back, and continue the session.")
    ] = False,
    stored: Annotated[
        bool, typer.Option("--stored", help="Follow the instructions that the old run had.")
    ] = False,
    turns: Annotated[int | None, typer.Option(help="Turn limit.")] = None,
    budget: Annotated[str | None, typer.Option(help="Cost limit in US dollars.")] = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Restart an ended run from its start or a checkpoint; shows what that means, and asks."""
    from bot.cli.client.acts.restarts import RestartActs
    from bot.cli.client.start_body import restart_body, words_of

    def act(acts: Acts) -> Awaitable[ExitCode]:
        body = restart_body(
            point=point,
            message=words_of(message or []),
            files=files,
            stored=stored,
            turns=turns,
            budget=budget,
        )
        restarts = RestartActs(acts)
        if preview:
            return restarts.preview(target, body)
        return restarts.restart(target, body, asks=not yes, waits=wait)

    perform_act(act, as_json=as_json)


@commands.command("kill")
def kill_run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's id, or at least four characters of it.",
            autocompletion=_complete_live_run,
        ),
    ],
    reason: Annotated[
        list[str] | None, typer.Argument(metavar="REASON", help="Why; the owner reads it.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Give it no time to stop by itself.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the proof that nothing of it is alive.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Kill a run."""
    from bot.cli.client.start_body import words_of

    perform_act(
        lambda acts: acts.kill(target, force=force, reason=words_of(reason or []), waits=wait),
        as_json=as_json,
    )


@commands.command("status")
def show_status(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run's id, its beginning, or a session's name or id.",
            autocompletion=_complete_run,
        ),
    ] = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Show a run; without one, all live runs."""
    from bot.cli.client.acts.runs import ALL_LIVE

    if target is None and wait:
        raise typer.BadParameter("needs a RUN to wait for.", param_hint="--wait")
    if target is None:
        perform_act(lambda acts: acts.runs(ALL_LIVE), as_json=as_json)
    else:
        known = target
        perform_act(lambda acts: acts.status(known, waits=wait), as_json=as_json)


@commands.command("runs")
def list_runs(
    *,
    mine: Annotated[bool, typer.Option("--mine", help="Only those of this token.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Only those that have not ended.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    workflow: Annotated[
        str | None,
        typer.Option(help="Only those of this workflow.", autocompletion=_complete_workflow),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many, at most 200.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="The `next` of the page before, from its JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from bot.cli.client.acts.runs import RunSelection

    selection = RunSelection(
        mine=mine, live=live, failed=failed, workflow=workflow, limit=limit, cursor=cursor
    )
    perform_act(lambda acts: acts.runs(selection), as_json=as_json)


@commands.command("logs")
def show_logs(
    target: AnyRun,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, until the run ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the log of a run."""
    perform_act(lambda acts: acts.logs(target, follows=follow), as_json=as_json)


@commands.command("dashboard")
def open_dashboard(
    *,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")
    ] = True,
) -> None:
    """Sign a browser in to the dashboard: print the link, and open it."""

    async def act(acts: Acts) -> ExitCode:
        from bot.cli.client.acts.dashboard import DashboardActs

        return await DashboardActs(client=acts.client).open(opens_browser=browser)

    perform_act(act, as_json=False)


def perform_act(act: Act, *, as_json: bool) -> NoReturn:
    """Do it, and end with its exit code."""
    from bot.cli.client.acts.runs import perform
    from bot.cli.client.output import note, prepare_output

    prepare_output()
    # Everything imported so far stays, so the collector need not scan it again.
    gc.freeze()
    gc.enable()
    try:
        code = int(asyncio.run(perform(act, as_json=as_json)))
    except OpsError as error:
        from bot.cli.client.exit_codes import code_of_error

        note(f"signalbox: {error.user_message}")
        code = int(code_of_error(error))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
