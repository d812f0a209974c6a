"""The commands of the program: `signalbox …`, also `python -m bot …`."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bot.cli.advice import error_line
from bot.cli.alert_commands import alert_commands, subscription_commands
from bot.cli.run_commands import commands
from bot.cli.sessions.commands import session_commands
from bot.cli.workspace_commands import workspace_commands
from core.domain.errors import OpsError

if TYPE_CHECKING:
    from bot.assembly.settings import Settings

# Commands import what they need when they run: `--help` and `manifest` stay instant.
# ruff: noqa: PLC0415

log = logging.getLogger(__name__)

_MAX_PORT = 65535

app = typer.Typer(
    name="signalbox",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
tokens = typer.Typer(
    name="token", no_args_is_help=True, help="API tokens, in the database of DATABASE_URL."
)
app.add_typer(commands)
app.add_typer(session_commands)
app.add_typer(alert_commands)
app.add_typer(subscription_commands)
app.add_typer(workspace_commands)
app.add_typer(tokens)


def _port(value: str | int) -> int:
    """Read a port; the default comes as a number."""
    text = str(value)
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= _MAX_PORT:
        raise typer.BadParameter(f"{text!r} is no port: it is a number from 0 to {_MAX_PORT}.")
    return number


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from bot.cli.version import version_line

        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def signalbox(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The operations console for Claude Code workflows, in Slack."""


@app.command()
def demo(
    once: Annotated[
        str | None,
        typer.Option(help="Run this task once, print its thread, exit 0 if it completed."),
    ] = None,
    workflow: Annotated[str, typer.Option(help="The workflow of --once.")] = "builder",
    port: Annotated[
        int, typer.Option(parser=_port, metavar="<port>", help="Port of the Slack sandbox's page.")
    ] = 8766,
) -> None:
    """Everything on this machine, with no account: a sandbox Slack, a worker, a real agent."""
    from bot.assembly.demo import run_demo

    settings = _settings("info" if once is None else "warning")
    sys.exit(_run(run_demo(settings, once=once, workflow=workflow, port=port)))


@app.command()
def up() -> None:
    """Run bot, web and worker in this process; commands on this machine find it by themselves."""
    from bot.assembly.app import run_process

    _serve(
        run_process(
            _settings(), serves_slack=True, runs_worker=True, migrates=True, grants_access=True
        )
    )


@app.command()
def bot() -> None:
    """Run bot and web; workers run elsewhere on the same DATABASE_URL."""
    from bot.assembly.app import run_process

    _serve(run_process(_settings(), serves_slack=True, runs_worker=False, migrates=False))


@app.command()
def worker() -> None:
    """Run a worker; bots run elsewhere on the same DATABASE_URL."""
    from bot.assembly.app import run_process

    _serve(run_process(_settings(), serves_slack=False, runs_worker=True, migrates=False))


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="The revision to go to.")] = "head",
    down: Annotated[bool, typer.Option("--down", help="Go down to it, not up.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what going down deletes; without it, say what.")
    ] = False,
) -> None:
    """Bring the database's schema to a revision, and say what was done."""
    from bot.cli.migrate import run_migration

    _run(run_migration(_settings(), revision=revision, down=down, yes=yes))


@app.command()
def workers(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the workers: node, state, slots, version and time since the last heartbeat."""
    from bot.cli.workers import run_workers

    _run(run_workers(_settings("warning"), as_json=as_json))


@tokens.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="How the token is called.")],
    role: Annotated[
        str | None,
        typer.Option(help="What it may do at most: viewer, runner, operator or admin."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="For how long it is valid, like 90d or 12h.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help="The Slack member (U…) as whom it acts, with the member's own role."),
    ] = None,
) -> None:
    """Make a token, and print it once, alone on standard output."""
    from bot.cli.tokens import run_create

    settings = _settings("warning")
    _run(run_create(settings, name=name, role=role, expires=expires, user=user))


@tokens.command("list")
def list_tokens(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the tokens: role, state, expiry and last use."""
    from bot.cli.tokens import run_list

    _run(run_list(_settings("warning"), as_json=as_json))


@tokens.command("revoke")
def revoke_token(
    name: Annotated[str, typer.Argument(help="The token's name, as `token list` shows it.")],
) -> None:
    """Revoke a token: requests with it are refused from now on."""
    from bot.cli.tokens import run_revoke

    _run(run_revoke(_settings("warning"), name=name))


@app.command()
def doctor() -> None:
    """Check tokens, scopes, channels, database, agent program, disk and clock."""
    from bot.cli.doctor import run_doctor

    sys.exit(_run(run_doctor(_settings("error"))))


@app.command()
def mcp(
    role: Annotated[
        str, typer.Option(help="What the client may do: viewer, runner, operator or admin.")
    ] = "operator",
) -> None:
    """Serve MCP on standard input and output, for a client that starts this command."""
    from bot.cli.mcp_server import run_mcp
    from core.domain.actor import Role

    roles = {one.name.lower(): one for one in Role if one is not Role.NONE}
    if role not in roles:
        raise typer.BadParameter(f"{role!r} is none of {', '.join(roles)}.", param_hint="--role")
    _run(run_mcp(_settings("warning"), role=roles[role]))


@app.command()
def manifest(
    http: Annotated[
        str | None,
        typer.Option(help="Public base URL, for a Slack app over HTTP instead of Socket Mode."),
    ] = None,
) -> None:
    """Print the Slack app manifest, to paste at api.slack.com/apps."""
    from bot.slack.manifest import manifest_text

    try:
        typer.echo(manifest_text(public_url=http))
    except OpsError as error:
        _fail(error)


def main() -> None:
    """Run the command line; an `OpsError` is shown as one line, without a traceback."""
    # Imports leave no garbage, but collecting during them would double their time.
    gc.disable()
    app()


def _settings(level: str = "info") -> Settings:
    """Read the settings and set up logging; `level` applies if the settings name none.

    Afterwards the environment has no secret any more, so no child process inherits one.
    """
    from bot.assembly.logs import set_up_logging
    from bot.assembly.settings import load_settings, remove_secrets_from_environment

    try:
        settings = load_settings()
    except OpsError as error:
        _fail(error)
    remove_secrets_from_environment()
    secrets = [secret.get_secret_value() for secret in settings.secrets]
    set_up_logging(settings.node.log, level=level, secrets=secrets)
    for line in settings.unknown_variables:
        log.warning("setting: %s", line, extra={"event": "setting.unknown"})
    return settings


def _serve(work: Coroutine[Any, Any, Any]) -> None:
    from bot.cli.event_loop import server_loop

    _run(work, make_loop=server_loop())


def _run(
    work: Coroutine[Any, Any, Any],
    make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Any:
    # Everything imported so far stays, so the collector need not scan it again.
    gc.freeze()
    gc.enable()
    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(work)
    except OpsError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: OpsError) -> NoReturn:
    typer.echo(f"signalbox: {error_line(error)}", err=True)
    sys.exit(2)
