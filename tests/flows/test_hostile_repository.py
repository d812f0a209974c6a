"""A member lets a run review a hostile repository, through the whole of `signalbox up`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from git import Repo
from psutil import process_iter

from bot.sandbox.model.script import Conversation, Script, ToolCall, Turn
from bot.sandbox.model.server import open_model
from bot.sandbox.slack.server import ACK_SECONDS, open_sandbox
from core.store.database.embedded.processes import running_socket_dir
from tests.attacks import attempts
from tests.attacks.__main__ import PROXY_PASSWORD
from tests.card import BUILDS, Card
from tests.isolation import isolation
from tests.limits import patient
from tests.processes import Program, model_variables, new_home, running, slack_variables
from tests.repositories import new_repository

_PYTHON = shlex.quote(os.path.realpath(sys.executable))
# The review's workspace cannot be written; the folder that it may write is beside it.
_MAKEFILE = f"""\
test:
\tcp attempts.py target.json "$$SIGNALBOX_SCRATCH"
\tcd "$$SIGNALBOX_SCRATCH" && {_PYTHON} -I attempts.py target.json
"""


def _hostile_repository(path: Path, target: dict[str, str]) -> Path:
    repo = Repo(new_repository(path))
    shutil.copyfile(attempts.__file__, path / "attempts.py")
    (path / "target.json").write_text(json.dumps(target))
    (path / "Makefile").write_text(_MAKEFILE)
    repo.git.add("--all")
    repo.index.commit("Add tests")
    repo.close()
    return path


def _target_in(home: Path, user_home: Path, up: Program, secret: str) -> dict[str, str]:
    """What a running Signalbox has that no agent may reach."""
    other_workspace, other_home = home / "workspaces" / "ws_other", home / "agents" / "other"
    for path in (other_workspace, other_home, user_home / ".ssh"):
        path.mkdir(parents=True)
    for path in (other_home / "secret", user_home / ".ssh" / "id_test", home / "temporary"):
        path.write_text(secret)
    (cluster,) = (path.parent for path in (home / "postgres").glob("*/PG_VERSION"))
    sockets = running_socket_dir(cluster)
    assert sockets is not None
    (database_socket,) = (path for path in sockets.glob(".s.PGSQL.*") if path.is_socket())
    password = home / "postgres" / "pgpass"
    assert password.is_file()
    return {
        "secret": secret,
        "worker_pid": str(up.process.pid),
        "victim_pid": str(up.process.pid),
        "settings": str(home / "signalbox.toml"),
        "database_socket": str(database_socket),
        "database_password": str(password),
        "other_workspace": str(other_workspace),
        "other_agent_home": str(other_home),
        "user_home": str(user_home),
        # No segment: the worker has none.
        "shared_memory": "-1",
        # Nor a key.
        "key": "signalbox-test",
        "proxy_password": PROXY_PASSWORD,
        "temporary_file": str(home / "temporary"),
    }


def _left_processes(home: Path) -> list[str]:
    """What `attempts.leave_a_process` started, and is still there."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in process_iter(["cmdline"])]
    return [line for line in lines if line.startswith("innocent ") and str(home) in line]


async def test_a_review_of_a_hostile_repository_gets_nothing(tmp_path: Path) -> None:
    isolation()
    home, user_home = new_home(tmp_path / "home"), tmp_path / "user"
    settings = (home / "signalbox.toml").read_text()
    outputs: list[str] = []

    def play(conversation: Conversation) -> Turn:
        if conversation.position == 0:
            return Turn(text="Testing.", calls=(ToolCall("Bash", {"command": "make test"}),))
        outputs.extend(result.text for result in conversation.results)
        return Turn(text="## Summary\n\nAll fine. " + "The tests say nothing else. " * 5)

    async with open_model() as model, open_sandbox(ack_timeout=patient(ACK_SECONDS)) as sandbox:
        model.script = Script(name="hostile", description="a hostile Makefile", play=play)
        variables = {**slack_variables(sandbox), **model_variables(model), "HOME": user_home}
        async with running("up", home, **variables) as up:
            await up.wait_until_ready()
            target = _target_in(home, user_home, up, sandbox.bot_token)
            repository = _hostile_repository(tmp_path / "hostile", target)
            answer = await sandbox.human.slash(
                BUILDS, "/workflow", f"run review --repo {repository} Have a look"
            )
            assert answer.ok, answer
            message = await sandbox.human.wait_for(
                lambda: next((m for m in sandbox.human.messages(BUILDS) if m.get("bot_id")), None),
                timeout=patient(60),
                what="the card",
            )
            card = Card(sandbox.human, str(message["ts"]))
            await card.wait_until_completed(within=120)
            assert await up.readiness() == 200, up.output
            assert _left_processes(home) == []

        assert len(outputs) == 1
        results = json.loads(outputs[0].splitlines()[-2])
        assert results.keys() == {attempt.__name__ for attempt in attempts.ATTEMPTS}
        assert {name: end for name, end in results.items() if "got" in end} == {}
        assert (home / "signalbox.toml").read_text() == settings
        assert list((home / "workspaces" / "ws_other").iterdir()) == []
        assert sandbox.bot_token not in str(sandbox.human.messages(BUILDS))
