"""`docs/api.md`: its commands work as they stand there, and it leaves no route out."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys

import pytest

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from core.store.runs import runs
from tests.alerts.world import fired_alert
from tests.api import ApiHarness
from tests.database import NOW, running_run
from tests.limits import limit, patient
from tests.restart_rows import ended as killed_run
from tests.restart_rows import with_checkpoint
from tests.streams import add_events
from tests.web.documented import blocks
from tests.worker_rows import reported_worker
from tests.workspace_rows import reported_workspace

BLOCKS = [block for block in blocks("sh") if not block.startswith("export")]

(STREAM,) = [block for block in BLOCKS if "/stream" in block]
(RESTART,) = [block for block in BLOCKS if "/restart" in block]
(PYTHON,) = blocks("python", section="Live")


async def shell(script: str, variables: dict[str, str]) -> str:
    """What a script prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        script,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NO_PROXY": "*"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(patient(20)):
        out, problems = await process.communicate()
    assert process.returncode == 0, (script, out, problems)
    return out.decode()


async def signed_in_browser(api: ApiHarness) -> str:
    """The id of a browser's session."""
    ada = await api.members.actor_of("U0ADA")
    link = await api.sign_ins.make_link(by=ada)
    await api.sign_ins.sign_in(link, browser="Mozilla/5.0", address="127.0.0.1")
    (session,) = await api.sign_ins.list_sessions(by=ada)
    return str(session.id)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_command_of_the_document_works(api: ApiHarness) -> None:
    token = await api.token(role=Role.ADMIN)
    api.members.roles["U0ADA"] = Role.OPERATOR
    ended = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session, ended.run_id, attempt=1, stop_reason=StopReason.MAX_TURNS, now=NOW
        )
    killable = await running_run(api.database)
    restartable = await killed_run(api.database)
    for _ in range(2):
        await with_checkpoint(api.database, restartable)
    variables = {
        "SIGNALBOX_URL": f"http://{api.host}",
        "SIGNALBOX_TOKEN": token,
        "API": f"http://{api.host}/api/v1/workflows/claude-code",
        "RUN": killable.run_id,
        "SESSION": str(ended.session_id),
        "ALERT": str(await fired_alert(api.database)),
        "WORKSPACE": await reported_workspace(api.database),
        "BROWSER": await signed_in_browser(api),
        "WORKER": await reported_worker(api.database),
    }

    answers = [
        await shell(
            block,
            # The stream of a run that goes on would not end, and it cannot be restarted.
            variables
            | {STREAM: {"RUN": ended.run_id}, RESTART: {"RUN": restartable.run_id}}.get(block, {}),
        )
        for block in BLOCKS
    ]

    assert len(answers) == 17
    stream = answers.pop(BLOCKS.index(STREAM))
    decoder = json.JSONDecoder()
    for text in answers:
        rest = text
        while rest:
            answer, end = decoder.raw_decode(rest)
            assert answer
            assert "error" not in answer or "run_id" in answer
            rest = rest[end:]
    assert '"status":"pending"' in answers[1]
    assert f'"continued_run_id":"{ended.run_id}"' in answers[2]
    assert '"is_possible":true' in answers[5]
    assert '"reason":"wrong branch"' in answers[6]
    assert stream.startswith("retry: 3000\n\nevent: status\ndata: {")
    assert stream.rstrip().endswith(
        f'data: {{"run_id":"{ended.run_id}","status":"failed","stop_reason":"max_turns"}}'
    )


async def test_the_python_of_the_document_follows_a_run(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)
    await add_events(api.database, run, "hello")
    async with api.database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PYTHON,
        env={
            "SIGNALBOX_URL": f"http://{api.host}",
            "SIGNALBOX_TOKEN": token,
            "RUN": run.run_id,
            "NO_PROXY": "*",
        },
        stdout=asyncio.subprocess.PIPE,
    )

    async with limit(20):
        out, _ = await process.communicate()

    assert process.returncode == 0
    assert out.decode().splitlines() == ["status completed", "event agent: hello", "end completed"]


async def test_the_document_leaves_no_route_out(api: ApiHarness) -> None:
    written = "\n".join(BLOCKS)
    for name in (
        "API",
        "RUN",
        "SESSION",
        "SIGNALBOX_URL",
        "ALERT",
        "SUBSCRIPTION",
        "WORKSPACE",
        "BROWSER",
        "WORKER",
    ):
        written = written.replace(f"${name}", f"<{name}>")

    missing = [
        route.path
        for route in api.table
        if not re.search(
            re.sub(
                r"\\\{\w+\\\}",
                "(?:<RUN>|<SESSION>|<ALERT>|<SUBSCRIPTION>|<WORKSPACE>|<BROWSER>|<WORKER>"
                "|implement)",
                re.escape(
                    route.path.replace("/workflows/claude-code", "<API>")
                    if route.path.startswith("/workflows")
                    else f"<SIGNALBOX_URL>/api/v1{route.path}"
                ),
            ),
            written,
        )
    ]

    assert not missing
