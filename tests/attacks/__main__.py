"""Let a real agent run the hostile program, and print what it got, as JSON.

A process of its own, so that a test can run it as root and as an ordinary user.  It stands for
the worker: its environment has the secret that the program looks for.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from bot.sandbox.model.script import Script, ToolCall, Turn, play_in_order
from bot.sandbox.model.server import open_model
from core.agent.process.isolation_probe import find_isolation
from core.agent.process.process_tree import find_run_processes
from core.agent.protocol import Launch
from core.agent.session import open_agent
from core.domain.isolation import IsolationMode
from core.domain.workflow import WorkflowDefinition
from core.process_protection import protect_process
from tests.attacks import attempts
from tests.fakes.transcripts import MemoryTranscripts

SECRET_VARIABLE = "SLACK_BOT_TOKEN"
PROXY_PASSWORD = "wYq7ZkfT2m"
_PYTHON = shlex.quote(os.path.realpath(sys.executable))
_KEY = "signalbox-test"
SETTINGS = "[worker]\nslots = 2\n"


async def _attack(folder: Path, mode: IsolationMode) -> dict[str, object]:
    home = folder / "home"
    workspace = home / "workspaces" / "ws_hostile"
    workspace.mkdir(parents=True)
    shutil.copyfile(attempts.__file__, workspace / "attempts.py")
    (workspace / "Makefile").write_text(f"test:\n\t{_PYTHON} -I attempts.py target.json\n")
    user_home = folder / "user"
    found = find_isolation(
        mode,
        home=home,
        real_homes=(user_home, Path(pwd.getpwuid(os.geteuid()).pw_dir)),
        search_path=os.environ["PATH"],
    )
    with _target(folder, home, user_home) as target:
        (workspace / "target.json").write_text(json.dumps(target))
        async with open_model() as model:
            model.script = Script(
                name="test",
                description="",
                play=play_in_order(
                    Turn(calls=(ToolCall("Bash", {"command": "make test"}),)),
                    Turn(text="All fine."),
                ),
            )
            launch = Launch(
                run_id=f"run_{uuid4().hex[:12]}",
                session_id=uuid4(),
                resume=False,
                prompt="Review it.",
                prompt_uuid=uuid4(),
                definition=WorkflowDefinition(
                    name="review", description="", prompt="", allowed_tools=("Bash(make test)",)
                ),
                model=None,
                max_turns=5,
                budget_usd=None,
                cwd=workspace,
                state_dir=home / "agents" / "hostile",
                credentials={
                    "ANTHROPIC_API_KEY": model.api_key,
                    "ANTHROPIC_BASE_URL": model.url,
                },
                isolation=found.isolation,
            )
            async with open_agent(launch, MemoryTranscripts()) as agent:
                events = [repr(event) async for event in agent.events()]
        left = [process.name for process in find_run_processes(launch.run_id, None)]
        heartbeat = workspace / "heartbeat"
        last_beat = heartbeat.read_text() if heartbeat.exists() else ""
        await asyncio.sleep(0.2)  # Ten of its beats.
        results = workspace / "results.json"
        return {
            "isolation": found.status.detail if found.isolation else None,
            "attempts": json.loads(results.read_text()) if results.exists() else {},
            "events": events[-6:],
            "left": left,
            "is_beating": bool(last_beat) and heartbeat.read_text() != last_beat,
            "has_beaten": bool(last_beat),
            "settings": (home / "signalbox.toml").read_text(),
            "planted": [path.name for path in (home / "workspaces" / "ws_other").iterdir()],
        }


@contextmanager
def _target(folder: Path, home: Path, user_home: Path) -> Iterator[dict[str, str]]:
    """What is attacked: files, a socket, shared memory, and a process of the same user."""
    secret = os.environ[SECRET_VARIABLE]
    (home / "signalbox.toml").write_text(SETTINGS)
    other_workspace, other_home = home / "workspaces" / "ws_other", home / "agents" / "other"
    for path in (other_workspace, other_home, user_home / ".ssh"):
        path.mkdir(parents=True)
    (other_home / "secret").write_text(secret)
    password_file = home / "postgres" / "pgpass"
    password_file.parent.mkdir()
    password_file.write_text(secret)
    (user_home / ".ssh" / "id_test").write_text(secret)
    temporary_file = folder / "temporary"
    temporary_file.write_text(secret)
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 64, 0o600)  # IPC_PRIVATE
    libc.shmat.restype = ctypes.c_void_p
    ctypes.memmove(libc.shmat(segment, None, 0), secret.encode(), len(secret))
    libc.shmctl(segment, 0, None)  # IPC_RMID: it goes with this process
    add_key = attempts.ADD_KEY.get(os.uname().machine)
    if add_key is not None:
        # In KEY_SPEC_SESSION_KEYRING; it fails where containers forbid it.
        libc.syscall(add_key, b"user", _KEY.encode(), secret.encode(), len(secret), -3)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with socket.socket(socket.AF_UNIX) as database:
        path = home / "postgres.sock"
        database.bind(str(path))
        database.listen()
        try:
            yield {
                "secret": secret,
                "worker_pid": str(os.getpid()),
                "victim_pid": str(victim.pid),
                "settings": str(home / "signalbox.toml"),
                "database_socket": str(path),
                "database_password": str(password_file),
                "other_workspace": str(other_workspace),
                "other_agent_home": str(other_home),
                "user_home": str(user_home),
                "shared_memory": str(segment),
                "key": _KEY,
                "proxy_password": PROXY_PASSWORD,
                "temporary_file": str(temporary_file),
            }
        finally:
            victim.kill()
            victim.wait()


def main() -> None:
    """Parse the arguments, attack, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--isolation", type=IsolationMode, default=IsolationMode.REQUIRED)
    arguments = parser.parse_args()
    protect_process()
    results = asyncio.run(_attack(arguments.folder, arguments.isolation))
    sys.stdout.write(json.dumps({**results, "uid": os.geteuid(), "at": time.time()}))


if __name__ == "__main__":
    main()
