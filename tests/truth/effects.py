"""What a tool call does to a workspace: the command for the agent, and the bookkeeping of it.

Only these commands change the script's own account of a session, and nothing else is told to the
agent, so that both can be compared.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from bot.sandbox.model.script import ToolCall
from tests.truth.repository import RUN_BRANCH, Content, Repository

# The statuses of a task, as the agent's tool names them.
PENDING, IN_PROGRESS, COMPLETED, DELETED = "pending", "in_progress", "completed", "deleted"
# Its name begins so, and there is one of them.
_FIND_RUN_BRANCH = "$(git for-each-ref --format='%(refname:short)' refs/heads/signalbox)"


@dataclass(frozen=True, kw_only=True)
class TestRun:
    """The counts that a test program of one ecosystem printed last."""

    __test__ = False  # keeps pytest from collecting it as a test class

    passed: int
    failed: int
    skipped: int

    def __add__(self, other: TestRun) -> TestRun:
        return TestRun(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )


@dataclass(frozen=True)
class Task:
    """An item of the agent's task list."""

    name: str
    status: str = PENDING


@dataclass
class State:
    """What the script knows of a session.

    Attributes:
        tests: The newest test run of the present run of the session, by ecosystem.
        tasks: The agent's task list, by the numbers that its program gives.
    """

    repository: Repository = field(default_factory=Repository)
    tests: dict[str, TestRun] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)

    def begin_leg(self) -> None:
        """The session's next run begins: no test has run in it, and no task is in progress."""
        self.tests = {}
        for number, task in self.tasks.items():
            if task.status == IN_PROGRESS:
                self.tasks[number] = replace(task, status=PENDING)


class Effect(Protocol):
    """Something that a call does."""

    def apply(self, state: State) -> None:
        """Note it."""
        ...


@runtime_checkable
class ShellEffect(Effect, Protocol):
    """Something that a shell command does."""

    @property
    def command(self) -> str:
        """The command."""
        ...


@dataclass(frozen=True)
class AddTask:
    """Add an item to the end of the task list."""

    number: int
    name: str

    @property
    def call(self) -> ToolCall:
        """The tool call."""
        words = {"subject": self.name, "description": self.name, "activeForm": self.name}
        return ToolCall("TaskCreate", words)

    def apply(self, state: State) -> None:
        """Note it."""
        state.tasks[self.number] = Task(self.name)


@dataclass(frozen=True)
class SetTask:
    """Change the status of an item of the task list."""

    number: int
    status: str

    @property
    def call(self) -> ToolCall:
        """The tool call."""
        return ToolCall("TaskUpdate", {"taskId": str(self.number), "status": self.status})

    def apply(self, state: State) -> None:
        """Note it."""
        state.tasks[self.number] = replace(state.tasks[self.number], status=self.status)


@dataclass(frozen=True)
class Fill:
    """Write a file; `padding` bytes of zeros make a binary one large.

    Attributes:
        is_new: Whether the file cannot exist yet.  The agent's tool writes no others unless the
            agent has read them.
    """

    path: str
    content: Content
    padding: int = 0
    is_new: bool = False

    @property
    def text(self) -> str:
        """The content of a text file."""
        return "".join(f"{line}\n" for line in range(self.content.first, self.content.stop))

    @property
    def command(self) -> str:
        """The shell command."""
        path, content = shlex.quote(self.path), self.content
        folder = str(PurePosixPath(self.path).parent)
        made_folder = "" if folder == "." else f"mkdir -p {shlex.quote(folder)} && "
        if content.is_binary:
            made = f"{{ printf '\\0%d' {content.first}; head -c {self.padding} /dev/zero; }}"
        else:
            made = f"seq {content.first} {content.stop - 1}"
        return f"{made_folder}{made} > {path}"

    def apply(self, state: State) -> None:
        """Note it."""
        state.repository.files[self.path] = self.content


@dataclass(frozen=True)
class Delete:
    """Delete a file."""

    path: str

    @property
    def command(self) -> str:
        """The shell command."""
        return f"rm {shlex.quote(self.path)}"

    def apply(self, state: State) -> None:
        """Note it."""
        del state.repository.files[self.path]


@dataclass(frozen=True)
class Move:
    """Give a file another name, without telling git."""

    old: str
    new: str

    @property
    def command(self) -> str:
        """The shell command."""
        return f"mv {shlex.quote(self.old)} {shlex.quote(self.new)}"

    def apply(self, state: State) -> None:
        """Note it."""
        state.repository.files[self.new] = state.repository.files.pop(self.old)


@dataclass(frozen=True)
class CommitFiles:
    """Commit files as they are, or amend the commit checked out by them."""

    subject: str
    paths: tuple[str, ...]
    amends: bool = False

    @property
    def command(self) -> str:
        """The shell command."""
        amend = "--amend " if self.amends else ""
        commit = f"git commit -q {amend}-m {shlex.quote(self.subject)}"
        return f"git add -A -- {shlex.join(self.paths)} && {commit}" if self.paths else commit

    def apply(self, state: State) -> None:
        """Note it."""
        state.repository.commit(self.subject, self.paths, amends=self.amends)


@dataclass(frozen=True)
class Switch:
    """Check out a branch that exists, or a new one."""

    branch: str
    is_new: bool = False

    @property
    def command(self) -> str:
        """The shell command."""
        name = f'"{_FIND_RUN_BRANCH}"' if self.branch == RUN_BRANCH else shlex.quote(self.branch)
        return f"git checkout -q {'-b ' if self.is_new else ''}{name}"

    def apply(self, state: State) -> None:
        """Note it."""
        state.repository.switch(self.branch, is_new=self.is_new)


@dataclass(frozen=True)
class RenameBranch:
    """Rename the branch checked out."""

    name: str

    @property
    def command(self) -> str:
        """The shell command."""
        return f"git branch -m {shlex.quote(self.name)}"

    def apply(self, state: State) -> None:
        """Note it."""
        state.repository.rename(self.name)


@dataclass(frozen=True)
class Merge:
    """Merge a branch of the repository; without a subject only by moving forward."""

    branch: str
    subject: str | None

    @property
    def command(self) -> str:
        """The shell command."""
        how = "--ff-only" if self.subject is None else f"--no-ff -m {shlex.quote(self.subject)}"
        return f"git merge -q {how} origin/{self.branch}"

    def apply(self, state: State) -> None:
        """Note it."""
        state.repository.merge(self.branch, self.subject)


@dataclass(frozen=True)
class RunTests:
    """Run a program that prints what a test program prints, and ends as that does."""

    ecosystem: str
    run: TestRun

    @property
    def command(self) -> str:
        """The shell command."""
        run, parts = self.run, []
        for count, word in ((run.failed, "failed"), (run.passed, "passed"),
                            (run.skipped, "skipped")):  # fmt: skip
            parts += [f"{count} {word}"] if count else []
        counts = ", ".join(parts)
        if self.ecosystem == "python":
            lines = ["collected some items", "", f"===== {counts} in 0.12s ====="]
        else:
            total = run.passed + run.failed + run.skipped
            lines = ["Test Suites: 1 total", f"Tests:       {counts}, {total} total", "Time: 1 s"]
        shown = shlex.join(lines)
        return f"printf '%s\\n' {shown}; exit {1 if run.failed else 0}"

    def apply(self, state: State) -> None:
        """Note it."""
        state.tests[self.ecosystem] = self.run
