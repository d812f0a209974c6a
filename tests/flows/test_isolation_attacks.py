"""What a hostile program reaches from within an agent's tool, isolated and not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.domain.isolation import IsolationMode
from tests.attacks import attempts
from tests.attacks.__main__ import PROXY_PASSWORD, SECRET_VARIABLE, SETTINGS
from tests.limits import patient
from tests.ordinary_user import as_ordinary_user, own_folder

_NAMES = {attempt.__name__ for attempt in attempts.ATTEMPTS}
# What the rights of the worker's user do not include, isolated or not.
_ONLY_ROOT = {"mount_of_a_disk", "kernel_setting", "passwords_of_the_machine", "system_directory"}
# What the worker's own processes forbid, isolated or not, because they cannot be inspected.
_FORBIDDEN_BY_THE_WORKER = {
    "environment_of_the_worker",
    "memory_of_the_worker",
    "namespace_of_the_worker",
    "root_of_another_process",
    "new_proc",
}
# What agents are not given, isolated or not.
_NEVER_GIVEN = {"password_of_the_proxy"}
# Containers mostly forbid keyrings.
_NOT_EVERYWHERE = {"session_keyring"}
_LIMIT_SECONDS = patient(120)

pytestmark = [
    pytest.mark.any_speed,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing"),
]


def _attack(folder: Path, mode: IsolationMode, *, is_root: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.attacks", str(folder), "--isolation", mode.value]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        SECRET_VARIABLE: "a secret of the worker",
        "HTTPS_PROXY": f"http://worker:{PROXY_PASSWORD}@proxy.invalid:3128",
        # The model.
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        command if is_root else as_ordinary_user(command),
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["attempts"].keys() == _NAMES, found["events"]
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as root")
def test_root_in_isolation_gets_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    found = _attack(tmp_path, IsolationMode.REQUIRED, is_root=True)

    assert found["uid"] == 0
    _assert_nothing_gained(found)


def test_an_ordinary_user_in_isolation_gets_nothing_and_leaves_nothing() -> None:
    with own_folder() as folder:
        found = _attack(folder, IsolationMode.REQUIRED, is_root=False)

    assert found["uid"] != 0
    _assert_nothing_gained(found)


def test_without_isolation_an_agent_can_do_what_its_user_can() -> None:
    with own_folder() as folder:
        found = _attack(folder, IsolationMode.NONE, is_root=False)

    assert found["isolation"] is None
    refused = {name for name, end in found["attempts"].items() if "refused" in end}
    assert refused <= _ONLY_ROOT | _FORBIDDEN_BY_THE_WORKER | _NEVER_GIVEN | _NOT_EVERYWHERE
    assert found["settings"] != SETTINGS
    # Processes are found by a scan, whatever they do to hide.
    assert found["left"] == []


def _assert_nothing_gained(found: dict[str, Any]) -> None:
    assert found["isolation"], found
    assert {name: end for name, end in found["attempts"].items() if "got" in end} == {}
    assert found["settings"] == SETTINGS
    assert found["planted"] == []
    assert found["has_beaten"]
    assert not found["is_beating"]
    assert found["left"] == []
