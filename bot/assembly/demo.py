"""`signalbox demo`: a complete Signalbox on this machine, with a sandbox for Slack and model."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer

from bot.assembly.app import serve
from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.demo_repository import make_demo_repository
from bot.assembly.running_app import RunningApp
from bot.assembly.serve import AppProcess, handle_signals
from bot.assembly.settings import Settings, load_settings
from bot.sandbox.model.server import open_model
from bot.sandbox.page_routes import add_page
from bot.sandbox.plain_text import thread_text
from bot.sandbox.slack.people import ADA, BUILDS
from bot.sandbox.slack.server import Sandbox, open_sandbox
from bot.slack.commands.command import CommandContext
from bot.slack.commands.parser import parse_slash
from core.agent.definitions.catalog import load_catalog
from core.domain.actor import SYSTEM, Actor, Origin, Role
from core.domain.drawables import DrawableId, DrawableKind
from core.domain.errors import OpsError
from core.domain.runs.request import Place, RunFilter, StartRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.workflow import UnknownWorkflow

# A run of `--once` against the real model takes minutes.
ONCE_LIMIT = timedelta(minutes=60)
_POLL_SECONDS = 0.1
# The set-up of a Postgres alone can take a minute on a busy machine.
_START_LIMIT = timedelta(minutes=5)
# The pace at which the scripted model works, so that a person can watch.
_DEMO_DELAY = timedelta(milliseconds=700)
# Who types in the sandbox; what they may do is asked anew at each request.
_VISITOR = Actor(role=Role.VIEWER, origin=Origin.SLACK, external_id=ADA, name="Ada Lind")


async def run_demo(settings: Settings, *, once: str | None, workflow: str, port: int) -> int:
    """Run the demo until a signal, or until one task ends; return the exit status.

    Each demo starts empty in a directory of its own, which is removed at the end.
    """
    if once is not None:
        _check_once(settings, workflow, once)
    process = AppProcess()
    with tempfile.TemporaryDirectory(prefix="signalbox-demo-", ignore_cleanup_errors=True) as home:
        async with handle_signals(process), AsyncExitStack() as stack:
            demo = await stack.enter_async_context(
                _start_demo(settings, Path(home), process, port=port, is_one_shot=once is not None)
            )
            if once is not None:
                return await _run_once(demo, workflow, once)
            await _greet(demo)
            await demo.serve_task
            return 0


@dataclass(frozen=True, kw_only=True)
class _Demo:
    sandbox: Sandbox
    running: RunningApp
    serve_task: asyncio.Task[None]
    is_scripted: bool
    repository: Path


@asynccontextmanager
async def _start_demo(
    settings: Settings, home: Path, process: AppProcess, *, port: int, is_one_shot: bool
) -> AsyncIterator[_Demo]:
    is_scripted = not settings.agent.credentials.get("ANTHROPIC_API_KEY")
    async with AsyncExitStack() as stack:
        try:
            sandbox = await stack.enter_async_context(
                open_sandbox(port=0 if is_one_shot else port, extra_routes=add_page)
            )
        except OSError as error:
            raise BadSetting(
                "--port", f"{port} cannot be listened on ({error.strerror}); choose another"
            ) from error
        overrides: dict[str, object] = {
            "DATABASE_URL": None,
            "SIGNALBOX_HOME": home,
            "SIGNALBOX_PORT": 0 if is_one_shot else settings.node.port,
            "SIGNALBOX_PUBLIC_URL": settings.node.public_url or _local_url(settings, is_one_shot),
            "SLACK_BOT_TOKEN": sandbox.bot_token,
            "SLACK_APP_TOKEN": sandbox.app_token,
            "SLACK_SIGNING_SECRET": None,
            "SLACK_API_URL": sandbox.api_url,
            # The environment has them no more.
            "ANTHROPIC_API_KEY": settings.agent.api_key,
            "CLAUDE_CODE_OAUTH_TOKEN": settings.agent.oauth_token,
        }
        if is_scripted:
            model = await stack.enter_async_context(open_model())
            model.delay = timedelta(0) if is_one_shot else _DEMO_DELAY
            overrides |= {
                "ANTHROPIC_API_KEY": model.api_key,
                "ANTHROPIC_BASE_URL": model.url,
                "CLAUDE_CODE_OAUTH_TOKEN": None,
            }
        repository = home / "repositories" / "hello"
        await asyncio.to_thread(make_demo_repository, repository)
        running_future: asyncio.Future[RunningApp] = asyncio.get_running_loop().create_future()
        serve_task = asyncio.create_task(
            serve(
                _allowing(repository.parent, load_settings(**overrides)),
                process,
                serves_slack=True,
                runs_worker=True,
                migrates=True,
                grants_access=not is_one_shot,
                on_started=running_future.set_result,
            ),
            name="signalbox",
        )
        try:
            starting: set[asyncio.Future[Any]] = {serve_task, running_future}
            await asyncio.wait(
                starting,
                timeout=_START_LIMIT.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not running_future.done():
                running_future.cancel()
                raise DemoFailed("it did not start")
            async with asyncio.timeout(_START_LIMIT.total_seconds()):
                await running_future.result().wait_until_ready()
            yield _Demo(
                sandbox=sandbox,
                running=running_future.result(),
                serve_task=serve_task,
                is_scripted=is_scripted,
                repository=repository,
            )
        finally:
            process.stop_requested.set()
            await asyncio.wait({serve_task})
            if not serve_task.cancelled() and (failure := serve_task.exception()) is not None:
                raise failure


def _local_url(settings: Settings, is_one_shot: bool) -> str | None:
    """Where the dashboard will be, for links in cards; `None` if the system chooses the port."""
    port = settings.node.port
    return None if is_one_shot or port == 0 else f"http://127.0.0.1:{port}"


def _allowing(folder: Path, settings: Settings) -> Settings:
    """The same settings, with one more folder whose repositories may be cloned."""
    table = settings.config.repositories
    table = table.model_copy(update={"local": (*table.local, folder)})
    return replace(settings, config=settings.config.model_copy(update={"repositories": table}))


async def _greet(demo: _Demo) -> None:
    model = "a scripted model" if demo.is_scripted else "the real model (ANTHROPIC_API_KEY is set)"
    dashboard = await demo.running.dashboard.sign_in_url(by=_VISITOR)
    typer.echo(
        f"""
  Signalbox is running: a real Claude Code agent on {model}.

  Open the Slack sandbox   {demo.sandbox.url}
  Open the dashboard       {dashboard}

  In #builds, type         /workflow run builder Add rate limiting to the API
  Then press its buttons, or try  /workflow help, /workflow dashboard
  A repository to work on  --repo {demo.repository}
  From another terminal    SIGNALBOX_HOME={demo.running.backend.settings.node.home} signalbox runs

  Ctrl-C stops everything; nothing is kept.
"""
    )


def _once_request(workflow: str, task: str) -> StartRequest:
    """What `--once` asks for; flags of the command may stand before the task.

    Raises:
        BadSetting: If there is no task.
        BadCommand: If a flag is wrong.
    """
    if not task.strip():
        raise BadSetting("--once", 'needs a task, as in --once "Add rate limiting to the API"')
    place = Place(team_id="", channel_id=BUILDS)
    context = CommandContext(request_key=f"once:{uuid4().hex}", place=place, workflow_names=set())
    command = parse_slash(f"run {workflow} {task}", context)
    if not isinstance(command, StartRequest):
        raise BadSetting("--once", "holds no task")
    return command


def _check_once(settings: Settings, workflow: str, task: str) -> None:
    """Refuse at once what would be refused after a start of many seconds.

    Raises:
        OpsError: If the task or its flags are wrong, or there is no such workflow.
    """
    try:
        load_catalog(settings.node.workflows).get(workflow.lower())
    except UnknownWorkflow as error:
        raise BadSetting("--workflow", error.user_message) from error
    _once_request(workflow, task).check()


async def _run_once(demo: _Demo, workflow: str, task: str) -> int:
    """Run one task as a person would, and print its thread; return 0 if it completed.

    Raises:
        OpsError: If it is refused.
        DemoFailed: If it does not end in time.
    """
    human = demo.sandbox.human
    result = await human.slash(BUILDS, "/workflow", f"run {workflow} {task}")
    if not result.ok:
        raise DemoFailed(f"the command was not accepted ({result.error})")
    try:
        answer = await human.wait_for(
            lambda: human.messages(BUILDS) or human.ephemerals(),
            timeout=_START_LIMIT.total_seconds(),
            what="an answer to the command",
        )
        runs = demo.running.backend.runs
        started = await runs.list_runs(RunFilter(), by=SYSTEM, limit=1)
        if not started:
            # The answer speaks of Slack; asked directly, the service refuses in words for all.
            await runs.start(_once_request(workflow, task), by=SYSTEM)
            raise DemoFailed(f"the task was refused: {thread_text(answer)}")
        run = await _until_ended(demo, started[0].run.run_id)
        card = await human.wait_for(
            lambda: _find_card(demo.sandbox, f"result:{run.run_id}"),
            timeout=_START_LIMIT.total_seconds(),
            what="the result in the thread",
        )
        await _until_drawn(demo, run)
    except TimeoutError as error:
        raise DemoFailed("the run did not end in time") from error
    typer.echo(thread_text(human.thread(BUILDS, card)))
    return 0 if run.status is RunStatus.COMPLETED else 1


async def _until_ended(demo: _Demo, run_id: str) -> Run:
    backend = demo.running.backend
    async with asyncio.timeout(ONCE_LIMIT.total_seconds()), backend.drawables.changes() as hints:
        while True:
            run = (await backend.runs.snapshot(run_id, by=SYSTEM)).run
            if not run.is_live:
                return run
            await anext(hints)


async def _until_drawn(demo: _Demo, run: Run) -> None:
    """Wait for the card too: its update may have to wait for Slack's limit after the result."""
    thread = DrawableId(DrawableKind.THREAD, run.thread_key or "")
    async with asyncio.timeout(_START_LIMIT.total_seconds()):
        while True:
            found = await demo.running.backend.drawables.drawable(thread)
            if found is not None and found.drawn_version == found.desired_version:
                return
            # What was drawn is no change that the feed tells.
            await asyncio.sleep(_POLL_SECONDS)


def _find_card(sandbox: Sandbox, slot: str) -> str | None:
    """The timestamp of the card under which this slot is shown."""
    for message in sandbox.human.messages(BUILDS):
        ts = str(message["ts"])
        if any(_slot(reply) == slot for reply in sandbox.human.thread(BUILDS, ts)):
            return ts
    return None


def _slot(message: Mapping[str, Any]) -> str:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return str(payload.get("slot", ""))


class DemoFailed(OpsError):
    """The demo could not be started."""

    code = "demo_failed"

    def __init__(self, what: str) -> None:
        super().__init__(
            what, user_message=f"The demo failed: {what}. SIGNALBOX_LOG=debug shows more."
        )
