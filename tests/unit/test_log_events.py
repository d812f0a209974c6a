"""Every log line of the product has an event: a stable name that programs can filter by."""

from __future__ import annotations

import ast
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The sandbox is a test double: its log lines are read by people alone.
EXEMPT = ROOT / "bot" / "sandbox"
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
# Functions that make the `extra` of a call from the event and the ids of what it is about.
MAKERS = {"log_fields", "_log_fields"}
EVENT = re.compile(r"[a-z_]+(\.[a-z_]+)+")
BEGINNING = re.compile(r"[a-z%]")

# What `logging` refuses, and what each JSON line has already (`bot/assembly/logs.py`).
RESERVED = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
RESERVED |= {"at", "level", "logger"}

# One thing that is logged at several places: with and without a traceback, or on several ways.
LOGGED_AT_SEVERAL_PLACES = {
    "attempt.failed",
    "direct_channel.open_failed",
    "heartbeat.failed",
    "inbox.read_failed",
    "kill_phase.record_failed",
    "process_tree.survived",
    "rescue.failed",
    "run.ended",
    "work.carry_failed",
}


@dataclass(frozen=True)
class LogCall:
    """One call of a module's logger."""

    file: Path
    call: ast.Call

    @property
    def where(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.call.lineno}"

    @property
    def method(self) -> str:
        assert isinstance(self.call.func, ast.Attribute)
        return self.call.func.attr

    @property
    def extra(self) -> ast.expr | None:
        return _keyword(self.call, "extra")

    @property
    def has_traceback(self) -> bool:
        return self.method == "exception" or _keyword(self.call, "exc_info") is not None

    @property
    def message(self) -> object:
        index = 1 if self.method == "log" else 0
        text = self.call.args[index] if len(self.call.args) > index else None
        return text.value if isinstance(text, ast.Constant) else None

    @property
    def event(self) -> object:
        """The name of the event, if it is written out in the call."""
        extra = self.extra
        if isinstance(extra, ast.Dict):
            values = [
                value
                for key, value in zip(extra.keys, extra.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "event"
            ]
        elif isinstance(extra, ast.Call) and _name(extra.func) in MAKERS:
            values = extra.args[:1]
        else:
            values = []
        return values[0].value if values and isinstance(values[0], ast.Constant) else None

    @property
    def field_names(self) -> set[str]:
        extra = self.extra
        if isinstance(extra, ast.Dict):
            return _keys(extra)
        if isinstance(extra, ast.Call):
            return {one.arg for one in extra.keywords if one.arg is not None}
        return set()


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def _name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _keys(node: ast.Dict) -> set[str]:
    return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("bot", "core"):
        for file in sorted((ROOT / package).rglob("*.py")):
            if not file.is_relative_to(EXEMPT):
                yield file, ast.parse(file.read_text())


def _loggers(tree: ast.Module) -> set[str]:
    """Names of a module that `logging.getLogger` was assigned to."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and _name(node.value.func) == "getLogger"
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _calls(file: Path, tree: ast.Module) -> Iterator[LogCall]:
    loggers = _loggers(tree)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in METHODS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in loggers
        ):
            yield LogCall(file, node)


@pytest.fixture(scope="module")
def trees() -> list[tuple[Path, ast.Module]]:
    return list(_trees())


@pytest.fixture(scope="module")
def calls(trees: list[tuple[Path, ast.Module]]) -> list[LogCall]:
    found = [call for file, tree in trees for call in _calls(file, tree)]
    assert found
    return found


def test_every_log_call_names_its_event(calls: list[LogCall]) -> None:
    without = [
        f"{call.where}: {call.event or 'no literal event in `extra`'}"
        for call in calls
        if not isinstance(call.event, str) or not EVENT.fullmatch(call.event)
    ]

    assert not without, "\n".join(without)


def test_no_two_events_share_a_name(calls: list[LogCall]) -> None:
    places: dict[object, list[str]] = defaultdict(list)
    for call in calls:
        if call.event is not None:
            places[call.event].append(call.where)

    shared = {name for name, where in places.items() if len(where) > 1}

    unintended = [f"{name}: {places[name]}" for name in shared - LOGGED_AT_SEVERAL_PLACES]
    assert not unintended, "\n".join(unintended)
    assert shared >= LOGGED_AT_SEVERAL_PLACES, LOGGED_AT_SEVERAL_PLACES - shared


def test_no_field_has_a_name_that_a_log_line_uses_itself(
    calls: list[LogCall], trees: list[tuple[Path, ast.Module]]
) -> None:
    names = [(call.where, call.field_names) for call in calls]
    # A line with a traceback has it as its `error`.
    hidden = [call.where for call in calls if call.has_traceback and "error" in call.field_names]
    for file, tree in trees:
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name in MAKERS:
                where = f"{file.relative_to(ROOT)}:{function.lineno}"
                dicts = [node for node in ast.walk(function) if isinstance(node, ast.Dict)]
                names += [(where, _keys(node)) for node in dicts]

    taken = [
        f"{where}: {sorted(fields & RESERVED)}" for where, fields in names if fields & RESERVED
    ]

    assert not taken, "\n".join(taken)
    assert not hidden, "\n".join(hidden)


def test_log_lines_begin_in_lower_case(calls: list[LogCall]) -> None:
    others = [
        f"{call.where}: {call.message!r}"
        for call in calls
        if not isinstance(call.message, str) or not BEGINNING.match(call.message)
    ]

    assert not others, "\n".join(others)
