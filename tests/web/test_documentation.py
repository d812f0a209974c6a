"""`docs/api.md`: its commands work as they stand there, and it leaves no route out."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from core.store.runs import runs
from tests.api import ApiHarness
from tests.database import NOW, running_run
from tests.limits import patient

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = [
    block
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    if not block.startswith("export")
]


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


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_command_of_the_document_works(api: ApiHarness) -> None:
    token = await api.token(role=Role.ADMIN)
    ended = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session, ended.run_id, attempt=1, stop_reason=StopReason.MAX_TURNS, now=NOW
        )
    killable = await running_run(api.database)
    variables = {
        "SIGNALBOX_URL": f"http://{api.host}",
        "SIGNALBOX_TOKEN": token,
        "API": f"http://{api.host}/api/v1/workflows/claude-code",
        "RUN": killable.run_id,
        "SESSION": str(ended.session_id),
    }

    answers = [await shell(block, variables) for block in BLOCKS]

    assert len(answers) == 6
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
    assert '"reason":"wrong branch"' in answers[4]


async def test_the_document_leaves_no_route_out(api: ApiHarness) -> None:
    written = "\n".join(BLOCKS)
    for name in ("API", "RUN", "SESSION", "SIGNALBOX_URL"):
        written = written.replace(f"${name}", f"<{name}>")

    missing = [
        route.path
        for route in api.table
        if not re.search(
            re.sub(
                r"\\\{\w+\\\}",
                "(?:<RUN>|<SESSION>|implement)",
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
