"""Errors: a code for each class, neutral words, and advice on every surface."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

import bot
import core
from bot.cli import advice as cli_advice
from bot.mcp import advice as mcp_advice
from bot.slack.views import advice as slack_advice
from bot.slack.views.errors import error_words
from bot.words.advice import AdviceTable, advice_for
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.errors import OpsError, OutOfBounds
from core.domain.kills.bulk_kill import BadBulkKill, NotRunIds
from core.domain.kills.termination import TerminationNotFound
from core.domain.reach.repositories import RepositoryNotAllowed
from core.domain.runs.errors import AlreadyRequested, RunNotFound, SessionBusy
from core.domain.runs.request import EmptyTask
from core.domain.runs.session import SessionNotFound
from core.domain.workflow import UnknownWorkflow
from core.runner.worker.duplicate_node import CopiedHome
from core.services.context import NotAllowed
from core.services.runs.kill_requests import AlreadyEnded
from core.services.runs.kills import OperatorsOnly
from core.services.runs.new_runs import OtherRepository
from core.store.database.engine import DatabaseUnavailable
from core.store.database.schema import SchemaTooNew
from core.workspace.source import BranchWithoutRepository
from tests.unit.view_helpers import make_run

# Words of one surface; `run`, `path` and the like are everybody's.
_WORDS_OF_A_SURFACE = re.compile(r"/workflow|signalbox \w+|\bcards?\b|\bbuttons?\b|--\w+|mrkdwn")


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _error_classes(*packages: ModuleType) -> list[type[OpsError]]:
    """Every error class that the packages define, the base included."""
    names = {module.__name__ for package in packages for module in _modules(package)}
    found: list[type[OpsError]] = []
    pending: list[type[OpsError]] = [OpsError]
    while pending:
        error_class = pending.pop()
        pending += error_class.__subclasses__()
        if error_class.__module__ in names and error_class not in found:
            found.append(error_class)
    return found


CORE_ERRORS = _error_classes(core)
TABLES = [slack_advice.ADVICE, cli_advice.ADVICE, mcp_advice.ADVICE]


def test_every_error_class_has_a_code_of_its_own() -> None:
    classes = _error_classes(core, bot)

    codes = [error_class.__dict__.get("code") for error_class in classes]

    assert None not in codes
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("table", TABLES, ids=["slack", "cli", "mcp"])
def test_every_surface_has_advice_or_none_for_every_error_of_the_core(table: AdviceTable) -> None:
    missing = {error_class.code for error_class in CORE_ERRORS} - set(table)

    assert not missing


@pytest.mark.parametrize("table", TABLES, ids=["slack", "cli", "mcp"])
def test_no_surface_has_advice_for_an_error_that_there_is_not(table: AdviceTable) -> None:
    assert set(table) <= {error_class.code for error_class in _error_classes(core, bot)}


def _texts_for_people(path: Path) -> Iterator[str]:
    """The literal parts of what a file of the core gives to errors as texts for people."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in {"user_message", "hint"}:
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_the_core_has_no_words_of_a_surface() -> None:
    folder = Path(core.__path__[0])
    files = list(folder.rglob("*.py"))
    texts = {path: list(_texts_for_people(path)) for path in files}

    assert sum(map(len, texts.values())) > 50
    assert not [
        f"{path.relative_to(folder)}: {text}"
        for path, found in texts.items()
        for text in found
        if _WORDS_OF_A_SURFACE.search(text)
    ]
    command = re.compile(r"/workflow\b")
    assert not [path for path in files if command.search(path.read_text(encoding="utf-8"))]


RUN = make_run(run_id="run_abc")
RUNNER = Actor(role=Role.RUNNER, origin=Origin.SLACK, user_id=UUID(int=5), name="Bea")
EXAMPLES: list[tuple[OpsError, str]] = [
    (RunNotFound("run_x"), "`/workflow list` shows the recent ones."),
    (SessionNotFound(UUID(int=1)), "`/workflow sessions all` lists them."),
    (TerminationNotFound(UUID(int=1)), "`/workflow list live` shows what runs."),
    (UnknownWorkflow("x", ("fix",)), "`/workflow workflows` describes them."),
    (AlreadyEnded(RUN), "`/workflow status run_abc` shows how it went."),
    (AlreadyRequested("key", "run_y"), "`/workflow status run_y` shows it."),
    (SessionBusy("run_z"), "Wait until it ends, or stop it with `/workflow kill run_z`."),
    (EmptyTask("w" * 50), f"For example `/workflow run {'w' * 40} <task>`."),
    (OutOfBounds("timeout", 1, user_message=""), "For example `--timeout 30m`."),
    (OutOfBounds("max_turns", 1, user_message=""), ""),
    (BadBulkKill(0), "Ask again, for example with `/workflow kill --all mine`."),
    (NotRunIds(("x",)), "This form is broken: close it and type the command again."),
    (
        OtherRepository("s"),
        "Leave `--repo` out to continue it, or choose another session name.",
    ),
    (BranchWithoutRepository("main"), "`--branch` needs a `--repo`."),
    (
        NotAllowed(RUNNER, Action.START, None),
        "Ask an admin to add you to `[roles]` in signalbox.toml.",
    ),
    (NotAllowed(RUNNER, Action.KILL, RUN), ""),
    (
        RepositoryNotAllowed("https://x.example/y", "no", "nothing"),
        "An admin can list it under `[repositories]` in signalbox.toml.",
    ),
    (OperatorsOnly(RUNNER), "`/workflow kill --all mine` stops yours."),
    (
        DatabaseUnavailable("x"),
        "Try again in a minute; if it lasts, ask an admin to run `signalbox doctor`.",
    ),
]


@pytest.mark.parametrize(
    ("error", "advice"), EXAMPLES, ids=lambda value: getattr(value, "code", "")
)
def test_slack_says_what_to_type_next(error: OpsError, advice: str) -> None:
    assert advice_for(error, slack_advice.ADVICE) == advice
    assert error_words(error) == f"{error.user_message} {advice}".rstrip()


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=lambda value: value.code)
def test_an_error_and_the_command_line_never_speak_of_slack(error: OpsError) -> None:
    assert not _WORDS_OF_A_SURFACE.search(error.user_message)
    assert "/workflow" not in cli_advice.error_line(error)


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=lambda value: value.code)
def test_a_client_of_mcp_is_never_told_to_type(error: OpsError) -> None:
    assert not _WORDS_OF_A_SURFACE.search(mcp_advice.error_text(error))


def test_the_command_line_says_how_to_bring_the_schema_back() -> None:
    error = SchemaTooNew()

    assert f"signalbox migrate --down {error.own_revision}" in cli_advice.error_line(error)


def test_a_copied_home_names_its_file_on_the_command_line_only() -> None:
    duplicate: Any = type("Duplicate", (), {"worker_id": "w", "machine": "m", "node": "n"})()

    error = CopiedHome(duplicate, Path("/home/x/disk-id"))

    assert "/home/x" not in error.user_message
    assert "Delete /home/x/disk-id" in cli_advice.error_line(error)
