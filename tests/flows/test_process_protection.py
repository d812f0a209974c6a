"""Processes of ours as others of their user see them: alive, but closed."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bot.sandbox.model.server import open_model
from bot.sandbox.slack.server import open_sandbox
from tests import ordinary_user
from tests.limits import limit
from tests.ordinary_user import AS_ORDINARY_USER, needs_root, own_folder
from tests.processes import environment, model_variables, running, slack_variables

pytestmark = [pytest.mark.slow, needs_root]

_ROOT = Path(__file__).resolve().parents[2]
_READ = ("head", "--bytes=1")
_LIST = ("ls",)
_LINK = ("readlink",)


def can(*command: str | Path) -> bool:
    """Whether another process of the ordinary user succeeds with a command."""
    done = ordinary_user.run(*map(str, command))
    # `readlink` fails without a word.
    assert done.returncode == 0 or not done.stderr or "ermission denied" in done.stderr
    return done.returncode == 0


def memory_of(proc: Path) -> tuple[str, ...]:
    """A command that reads a page of a process's stack."""
    stack = int((proc / "stat").read_text().rpartition(")")[2].split()[25])
    return ("dd", f"if={proc}/mem", "bs=4096", "count=1", f"skip={stack // 4096}")


def is_of(process: psutil.Process, home: Path) -> bool:
    if process.uids().real != ordinary_user.UID:
        return False
    return str(home) in " ".join([*process.cmdline(), process.cwd()])


async def test_a_worker_of_an_ordinary_user_is_closed_to_that_user() -> None:
    with own_folder() as home:
        async with open_sandbox(port=0) as sandbox, open_model() as model:
            variables = {**slack_variables(sandbox), **model_variables(model)}
            async with running("up", home, AS_ORDINARY_USER, **variables) as up:
                await up.wait_until_ready()
                pid = up.process.pid
                proc = Path(f"/proc/{pid}")

                assert sandbox.bot_token.encode() in (proc / "environ").read_bytes()
                assert can(*_READ, proc / "stat")
                assert not can(*_READ, proc / "environ")
                assert not can(*memory_of(proc))
                assert not can(*_READ, proc / "maps")
                assert not can(*_LIST, proc / "fd")
                assert not can(*_LINK, proc / "cwd")
                # What it has started may be read, and knows no secret.
                secrets = {str(value) for value in variables.values()}
                others = 0
                for process in psutil.process_iter():
                    # A process may end meanwhile.
                    with suppress(psutil.NoSuchProcess):
                        if process.pid != pid and is_of(process, home):
                            assert not secrets & set(process.environ().values())
                            others += 1
                assert others


async def test_what_is_checked_is_open_without_protection() -> None:
    """The attacks above succeed against a process that does not protect itself."""
    with own_folder():
        process = await asyncio.create_subprocess_exec(
            *AS_ORDINARY_USER, "cat", stdin=asyncio.subprocess.PIPE
        )
        try:
            proc = Path(f"/proc/{process.pid}")
            async with limit(20):
                while (proc / "comm").read_text().strip() != "cat":  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.02)

            assert can(*_READ, proc / "environ")
            assert can(*memory_of(proc))
            assert can(*_LIST, proc / "fd")
            assert can(*_LINK, proc / "cwd")
        finally:
            process.kill()
            await process.communicate()


async def test_the_process_that_migrates_is_closed_before_it_reads_the_address() -> None:
    with own_folder() as home:
        process = await asyncio.create_subprocess_exec(
            *AS_ORDINARY_USER,
            *(sys.executable, "-m", "core.store.database.migrate"),
            env=environment(home, {}),
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
        )
        try:
            # It is root's until `setpriv` has ended, and the ordinary user's from then on.
            migrate = psutil.Process(process.pid)
            async with limit(60):
                while migrate.cmdline()[0] != sys.executable or can(  # noqa: ASYNC110 - no event
                    *_READ, f"/proc/{process.pid}/environ"
                ):
                    await asyncio.sleep(0.1)
                assert migrate.uids().real == ordinary_user.UID
                assert process.returncode is None
        finally:
            process.kill()
            await process.communicate()


async def test_a_whole_run_works_for_an_ordinary_user() -> None:
    with own_folder() as home:
        async with running(
            "demo --once task", home, AS_ORDINARY_USER, TMPDIR=home, PYTHONUNBUFFERED=1
        ) as demo:
            status = await demo.wait_until_ended()

    assert status == 0, demo.output


async def test_the_home_of_another_user_is_refused_in_one_line() -> None:
    with own_folder() as folder:
        home = folder / "home"
        home.mkdir(mode=0o755)

        async with running("migrate", home, AS_ORDINARY_USER) as migrate:
            status = await migrate.wait_until_ended()

    assert status == 2
    assert migrate.output == (
        "signalbox: The home folder belongs to another user (uid 0). "
        f"Give {home} to the user that runs Signalbox, or set SIGNALBOX_HOME to a folder of that "
        "user."
    )


def test_the_installed_command_is_the_one_that_protects_itself() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]

    assert project["scripts"] == {"signalbox": "bot.__main__:main"}
